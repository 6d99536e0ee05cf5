"""What strategies are given: sizes, ranges of them, and names; wrong ones raise at the call.

A strategy is made where a test is defined, but drawn from much later: an error that waits
until then names neither the line nor the argument.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tinygrad_rnn.arguments import shortened, whole

__all__ = ["Range", "between", "check_bounds", "check_names", "check_shape", "sizes"]

Range = int | tuple[int, int]


def sizes(where: str, name: str, given: Any, least: int = 0) -> st.SearchStrategy[int]:
    """A size: one number, or (smallest, largest), both included; shrinks to the smallest."""
    if not isinstance(given, tuple | list):
        return st.just(whole(where, name, given, least))
    if len(given) != 2:
        raise ValueError(
            f"{where}: {name} is {shortened(given)}, expected a whole number, or two: the "
            "smallest and the largest."
        )
    low, high = (whole(where, name, n, least) for n in given)
    if low > high:
        raise ValueError(f"{where}: {name} is {(low, high)}, expected the smaller number first.")
    return between(low, high)


def between(low: int, high: int) -> st.SearchStrategy[int]:
    """Sizes of axes; twice as often one that can hold different numbers."""
    if high - low > 64:
        return st.integers(low, high)
    return st.sampled_from([*range(low, high + 1), *range(max(low, 2), high + 1)])


def check_bounds(where: str, names: tuple[str, str], low: Any, high: Any) -> tuple[int, int]:
    """The smallest and the largest of something, whole numbers from 0 up."""
    low, high = (whole(where, name, n, 0) for name, n in zip(names, (low, high), strict=True))
    if low > high:
        raise ValueError(
            f"{where}: {names[0]} is {low} and {names[1]} {high}, expected {names[0]} <= "
            f"{names[1]}."
        )
    return low, high


def check_shape(where: str, given: Any) -> Any:
    """A shape, with sizes of any kind of whole number, or a strategy for shapes."""
    if isinstance(given, st.SearchStrategy):
        return given
    if not isinstance(given, tuple):
        raise ValueError(
            f"{where}: shape is {shortened(given)}, expected a tuple of sizes or a strategy for "
            "such tuples."
        )
    return tuple(whole(where, "a size of shape", n, 0) for n in given)


def check_names(where: str, name: str, given: Any, known: Sequence[str]) -> None:
    """One or more of the names that there are."""
    unknown = [shortened(n) for n in given if n not in known]
    if unknown or not given:
        raise ValueError(
            f"{where}: {name} has {', '.join(unknown) or 'nothing'}, expected some of "
            f"{', '.join(known)}."
        )
