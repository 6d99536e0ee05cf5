"""On the CPU: threads share the columns, so that each adds up all rows in their order."""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import add, load, store
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of
from tinygrad_rnn.kernels.rows import reference

__all__ = ["add_rows"]

_WORTH = 20_000  # vectors that are worth waking a thread for


@kernel("intp, intp, T[:, ::1], const(int64[::1]), const(T[:, ::1])", fastmath=NO_FASTMATH)
def _add(first, stop, total, ids, rows):
    """Add the vectors from ``first`` to ``stop`` of every row."""
    size, step, E = element_size(rows), lanes(rows), rows.shape[1]
    for n in range(len(ids)):
        here, there = address(rows) + n * E * size, address(total) + ids[n] * E * size
        for v in range(first, stop):
            j = v * step
            rest, at = E - j, there + j * size
            store(rows, at, rest, add(load(rows, at, rest), load(rows, here + j * size, rest)))


def add_rows(total, ids, rows):
    if total.dtype.char not in "fd":
        reference.add_rows(total, ids, rows)
        return
    grain = 1 + _WORTH // (len(ids) + 1)
    parallel(_add, -(-rows.shape[1] // lanes_of(rows.dtype)), total, ids, rows, grain=grain)
