"""Pooling on the CPU: rows of windows, compared with one place of the kernel after the other."""

from math import prod

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels.convolution.cpu_layout import two_axes
from tinygrad_rnn.kernels.pooling import reference

__all__ = ["max_pool", "max_pool_input"]

_WORTH = 30_000  # comparisons that are worth another thread


@helper(fastmath=NO_FASTMATH)
def _compare(x, stride, place, y, places):
    """Compare each of y with every ``stride``-th of x, which stand from ``place`` on."""
    for j in range(len(y)):
        v, best = x[j * stride], y[j]
        more = (v > best) | ((v != v) & (best == best))
        y[j] = v if more else best
        places[j] = np.int32(place + j * stride) if more else places[j]


@kernel(
    "intp, intp, const(T[:, :, ::1]), intp, intp, intp, intp, intp, intp, T[:, :, ::1],"
    "int32[:, :, ::1]",
    fastmath=NO_FASTMATH,
)
def _largest(first, stop, x, height, width, down, right, above, left, y, places):
    """Do some channels; windows are ``down`` and ``right`` apart, padding is before."""
    H, W = x.shape[1:]
    for n in range(first, stop):
        for i in range(y.shape[1]):
            top = max(0, i * down - above)
            for j in range(y.shape[2]):  # the first number of each window
                column = max(0, j * right - left)
                places[n, i, j] = top * W + column
                y[n, i, j] = x[n, top, column]
            for r in range(top, min(H, i * down - above + height)):
                for s in range(width):
                    shift = s - left
                    begin = max(0, (right - 1 - shift) // right)
                    end = min(y.shape[2], (W - 1 - shift) // right + 1)
                    if begin >= end:
                        continue
                    column = begin * right + shift
                    row, best, at = x[n, r, column:], y[n, i, begin:end], places[n, i, begin:end]
                    if right == 1:
                        _compare(row, 1, r * W + column, best, at)
                    elif right == 2:
                        _compare(row, 2, r * W + column, best, at)
                    else:
                        _compare(row, right, r * W + column, best, at)


@kernel("intp, intp, const(T[:, ::1]), const(int32[:, ::1]), T[:, ::1]", fastmath=NO_FASTMATH)
def _to_input(first, stop, g, places, dx):
    """Do some channels."""
    for n in range(first, stop):
        dx[n] = 0
        for p in range(g.shape[1]):
            dx[n, places[n, p]] += g[n, p]


def max_pool(x, kernel, windows):
    if x.dtype.char not in "fd":
        return reference.max_pool(x, kernel, windows)
    B, C, *sizes = x.shape
    shape = B, C, *windows.places(sizes, kernel)
    y, places = empty(shape, x.dtype), empty(shape, np.int32)
    (height, width), (down, right) = two_axes(kernel), two_axes(windows.stride)
    (above, _), (left, _) = two_axes(windows.padding, (0, 0))
    if y.size:
        x = np.ascontiguousarray(x).reshape(B * C, *two_axes(sizes))
        rows = (B * C, *two_axes(shape[2:]))
        grain = 1 + _WORTH // (y[0, 0].size * height * width)
        parallel(
            _largest, B * C, x, height, width, down, right, above, left,
            y.reshape(rows), places.reshape(rows), grain=grain,
        )  # fmt: skip
    return y, places


def max_pool_input(g, places, sizes):
    B, C = g.shape[:2]
    dx = empty((B, C, *sizes), g.dtype)
    if dx.size:
        count = prod(g.shape[2:])
        g, places = (np.ascontiguousarray(a).reshape(B * C, count) for a in (g, places))
        grain = 1 + _WORTH // (count + prod(sizes))
        parallel(_to_input, B * C, g, places, dx.reshape(B * C, prod(sizes)), grain=grain)
    return dx
