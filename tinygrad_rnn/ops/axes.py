"""Axes counted from 0, or the reason why they cannot be."""

from collections.abc import Iterable
from typing import Any

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.tensor import Tensor

__all__ = ["Axes", "axes_of", "axis_of"]

Axes = int | Iterable[int] | None


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
