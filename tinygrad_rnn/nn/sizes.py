"""Checks of the numbers that layers are made with."""

from collections.abc import Mapping
from typing import Any

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels.recurrence.tracing import Declaration

__all__ = ["check_letters", "check_size"]


def check_size(where: str, name: str, size: Any) -> int:
    """A whole number from 1 up, or the error that names the layer and its argument."""
    return whole(where, name, size, least=1)


def check_letters(where: str, declared: Declaration, sizes: Mapping[str, int]) -> None:
    """Whether exactly the letters of a cell's widths have sizes, and x the right one."""
    widths = [w for _, w in declared.states] + [w for _, s in declared.params for w in s]
    widths += [declared.input] if declared.input else []
    letters = {w.letter for w in widths if w.letter}
    if missing := sorted(letters - set(sizes)):
        raise ShapeError(
            f"{where}: no size is given for {', '.join(missing)}, which its weights or states are "
            f"as wide as; expected {missing[0]}=... among the constructor's arguments."
        )
    if unknown := sorted(set(sizes) - letters - {"I", "H"}):
        raise TypeError(
            f"{where}: given {', '.join(unknown)}, expected bias or one of the letters "
            f"{', '.join(sorted(letters))}."
        )
    if declared.input and declared.input.of(sizes) != sizes["I"]:
        given = ", ".join(f"{letter} = {n}" for letter, n in sizes.items())
        raise ShapeError(
            f"{where}: input_size is {sizes['I']}, expected {declared.input.of(sizes)}, because x "
            f"is {declared.input} wide ({given})."
        )
