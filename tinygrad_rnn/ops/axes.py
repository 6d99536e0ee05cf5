"""Axes counted from 0, or the reason why they cannot be."""

from collections.abc import Iterable

import numpy as np

from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.tensor import Tensor

__all__ = ["Axes", "axes_of", "axis_of"]

Axes = int | Iterable[int] | None


def axis_of(where: str, axis: int, ndim: int) -> int:
    """One axis of ``ndim``, from 0."""
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"{where}: axis {axis} of a tensor with {ndim} axes; expected {-ndim} to {ndim - 1}."
            if ndim
            else f"{where}: axis {axis} of a tensor without axes."
        )
    return int(axis) % ndim


def axes_of(where: str, axis: Axes, x: Tensor) -> tuple[int, ...]:
    """Axes as a tuple of numbers from 0, each once; None stands for all."""
    if axis is None:
        return tuple(range(x.ndim))
    given = [axis] if isinstance(axis, int | np.integer) else list(axis)
    axes = tuple(axis_of(where, a, x.ndim) for a in given)
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{where}: axes {tuple(given)} name one axis twice.")
    return axes
