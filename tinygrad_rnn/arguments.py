"""Arguments as callers give them: whole numbers, shapes, numbers, element types, functions.

Each comes back as what the library works with, or the error names the call, the argument,
what was given and what was expected.
"""

from collections.abc import Callable, Sequence
from operator import ge, gt, index, le, lt
from reprlib import repr as shortened
from typing import Any

import numpy as np

from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError, TinygradError

__all__ = [
    "TYPES", "bounded", "choice", "dtype_of", "flag", "function_of", "number", "shape_of",
    "shortened", "whole", "written",
]  # fmt: skip

# What a Tensor may hold: no long doubles, which no kernel and no other library reads.
TYPES = frozenset(map(np.dtype, "?bhilqBHILQefdFD"))


def whole(
    where: str,
    name: str,
    value: Any,
    least: int | None = None,
    too_small: type[TinygradError] = ShapeError,
) -> int:
    """A whole number: an int, one of NumPy's, or a Tensor of one; a bool is none.

    Most are sizes, so one below ``least`` is a ShapeError unless told otherwise.
    """
    try:
        found = None if isinstance(value, bool) else index(value)
    except (TypeError, ValueError):
        found = None
    if found is None or (least is not None and found < least):
        bound = "" if least is None else f" from {least} up"
        kind = ArgumentError if found is None else too_small
        raise kind(f"{where}: {name} is {shortened(value)}, expected a whole number{bound}.")
    return found


_WHOLE = (int, np.integer)  # a union of types would be made anew by every call


def shape_of(
    where: str, sizes: tuple[Any, ...], name: str = "a size", least: int | None = None
) -> tuple[int, ...]:
    """A shape, or axes, given as several whole numbers or as one sequence of them."""
    for n in sizes:
        if n.__class__ is not int:
            break
    else:
        if least is None:
            return sizes  # nothing to be found out
    one = len(sizes) == 1 and sizes[0].__class__ is not int and not isinstance(sizes[0], _WHOLE)
    try:
        shape = tuple(map(index, sizes[0] if one else sizes))
    except (TypeError, ValueError):
        given = sizes[0] if one and isinstance(sizes[0], list | tuple) else sizes
        shape = tuple(whole(where, name, n) for n in given)
    if least is not None and min(shape, default=least) < least:
        whole(where, name, min(shape), least)
    return shape


def number(where: str, name: str, value: Any) -> float:
    """A Python number; one of NumPy's becomes it, so that it follows any element type."""
    if isinstance(value, np.integer | np.floating | np.bool_):
        return value.item()
    if not isinstance(value, int | float):
        raise ArgumentError(f"{where}: {name} is {shortened(value)}, expected a number.")
    return value


def written(value: Any) -> str:
    """A value as Python writes it; a number of NumPy as the same of Python, 4 for np.int64(4)."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def bounded(
    where: str,
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """A setting within bounds, as a float; neither NaN nor a bool is one."""
    limits = [(least, ge, "from"), (above, gt, "above"), (most, le, "to"), (below, lt, "to below")]
    given = [(limit, holds, word) for limit, holds, word in limits if limit is not None]
    if isinstance(value, np.integer | np.floating):  # whose type may not have the bounds
        value = int(value) if isinstance(value, np.integer) else float(value)
    real = isinstance(value, int | float) and not isinstance(value, bool)
    if not real or value != value or not all(holds(value, limit) for limit, holds, _ in given):
        words = [f" {word} {limit:g}" for limit, _, word in given if limit != np.inf]
        words += [" up"] if len(words) == 1 and least is not None else []
        raise ArgumentError(
            f"{where}: {name} is {shortened(value)}, expected a number{''.join(words)}."
        )
    return float(value)


def flag(where: str, name: str, value: Any) -> bool:
    """True or False, and nothing that merely counts as one of them."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(f"{where}: {name} is {shortened(value)}, expected True or False.")
    return bool(value)


def choice(where: str, name: str, value: Any, choices: Sequence[Any]) -> Any:
    """One of a few; 1 is not True."""
    known = value in choices if isinstance(value, str) else any(value is one for one in choices)
    if not known:
        raise ArgumentError(
            f"{where}: {name} is {shortened(value)}, expected one of {tuple(choices)}."
        )
    return value


def dtype_of(where: str, dtype: Any, kinds: str = "biufc") -> np.dtype[Any]:
    """An element type that a Tensor may hold, in this machine's byte order."""
    try:
        found = None if dtype is None else np.dtype(dtype).newbyteorder("=")
    except TypeError:
        found = None
    if found is None or found not in TYPES or found.kind not in kinds:
        expected = "numbers or booleans" if "b" in kinds else "floating-point numbers"
        raise DTypeError(
            f"{where}: dtype is {shortened(dtype)}, expected a type of {expected}, such as "
            "tg.float32."
        )
    return found  # type: ignore[no-any-return]


def function_of(where: str, name: str, value: Any) -> Callable[..., Any]:
    """Something that can be called."""
    if not callable(value):
        raise ArgumentError(f"{where}: {name} is {shortened(value)}, expected a function.")
    return value  # type: ignore[no-any-return]
