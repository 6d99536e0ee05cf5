"""Gradients on their way: parts that are added into place, and broadcasting undone."""

from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.kernels._room import zeros
from tinygrad_rnn.sums import summed

__all__ = ["OutputGrad", "Part", "SliceGrad", "resolved", "unbroadcast"]


class Part:
    """A gradient that is not an array yet: it is added to a sum without being there by itself.

    What a weight is used for at every step of a sequence has a gradient as large as the weight;
    to write it down and to add it takes as long as computing it.
    """

    __slots__ = ()
    shape: tuple[int, ...]

    @property
    def dtype(self) -> Any:
        """The element type, as of the array that this stands for."""
        raise NotImplementedError

    def add_to(self, total: Array | None) -> Array:
        """``total`` (which may be written, or None) with this gradient added in place."""
        raise NotImplementedError


class SliceGrad(Part):
    """A gradient that is zero outside ``index``: added into place, never spread out.

    ``x[t]`` for every t of a sequence would otherwise cost a whole array of zeros a step.
    """

    __slots__ = ("index", "shape", "value")

    def __init__(self, index: Any, value: Array, shape: tuple[int, ...]) -> None:
        self.index = index
        self.value = value
        self.shape = shape

    @property
    def dtype(self) -> Any:
        """As of ``Part``."""
        return self.value.dtype

    def add_to(self, total: Array | None) -> Array:
        """As of ``Part``."""
        if total is None:
            total = zeros(self.shape, self.value)
            total[self.index] = self.value
        else:
            total[self.index] += self.value
        return total


def resolved(part: Any) -> Any:
    """The array, or Tensor, that a gradient is."""
    return part.add_to(None) if isinstance(part, Part) else part


class OutputGrad:
    """The gradient of one output of an operation that has several."""

    __slots__ = ("count", "number", "value")

    def __init__(self, number: int, count: int, value: Any) -> None:
        self.number = number
        self.count = count
        self.value = value

    def add_to(self, total: list[Any] | None) -> list[Any]:
        """The list with a gradient, or None, per output, and this one in its place."""
        total = [None] * self.count if total is None else total
        total[self.number] = self.value
        return total


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient (array or Tensor) over the axes along which its input was repeated."""
    g = resolved(g)
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1
    )
    if axes:
        whole = isinstance(g, np.ndarray)
        g = summed(g, axes, keepdims=True) if whole else g.sum(axis=axes, keepdims=True)
    return g.reshape(shape) if extra else g
