"""From laws to a pytest test: which are asked for, and one case for each."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_rnn import random
from tinygrad_rnn.testing.laws.common import Draw
from tinygrad_rnn.testing.strategies import seeds

__all__ = ["FEWER", "LawCase", "chosen_laws", "known_names", "pytest_test_of"]

FEWER = 5  # a slow law is tried on a fifth of the examples


class LawCase(NamedTuple):
    """One law held to one subject.

    part    one of how many examples of the profile it is tried on
    """

    name: str
    holds: Callable[[Draw], None]
    part: int = 1

    def __repr__(self) -> str:
        return self.name


def known_names(where: str, without: Iterable[str], every: Mapping[str, Any]) -> list[str]:
    """The laws to leave out."""
    names = [without] if isinstance(without, str) else list(without)
    _check_known(where, "without", names, every)
    return names


def chosen_laws(where: str, laws: Any, every: Mapping[str, Any]) -> list[Any]:
    """The laws that are asked for."""
    if isinstance(laws, str) and laws == "all":
        return list(every.values())
    wanted = [laws] if isinstance(laws, str) or callable(laws) else list(laws)
    _check_known(where, "laws", [name for name in wanted if isinstance(name, str)], every)
    return [every[law] if isinstance(law, str) else law for law in wanted]


def _check_known(where: str, argument: str, names: list[str], every: Mapping[str, Any]) -> None:
    if unknown := [name for name in names if name not in every]:
        raise ValueError(
            f"{where}: {argument} names {unknown[0]!r}, expected some of {', '.join(every)}."
        )


def pytest_test_of(
    where: str, cases: list[LawCase], left_out: dict[str, str], chosen: settings | None
) -> Callable[..., None]:
    """The test, parametrised by its cases; each of them is a property."""
    import pytest

    if not cases:
        raise ValueError(f"{where}: no law is left; expected at least one to hold.")

    usual = chosen or settings(
        deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
    )

    @pytest.mark.parametrize("case", cases, ids=str)
    def test(case: LawCase) -> None:
        _property(case, usual)()

    test.__doc__ = f"The laws {', '.join(map(str, cases))}."
    test.left_out = left_out  # type: ignore[attr-defined]
    return test


def _property(case: LawCase, usual: settings) -> Callable[[], None]:
    """The Hypothesis test of one case."""

    def holds(data: st.DataObject) -> None:
        state = dict(np.random.Philox(np.random.SeedSequence(data.draw(seeds()))).state)
        with random.fork(state):
            case.holds(data.draw)

    # As Hypothesis' plugin does for each case of a test: it draws on its own, and what failed is
    # kept apart.
    holds._hypothesis_internal_add_digest = case.name.encode()  # type: ignore[attr-defined]
    few = max(usual.max_examples // case.part, min(usual.max_examples, 2))
    found: Callable[[], None] = settings(usual, max_examples=few)(given(data=st.data())(holds))
    return found
