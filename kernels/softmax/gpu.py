"""On the GPU: a block of threads a row, which is read from memory once and from the cache again.

How many threads it has depends on the width alone, and so do the bits of a row.
"""

import math
from pathlib import Path

import numpy as np

from tinygrad_rnn.kernels._cuda import launch, load, require

__all__ = ["class_losses", "row_best", "row_slopes", "row_sums"]

_SOURCE = Path(__file__).with_name("softmax.cu")
_MOST_BYTES = 160 * 1024  # of shared memory a block that GPUs since 8.0 have, for classes


def _kernel(x, name):
    return load(_SOURCE, Real=x.dtype).get_function(name)


def _threads(width):
    """Eight scores a thread and more, where there are as many."""
    return 32 if width <= 256 else 128 if width <= 2048 else 256 if width <= 8192 else 512


def row_sums(x, weights=None, out=None):
    xp = require(__name__)
    x = xp.ascontiguousarray(x)
    (height, width), dtype = x.shape, x.dtype
    top, total = xp.empty(height, dtype), xp.empty(height, dtype)
    lean = None if weights is None else xp.empty(height, dtype)
    weights = None if weights is None else xp.ascontiguousarray(weights)
    target = _target(xp, x, out)
    launch(
        _kernel(x, "sums"), (height,), x, np.int64(width), weights, top, total, lean, target,
        block=_threads(width),
    )  # fmt: skip
    _into(out, target)
    return top, total, lean


def row_best(x, count):
    xp = require(__name__)
    x = xp.ascontiguousarray(x)
    (height, width), dtype = x.shape, x.dtype
    threads = max(128, _threads(width))
    asked, count = count, min(count, width, _MOST_BYTES // (4 * dtype.itemsize) - threads)
    classes = threads * -(-max(threads, 4 * count) // threads)
    room = 4 * count + 8
    top, total, most = (xp.empty(height, dtype) for _ in range(3))
    token, found = xp.empty((height, room), np.int64), xp.empty(height, np.int64)
    # log P is off by less than eps (top - x + log total), and log total at most log(width).
    slack = dtype.type(4 * np.finfo(dtype).eps * (2 + math.log(width + 1)))
    launch(
        _kernel(x, "best"), (height,), x, np.int64(width), np.int32(count), np.int32(classes),
        slack, np.int64(room), top, total, most, token, found,
        block=threads, shared=classes * dtype.itemsize,
    )  # fmt: skip
    if count < min(asked, width):
        found = xp.maximum(found, room + 1)  # more than there is room for, and for their classes
    return top, total, most, token, found


def row_slopes(x, top, total, g, even=None, weights=None, out=None):
    xp = require(__name__)
    x = xp.ascontiguousarray(x)
    height, width = x.shape
    target = xp.empty(x.shape, x.dtype) if out is None else _target(xp, x, out)
    rows = [None if a is None else xp.ascontiguousarray(a) for a in (top, total, g, even, weights)]
    threads = _threads(width)
    parts = min(65535, -(-width // (8 * threads)))
    launch(_kernel(x, "slopes"), (height, parts), x, np.int64(width), *rows, target, block=threads)
    _into(out, target)
    return target if out is None else out


def class_losses(x, ids, hard, even=None, weights=None):
    xp = require(__name__)
    height, width = x.shape
    losses, factors = xp.empty(height, x.dtype), xp.empty(height, x.dtype)
    rows = [None if a is None else xp.ascontiguousarray(a) for a in (hard, even, weights)]
    weight = None if even is None else rows[2].sum()
    target = _target(xp, x, x)
    if target is not x:
        target[...] = x
    launch(
        _kernel(x, "class_losses"), (height,), target, np.int64(width),
        xp.ascontiguousarray(ids, dtype=np.int64), *rows, weight, losses, factors,
        block=_threads(width),
    )  # fmt: skip
    _into(x, target)
    return losses, factors


def _target(xp, x, out):
    """Where a kernel writes what belongs in ``out``, which may have gaps."""
    if out is None or out.flags.c_contiguous:
        return out
    return xp.empty(x.shape, x.dtype)


def _into(out, target):
    if target is not out and out is not None:
        out[...] = target
