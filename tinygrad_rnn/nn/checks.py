"""Checks of what layers are made with and called with: each names the layer and its argument."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import CellError, DeviceError, DTypeError, ShapeError
from tinygrad_rnn.kernels.recurrence.tracing import Declaration
from tinygrad_rnn.tensor import Tensor

__all__ = [
    "batch_hint", "check_call", "check_initializers", "check_letters", "check_like", "check_size",
    "check_sizes",
]  # fmt: skip


def check_size(where: str, name: str, size: Any, least: int = 1) -> int:
    """A whole number from ``least`` up."""
    return whole(where, name, size, least=least)


def check_sizes(where: str, name: str, sizes: Any) -> list[int]:
    """The width of each layer: one or more whole numbers from 1 up."""
    if not isinstance(sizes, Sequence | np.ndarray) or isinstance(sizes, str) or not len(sizes):
        raise ShapeError(f"{where}: {name} is {sizes!r}, expected a width for each layer.")
    return [check_size(where, f"{name}[{k}]", size) for k, size in enumerate(sizes)]


def check_call(
    where: str,
    states: Sequence[str],
    known: Sequence[str],
    more: Sequence[Any],
    unknown: Mapping[str, Any],
) -> None:
    """No argument beyond ``known``; who gives the states one by one is told how they are given."""
    if unknown:
        raise TypeError(
            f"{where}: {next(iter(unknown))!r} is not an argument of a call, expected one of "
            f"{', '.join(known)}."
        )
    if more:
        state = f"({', '.join(states)})" if len(states) > 1 else states[0]
        rule = "states are given as one tuple" if len(states) > 1 else "there is one state"
        raise TypeError(
            f"{where}: given {2 + len(more)} positional arguments, expected (x, {state}): {rule}."
        )


def batch_hint(batch_first: bool, T: int, B: int | None, state: Any, lengths: Any) -> str:
    """A sentence if lengths and state fit the other axis of x, T, rather than B; else nothing."""
    rows = {len(lengths)} if lengths is not None and np.ndim(lengths) == 1 else set()
    first = state
    while isinstance(first, tuple | list) and first:
        first = first[0]
    if isinstance(first, Tensor | np.ndarray) and first.ndim > 1:
        rows.add(first.shape[-2])
        if first.ndim == 3 and B in first.shape[:1] and first.shape[1] != B:
            return " Its rows come first, as decoding has them: swap its first two axes."
    if B is None or T == B or rows != {T}:
        return ""
    given, other = ("(B, T, I)", "(T, B, I)") if batch_first else ("(T, B, I)", "(B, T, I)")
    return (
        f" They fit the other axis of x, which is read as {given}: for {other} there is "
        f"batch_first={not batch_first}."
    )


def check_like(where: str, name: str, given: Tensor, weight: Tensor | None) -> None:
    """What is given has to be where the weights are, and to hold the numbers that they hold."""
    if weight is None:
        return
    if given.device != weight.device:
        raise DeviceError(
            f"{where}: {name} is on {given.device!r}, but the weights on {weight.device!r}; "
            f"nothing is moved silently: give {name}.to({weight.device!r}), or move the module "
            "with its .to()."
        )
    if given.dtype != weight.dtype:
        raise DTypeError(
            f"{where}: {name} holds {given.dtype}, but the weights {weight.dtype}; nothing is "
            f"converted silently: give {name}.astype('{weight.dtype}'), or convert the module "
            "with its .astype()."
        )


def check_initializers(where: str, initializers: Any, params: Mapping[str, str]) -> None:
    """Functions for weights that there are."""
    for name, function in dict(initializers).items():
        if name not in params or not callable(function):
            raise CellError(
                f"{where}: initializers has {name!r}: {function!r}, expected functions of a "
                f"tensor for the weights {', '.join(params)}."
            )


def check_letters(where: str, declared: Declaration, given: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of the letters, if they are exactly those of a cell's widths, and x fits."""
    widths = [w for _, w in declared.states] + [w for _, s in declared.params for w in s]
    widths += [declared.input] if declared.input else []
    letters = {w.letter for w in widths if w.letter}
    names = {"I": "input_size", "H": "hidden_size"}
    if unknown := sorted(set(given) - letters - set(names)):
        expected = [names["I"]] if declared.input else []
        expected += [names["H"], *sorted(letters - set(names))]
        raise TypeError(
            f"{where}: given {', '.join(unknown)}, expected bias or one of {', '.join(expected)}; "
            "options, such as zoneout, are given to configure()."
        )
    if missing := sorted(letters - set(given)):
        raise ShapeError(
            f"{where}: no size is given for {', '.join(missing)}, which its weights or states are "
            f"as wide as; expected {missing[0]}=... among the constructor's arguments."
        )
    sizes = {name: check_size(where, names.get(name, name), n) for name, n in given.items()}
    if declared.input and declared.input.of(sizes) != sizes["I"]:
        known = ", ".join(f"{letter} = {n}" for letter, n in sizes.items())
        raise ShapeError(
            f"{where}: input_size is {sizes['I']}, expected {declared.input.of(sizes)}, because x "
            f"is {declared.input} wide ({known})."
        )
    return sizes
