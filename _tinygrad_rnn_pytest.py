"""The pytest plugin of tinygrad-rnn as pytest meets it: options, markers and fixtures.

pytest imports this file in every run of everybody who has the library installed. So it stands
beside the package, whose import would load NumPy, and loads the other half,
``tinygrad_rnn/testing/plugin.py``, when something of it is asked for.
"""

import argparse
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

PROFILES = ("dev", "ci", "nightly", "debug")
MARKERS = (
    "gpu: needs a GPU; the `device` fixture marks its cases on one (tgr_markers = true in the"
    " configuration skips all of them where there is none)",
    "slow: for CI, or where there is time for it (deselect with -m 'not slow')",
    "nojit: means nothing where kernels are compiled, run it with --tgr-no-jit (tgr_markers ="
    " true in the configuration skips it elsewhere)",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and what may stand in a configuration file."""
    group = parser.getgroup("tinygrad-rnn", "gradients and kernels (tinygrad-rnn)")
    group.addoption(
        "--tgr-profile", choices=PROFILES,
        help="how long Hypothesis looks: dev 20 examples, ci 50, nightly 1000; debug is dev with"
        " a tg.debug() session around every test. Also TINYGRAD_PROFILE, or tgr_profile in the"
        " configuration.",
    )  # fmt: skip
    group.addoption(
        "--tgr-max-examples", type=_positive, metavar="N",
        help="examples of a property test, whatever the profile says",
    )  # fmt: skip
    group.addoption(
        "--tgr-devices", type=_devices, default=("cpu",), metavar="cpu,gpu",
        help="where tests with the `device` fixture run (cpu)",
    )  # fmt: skip
    group.addoption(
        "--tgr-seed", type=_seed, default=0, metavar="N|random",
        help="what the `tgr_seed` fixture gives, and the library's random stream starts from (0)",
    )  # fmt: skip
    group.addoption(
        "--tgr-no-jit", action="store_true",
        help="run kernels as Python: Numba compiles nothing",
    )  # fmt: skip
    group.addoption(
        "--tgr-guards", action="store_true",
        help="fail tests that leave a mode, a number of threads or a recorded graph behind",
    )  # fmt: skip
    parser.addini("tgr_guards", "as --tgr-guards", type="bool", default=False)
    parser.addini("tgr_profile", "as --tgr-profile, where nothing else chooses", default="")
    parser.addini(
        "tgr_markers", "skip tests marked gpu or nojit where they cannot run", "bool", False
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Switch the compiler off before a conftest file may import Numba."""
    if early_config.known_args_namespace.tgr_no_jit:
        _disable_jit()


@pytest.hookimpl(trylast=True)  # what is asked for here wins over --hypothesis-profile
def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; do what was asked for, which is nothing in most runs."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    option = config.option
    if option.tgr_no_jit:
        _disable_jit()
    if option.tgr_seed == "random":  # here, so that all workers of a run have the same
        option.tgr_seed = random.randrange(2**32)
    config.pluginmanager.register(_devices_fixture(option.tgr_devices), "tinygrad_rnn_devices")
    option.tgr_profile = _profile(config)
    option.tgr_guards = option.tgr_guards or config.getini("tgr_guards")
    if (
        option.tgr_profile
        or option.tgr_max_examples
        or option.tgr_guards
        or config.getini("tgr_markers")
    ):
        from tinygrad_rnn.testing import plugin

        plugin.begin(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what was asked for."""
    option = config.option
    said = {
        f"profile {option.tgr_profile}": option.tgr_profile,
        f"{option.tgr_max_examples} examples": option.tgr_max_examples,
        f"devices {', '.join(option.tgr_devices)}": option.tgr_devices != ("cpu",),
        f"seed {option.tgr_seed}": option.tgr_seed,
        "no JIT": option.tgr_no_jit,
        "guards": option.tgr_guards,
    }
    used = [text for text, used in said.items() if used]
    return f"tinygrad-rnn: {', '.join(used)}" if used else None


# ----- fixtures -----


def _devices_fixture(names: tuple[str, ...]) -> Any:
    """The fixture ``device``: an object, as its parameters are known only in a run."""

    class Devices:
        @pytest.fixture(
            params=[
                pytest.param(name, marks=pytest.mark.gpu if name.startswith("gpu") else ())
                for name in names
            ]
        )
        def device(self, request: pytest.FixtureRequest) -> str:
            """Each device of --tgr-devices; skips one that this machine has not."""
            from tinygrad_rnn.testing import plugin

            name: str = request.param
            plugin.skip_without(name)
            return name

    return Devices()


@pytest.fixture(params=["reference", "numba"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each implementation of the kernels: their NumPy definitions, and compiled by Numba."""
    from tinygrad_rnn.testing import plugin

    with plugin.computing_with(request.param):
        yield request.param


@pytest.fixture
def tgr_seed(request: pytest.FixtureRequest) -> int:
    """The number of --tgr-seed; the library's random stream starts from it."""
    from tinygrad_rnn.random import seed

    number: int = request.config.option.tgr_seed
    seed(number)
    return number


@pytest.fixture(scope="session")
def tgr_warm_kernels() -> None:
    """Have every kernel compiled before the first test that asks for this, once a session."""
    from tinygrad_rnn.testing import plugin

    plugin.warm_up()


# ----- options -----


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"given {text!r}, expected a whole number from 1.")
    return int(text)


def _seed(text: str) -> int | str:
    if text != "random" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"given {text!r}, expected a whole number or 'random'.")
    return text if text == "random" else int(text)


def _devices(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        kind, _, number = name.partition(":")
        if name != "cpu" and (kind != "gpu" or not (number.isdecimal() or name == "gpu")):
            raise argparse.ArgumentTypeError(
                f"given {name!r}, expected cpu, gpu or gpu:N, with commas between them."
            )
    return names


def _profile(config: pytest.Config) -> str:
    """The profile, from the command line, the environment or the configuration; "" for none."""
    option: str | None = config.option.tgr_profile
    variable = os.environ.get("TINYGRAD_PROFILE", "")
    name = option or variable or str(config.getini("tgr_profile"))
    if name and name not in PROFILES:
        where = "TINYGRAD_PROFILE" if variable else "tgr_profile"
        raise pytest.UsageError(f"{where} is {name!r}, expected one of {', '.join(PROFILES)}.")
    return name


def _disable_jit() -> None:
    """Tell Numba, which asks when it is imported and never again."""
    numba = sys.modules.get("numba")
    if numba is not None and not numba.config.DISABLE_JIT:
        raise pytest.UsageError(
            "--tgr-no-jit comes too late: Numba has been imported, by another plugin or by a "
            "conftest file that names this plugin in pytest_plugins. Set NUMBA_DISABLE_JIT=1 "
            "before you start pytest."
        )
    os.environ["NUMBA_DISABLE_JIT"] = "1"
