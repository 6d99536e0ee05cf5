"""On the GPU: a kernel each; of whole numbers the definition, over CuPy's arrays."""

from math import prod
from pathlib import Path

import numpy as np

from tinygrad_rnn.kernels._cuda import launch, load, require
from tinygrad_rnn.kernels.pooling.reference import added, largest

__all__ = ["max_pool", "max_pool_input"]

_SOURCE = Path(__file__).with_name("pooling.cu")


def max_pool(x, kernel, windows):
    xp = require(__name__)
    if x.dtype.char not in "fd":
        return largest(xp, x, kernel, windows)
    places = windows.places(x.shape[2:], kernel)
    y = xp.empty((*x.shape[:2], *places), x.dtype)
    at = xp.empty(y.shape, np.int32)
    before = tuple(first for first, _ in windows.padding)
    sizes = [x.shape[2:], places, kernel, windows.stride, before]
    if len(kernel) == 1:  # rows of one number each, none of them before the first
        sizes = [(0 if pair is before else 1, *pair) for pair in sizes]
    launch(
        load(_SOURCE, Real=x.dtype).get_function("max_pool"), y.size,
        xp.ascontiguousarray(x), y, at, np.int64(prod(x.shape[:2])), *map(np.int64, sum(sizes, ())),
    )  # fmt: skip
    return y, at


def max_pool_input(g, places, sizes):
    xp = require(__name__)
    if g.dtype.char not in "fd":
        return added(xp, g, places, sizes)
    dx, planes = xp.zeros((*g.shape[:2], *sizes), g.dtype), prod(g.shape[:2])
    g, places = xp.ascontiguousarray(g), xp.ascontiguousarray(places)
    if g.size:
        launch(
            load(_SOURCE, Real=g.dtype).get_function("max_pool_input"), planes * 32,
            g, places, dx, *map(np.int64, (planes, g.size // planes, prod(sizes))),
        )  # fmt: skip
    return dx
