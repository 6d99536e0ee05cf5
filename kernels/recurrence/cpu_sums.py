"""Sums of rows on the CPU, in blocks of a fixed height."""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import add, fill, load, store
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of

__all__ = ["column_sums"]

_SUMMED = 64  # rows that are summed before their sum is added to the others'


@kernel("intp, intp, const(T[:, ::1]), T[::1]", fastmath=NO_FASTMATH)
def _column_sums(first, stop, rows, sums):
    """Sum the rows, in blocks of a fixed height, for the vectors from ``first`` to ``stop``."""
    size, step = element_size(rows), lanes(rows)
    for v in range(first, stop):
        j = v * step
        n = rows.shape[1] - j
        total = fill(rows, 0.0)
        for top in range(0, rows.shape[0], _SUMMED):
            part = fill(rows, 0.0)
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
