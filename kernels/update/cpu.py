"""Updates on the CPU: one kernel for a rule, one dispatch for all arrays that differ in numbers."""

import math
from ctypes import addressof, c_char
from functools import cache

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel, load_source
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import add, fill, fma, load, mul, total
from tinygrad_rnn.kernels._vector import element_size, lanes
from tinygrad_rnn.kernels.update.norms import clip_by, norm_by
from tinygrad_rnn.kernels.update.writer import BLOCK, text_of

__all__ = ["clip", "norm", "sum_of_squares", "touched", "update"]

_GRAIN = 8  # blocks that are worth another thread


@cache
def _kernel_of(text):
    return load_source("update", text).update


def update(items):
    batches, last, dtype = {}, None, None
    for equations, arrays, places in items:
        first = arrays[equations.names[0]]
        if equations is not last or first.dtype is not dtype:  # mostly those of the item before
            last, names, dtype = equations, equations.names, first.dtype
            key = text_of(equations), names, dtype
            settings, table, parts = batches.setdefault(key, ({}, [], []))
            which = settings.setdefault(equations.numbers, len(settings))
        row = [first.size, which]
        for name in names:
            row.append(_address(arrays[name]))
        if places is None:
            table.append(row)
        else:
            parts.append(_at_places(row, first, places))
    for (text, _, dtype), (settings, table, parts) in batches.items():
        if table:
            parts.append(np.array(table, np.int64))
        numbers = np.array(list(settings), dtype).reshape(len(settings), -1)
        _over_blocks(_kernel_of(text), np.concatenate(parts), numbers)


def _address(array):
    try:
        return addressof(c_char.from_buffer(array))  # four times as fast as the other way
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data


def _at_places(row, array, places):
    """A row of the table for each place."""
    places = np.asarray(places)
    places = places.nonzero()[0] if places.dtype == bool else places
    count = array.size // max(1, len(array))
    table = np.empty((len(places), len(row)), np.int64)
    table[:] = count, *row[1:]
    table[:, 2:] += (np.asarray(places, np.int64) * (count * array.itemsize))[:, None]
    return table


def _over_blocks(kernel, table, *rest):
    starts = np.zeros(len(table) + 1, np.int64)
    np.cumsum(-(-table[:, 0] // BLOCK), out=starts[1:])
    parallel(kernel, int(starts[-1]), table, starts, *rest, grain=_GRAIN)
    return starts


@kernel("intp, intp, const(T[:, ::1]), boolean[::1]")
def _find(first, stop, x, found):
    for row in range(first, stop):
        any_here = False
        for i in range(x.shape[1]):
            any_here |= x[row, i] != 0
        found[row] = any_here


def touched(x):
    rows = np.ascontiguousarray(x).reshape(len(x), x.size // max(1, len(x)))
    found = np.empty(len(x), np.bool_)
    parallel(_find, len(rows), rows, found, grain=1 + 32_768 // (1 + rows.shape[1]))
    return found.nonzero()[0]


@kernel(
    "intp, intp, const(int64[:, ::1]), const(int64[::1]), T, T[::1]",
    fastmath=NO_FASTMATH,
)
def _square_blocks(first, stop, table, starts, scale, sums):
    like = sums
    size, step, row = element_size(like), lanes(like), 0
    factor = fill(like, scale)
    for block in range(first, stop):
        while block >= starts[row + 1]:
            row += 1
        begin = (block - starts[row]) * BLOCK
        end = min(begin + BLOCK, table[row, 0])
        a = b = c = d = fill(like, type(scale)(0))
        for u in range(begin, end, 4 * step):
            j = table[row, 2] + u * size
            x = mul(factor, load(like, j, end - u))
            a = fma(x, x, a)
            x = mul(factor, load(like, j + step * size, end - u - step))
            b = fma(x, x, b)
            x = mul(factor, load(like, j + 2 * step * size, end - u - 2 * step))
            c = fma(x, x, c)
            x = mul(factor, load(like, j + 3 * step * size, end - u - 3 * step))
            d = fma(x, x, d)
        sums[block] = total(add(add(a, b), add(c, d)))


def sum_of_squares(arrays, scale):
    sums = []
    for dtype in {array.dtype for array in arrays}:
        same = [np.ascontiguousarray(array) for array in arrays if array.dtype == dtype]
        table = np.array([[array.size, 0, _address(array)] for array in same], np.int64)
        blocks = int((-(-table[:, 0] // BLOCK)).sum())
        here = empty(blocks, dtype)
        _over_blocks(_square_blocks, table, dtype.type(scale), here)
        sums += here.tolist()
    try:
        return math.fsum(sums)
    except OverflowError:
        return math.inf


def norm(arrays):
    return norm_by(sum_of_squares, arrays)


def clip(arrays, most):
    return clip_by(sum_of_squares, update, arrays, most)
