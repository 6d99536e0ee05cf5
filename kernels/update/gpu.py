"""Updates on the GPU: one launch for all arrays that differ in numbers, and none of it waited for.

What a launch is to do stands in a table that travels with it: how many numbers there are, and
the addresses of the arrays. Lengths and factors are computed on the device and stay there.
"""

from pathlib import Path

import numpy as np

from tinygrad_rnn.kernels._cuda import launch, load, module, require
from tinygrad_rnn.kernels.update import reference
from tinygrad_rnn.kernels.update.norms import clip_by, norm_by
from tinygrad_rnn.kernels.update.writer_cuda import BLOCK, text_of

__all__ = ["clip", "norm", "sum_of_squares", "touched", "update"]

_SOURCE = Path(__file__).with_name("update.cu")
_MOST_THREADS = 256
_WAYS = 3  # in which the source sums squares
_ENDLESS = float("inf")


def update(items):
    batches = {}
    for equations, arrays, places in items:
        names = equations.names
        first = arrays[names[0]]
        if first.dtype.char not in "fd":
            reference.update([(equations, arrays, places)])
            continue
        key = text_of(equations), names, first.dtype, first.device.id
        settings, table, kept = batches.setdefault(key, ({}, [], []))
        which = settings.setdefault(equations.numbers, len(settings))
        count, at, chosen, width = _extent(first, places, kept)
        if count:
            addresses = [arrays[name].data.ptr for name in names]
            table.append([count, which, at, chosen, width, *addresses])
    for (text, _, dtype, number), (settings, table, _) in batches.items():
        if table:
            with require(__name__).cuda.Device(number):
                _launch_update(text, dtype, settings, table)


def _extent(array, places, kept):
    """How many numbers, the addresses of places and of booleans, and what either counts."""
    width = array.size // max(1, len(array)) if array.ndim else 1
    if places is None:
        return array.size, 0, 0, max(1, width)
    xp = require(__name__)
    with array.device:
        if places.dtype == bool:
            places = xp.ascontiguousarray(xp.asarray(places))
            here = array.size, 0, places.data.ptr, max(1, width)
        else:
            places = xp.ascontiguousarray(xp.asarray(places), np.int64)
            here = len(places) * width, places.data.ptr, 0, max(1, width)
    kept.append(places)  # until the launch
    return here


def _launch_update(text, dtype, settings, table):
    numbers = np.array(list(settings), dtype).tobytes()
    table, blocks = _packed(table, numbers + bytes(-len(numbers) % 8))
    kernel = module(text, "update.cu", Real=dtype).get_function("update")
    rows = np.int64(table[1])
    launch(kernel, (blocks,), table[0], rows, block=_MOST_THREADS)


def _packed(rows, more=b""):
    """The table on the device with the number of its rows, and the number of blocks."""
    table = np.array(rows, np.int64)
    starts = np.zeros(len(table) + 1, np.int64)
    np.cumsum(-(-table[:, 0] // BLOCK), out=starts[1:])
    whole = np.concatenate([table.ravel(), starts, np.frombuffer(more, np.int64)])
    return (require(__name__).asarray(whole), len(table)), int(starts[-1])


# ----- what is asked of gradients -----


def _kernel(name, dtype):
    source = load(_SOURCE, Real=dtype, BLOCK=BLOCK, MOST_THREADS=_MOST_THREADS)
    return source.get_function(name)


def touched(x):
    xp = require(__name__)
    rows, width = len(x), x.size // max(1, len(x))
    if x.dtype.char not in "fd":
        return (x != 0).reshape(rows, width).any(axis=1)
    with x.device:
        found = xp.empty(rows, np.bool_)
        kernel = _kernel("touched", x.dtype)
        x = xp.ascontiguousarray(x)
        launch(kernel, rows * 32, x, found, np.int64(rows), np.int64(width))
    return found


def sum_of_squares(arrays, scale):
    by_device = {}
    for array in arrays:
        array = array.astype(np.float32) if _is_half(array) else array
        by_device.setdefault(array.device.id, []).append(array)
    sums = [_summed(some, scale, _ENDLESS)[0][0] for some in by_device.values()]
    return sums[0] if len(sums) == 1 else sum(map(float, sums))


def norm(arrays):
    if not _at_once(arrays):
        return norm_by(sum_of_squares, arrays)
    return _summed(arrays, 1.0, _ENDLESS)[0][1]


def clip(arrays, most):
    if not _at_once(arrays):
        return clip_by(sum_of_squares, update, arrays, most)
    found, tables = _summed(arrays, 1.0, most)
    for dtype, (table, rows), blocks in tables:
        launch(
            _kernel("scale_all", dtype), (blocks,), table, np.int64(rows), found[2:],
            block=_MOST_THREADS,
        )  # fmt: skip
    return found[1]


def _at_once(arrays):
    """Whether one GPU can do all of it: the kernels know no numbers of half precision."""
    return len({array.device.id for array in arrays}) == 1 and not any(map(_is_half, arrays))


def _is_half(array):
    return array.dtype.char == "e"


def _summed(arrays, scale, most):
    """Sum of squares, norm, and factor, of arrays of one device; and their tables by types."""
    xp, tables = require(__name__), []
    with arrays[0].device:
        arrays = [a if a.flags.c_contiguous else xp.ascontiguousarray(a) for a in arrays if a.size]
        for dtype in sorted({array.dtype for array in arrays}):
            rows = [[a.size, a.data.ptr] for a in arrays if a.dtype == dtype]
            tables.append((dtype, *_packed(rows)))
        blocks = sum(count for _, _, count in tables)
        sums, found, first = xp.empty((blocks, _WAYS)), xp.empty(3), 0
        for dtype, (table, rows), count in tables:
            launch(
                _kernel("squares", dtype), (count,), table, np.int64(rows), np.float64(scale),
                sums[first:], block=_MOST_THREADS,
            )  # fmt: skip
            first += count
        widest = tables[-1][0] if tables else np.dtype(np.float32)
        launch(
            _kernel("summed", widest), (1,), sums, np.int64(blocks), np.float64(most), found,
            block=_MOST_THREADS,
        )  # fmt: skip
    return found, tables
