"""Axes counted from 0, and numbers for each of them, or the reason why they cannot be."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.tensor import Tensor

__all__ = ["Axes", "Sizes", "axes_of", "axis_of", "each_axis", "largest"]

Axes = int | Iterable[int] | None
Sizes = int | Sequence[int]  # one for all axes, or one for each


def axis_of(where: str, axis: Any, ndim: int) -> int:
    """One axis of ``ndim``, from 0."""
    if axis.__class__ is not int:
        axis = whole(where, "axis", axis)
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"{where}: axis {axis} of a tensor with {ndim} axes; expected {-ndim} to {ndim - 1}."
            if ndim
            else f"{where}: axis {axis} of a tensor without axes."
        )
    return axis % ndim  # type: ignore[no-any-return]


def axes_of(where: str, axis: Any, x: Tensor) -> tuple[int, ...]:
    """Axes as a tuple of numbers from 0, each once; None stands for all."""
    if axis is None:
        return tuple(range(x.ndim))
    if axis.__class__ is int or not _is_sequence(axis):
        return (axis_of(where, axis, x.ndim),)
    given = tuple(axis)
    axes = tuple([axis_of(where, a, x.ndim) for a in given])
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{where}: axes {given} name one axis twice.")
    return axes


def _is_sequence(axis: Any) -> bool:
    """Whether several axes may be given so; arrays and Tensors without axes are numbers."""
    return hasattr(axis, "__iter__") and not isinstance(axis, str) and getattr(axis, "ndim", 1) > 0


def each_axis(where: str, name: str, given: Any, axes: int, least: int) -> tuple[int, ...]:
    """A whole number for each axis, from one for all or from one for each."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        return (whole(where, name, given, least=least),) * axes
    if len(given) != axes:
        raise ShapeError(f"{where}: {name} is {given!r}, expected one number, or {axes} of them.")
    return tuple(whole(where, name, n, least=least) for n in given)


def largest(x: Array, axis: int | tuple[int, ...], least: float = -np.inf) -> Array:
    """The largest number along axes, which are kept; ``least`` where there is none."""
    if isinstance(x, np.ndarray):
        return np.max(x, axis=axis, keepdims=True, initial=least)
    if x.size:  # CuPy's max has no initial value
        top = x.max(axis=axis, keepdims=True)
        return top if least == -np.inf else np.maximum(top, least)
    axes = {a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)}
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    return array_module(x).full(shape, least, x.dtype)
