"""Noise on the CPU: a vector of units at a time, a row a slice."""

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import store
from tinygrad_rnn.kernels._threefry import noise, step_key
from tinygrad_rnn.kernels._vector import address, element_size, lanes

__all__ = ["uniform"]


@kernel(
    "intp, intp, intp, intp, const(int64[::1]), const(uint32[::1]), T[:, ::1]",
    fastmath=NO_FASTMATH,
)
def _fill(first, stop, key, site, steps, rows, out):
    size, step = element_size(out), lanes(out)
    for place in range(first, stop):
        here = step_key(key, site, steps[place // len(rows)])
        row = np.intp(rows[place % len(rows)])
        for u in range(0, out.shape[1], step):
            target = address(out) + (place * out.shape[1] + u) * size
            store(out, target, out.shape[1] - u, noise(out, here, row, u))


def uniform(key, site, steps, rows, width, like):
    steps = np.ascontiguousarray(steps, np.int64)
    rows = np.ascontiguousarray(rows, np.uint32)
    out = empty((len(steps) * len(rows), width), like.dtype)
    parallel(_fill, len(out), key, site, steps, rows, out, grain=1 + 20_000 // (width + 1))
    return out.reshape(len(steps), len(rows), width)
