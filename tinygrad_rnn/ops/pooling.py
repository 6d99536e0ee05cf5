"""The largest numbers of windows."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels import convolution, pooling
from tinygrad_rnn.ops.axes import Sizes, each_axis
from tinygrad_rnn.ops.index import take_along_axis
from tinygrad_rnn.primitive import fused
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["max_pool"]


def _forward(x: Array, kernel: Any, windows: Any) -> tuple[Array, Array]:
    found: tuple[Array, Array] = pooling.max_pool(x, kernel, windows)
    return found


def _backward(
    places: Array, gs: Sequence[Array], _needs: Sequence[bool], x: Array, **_how: Any
) -> tuple[Array]:
    return (pooling.max_pool_input(gs[0], places, x.shape[2:]),)


def _replay(x: Tensor, kernel: Any, windows: Any) -> Tensor:
    _, places = pooling.max_pool(x._data, kernel, windows)
    (B, C, *sizes), shape = x.shape, places.shape
    flat = places.astype(np.int64).reshape(B, C, math.prod(shape[2:]))
    return take_along_axis(x.reshape(B, C, math.prod(sizes)), flat, -1).reshape(*shape)


_max_pool = fused("max_pool", _forward, _backward, _replay)


def max_pool(x: object, kernel: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The largest number of every window of the last one or two axes.

        y[b, c, p] = max over k of x[b, c, p stride + k - padding]

    x (B, C, *sizes)  ->  y (B, C, *places). What is outside of x is never the largest. The
    gradient goes to the largest, of several equal ones to the first, row by row; a NaN is larger
    than all.

    Args:
        kernel: How many numbers a window has: one number, or one for each axis.
        stride: How far windows are apart, as many numbers as they have unless given.
        padding: How many places are added at both ends, at most half of the kernel.
    """
    x = as_tensor(x, "max_pool")
    axes = x.ndim - 2
    if axes not in (1, 2):
        raise ShapeError(
            f"max_pool: x has shape {x.shape}, expected (B, C, *sizes), of one or two sizes."
        )
    size = each_axis("max_pool", "kernel", kernel, axes, 1)
    around = each_axis("max_pool", "padding", padding, axes, 0)
    if any(2 * p > k for p, k in zip(around, size, strict=True)):
        raise ShapeError(
            f"max_pool: padding is {padding}, expected at most half of the kernel, {size}, or "
            "windows would hold nothing else."
        )
    steps = size if stride is None else each_axis("max_pool", "stride", stride, axes, 1)
    windows = convolution.Windows(steps, tuple((p, p) for p in around), (1,) * axes)
    if 0 in x.shape[2:] or min(windows.places(x.shape[2:], size)) < 1:
        raise ShapeError(
            f"max_pool: x has shape {x.shape}, expected sizes of 1 at least, and from {size} up "
            "with their padding."
        )
    return _max_pool(x, kernel=size, windows=windows)  # type: ignore[no-any-return]
