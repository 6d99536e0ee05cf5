"""Rows on the CPU, written and summed."""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import add, load, store
from tinygrad_rnn.kernels._simd import fill as filled
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of
from tinygrad_rnn.kernels.recurrence.ends import no_rows

__all__ = ["column_sums", "fill"]

_SUMMED = 64  # rows that are summed before their sum is added to the others'


@kernel("intp, intp, const(T[:, ::1]), T[::1]", fastmath=NO_FASTMATH)
def _column_sums(first, stop, rows, sums):
    """Sum the rows, in blocks of a fixed height, for the vectors from ``first`` to ``stop``."""
    size, step = element_size(rows), lanes(rows)
    for v in range(first, stop):
        j = v * step
        n = rows.shape[1] - j
        total = filled(rows, 0.0)
        for top in range(0, rows.shape[0], _SUMMED):
            part = filled(rows, 0.0)
            for r in range(top, min(top + _SUMMED, rows.shape[0])):
                part = add(part, load(rows, address(rows) + (r * rows.shape[1] + j) * size, n))
            total = add(total, part)
        store(rows, address(sums) + j * size, n, total)


def column_sums(rows):
    """The sum of the rows."""
    sums = empty(rows.shape[1], rows.dtype)
    vectors = -(-rows.shape[1] // lanes_of(rows.dtype))
    parallel(_column_sums, vectors, rows, sums, grain=1 + 20_000 // (rows.shape[0] * 16 + 1))
    return sums


@kernel("intp, intp, T[:, ::1], const(T[:, ::1])", fastmath=NO_FASTMATH)
def _fill(first, stop, target, rows):
    """Copy the rows from ``first`` to ``stop``, or write zeros where there are none."""
    size, step = element_size(target), lanes(target)
    width = target.shape[1]
    for r in range(first, stop):
        for j in range(0, width, step):
            place = (r * width + j) * size
            vector = filled(target, 0.0)
            if len(rows) > 0:
                vector = load(target, address(rows) + place, width - j)
            store(target, address(target) + place, width - j, vector)


def fill(target, rows):
    """Write rows, or zeros where there are none: a kernel, so that it can be written down."""
    rows = no_rows(target) if rows is None else rows
    parallel(_fill, len(target), target, rows, grain=1 + 20_000 // (target.shape[1] + 1))
