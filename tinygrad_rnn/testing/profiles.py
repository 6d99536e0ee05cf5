"""How long Hypothesis looks for a wrong gradient: profiles, by name."""

from typing import Any, Literal

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_rnn.testing.set_profile needs Hypothesis. "
        "Install it with: pip install 'tinygrad-rnn[test]'"
    ) from error

__all__ = ["Profile", "set_profile"]

Profile = Literal["dev", "ci", "nightly", "debug"]

# The first call of a kernel compiles it, which no deadline would survive. Some strategies draw
# a shape, arrays of it and indices into them: slow to generate by Hypothesis' measure. All but
# "nightly" try the same examples in every run.
_COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
    "print_blob": True,
}
_PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"derandomize": True, "max_examples": 20},
    "ci": {"derandomize": True, "max_examples": 50},
    "nightly": {"max_examples": 1000},
    "debug": {"derandomize": True, "max_examples": 20, "report_multiple_bugs": False},
}


def set_profile(name: Profile | None = None, *, max_examples: int | None = None) -> None:
    """Choose how long Hypothesis looks, in tests that are declared from now on.

        dev        20 examples, the same in every run
        ci         50, the same in every run
        nightly    1000, others in every run
        debug      as dev, and one failure at a time

    They are Hypothesis profiles, registered as "tinygrad_rnn-dev" and so on. What a test has in
    ``@settings`` of its own stays.

    Args:
        name: None keeps the profile that is set, whoever has set it.
        max_examples: Another number of examples.
    """
    if name is not None and name not in _PROFILES:
        raise ValueError(f"set_profile: name is {name!r}, expected one of {', '.join(_PROFILES)}.")
    if name is not None:
        # From Hypothesis' own, lest anything of the profile before be left in it.
        plain = settings.get_profile("default")
        settings.register_profile(f"tinygrad_rnn-{name}", plain, **_COMMON, **_PROFILES[name])
        settings.load_profile(f"tinygrad_rnn-{name}")
    if max_examples is not None:
        current = settings(max_examples=max_examples)
        settings.register_profile("tinygrad_rnn-custom", current)
        settings.load_profile("tinygrad_rnn-custom")
