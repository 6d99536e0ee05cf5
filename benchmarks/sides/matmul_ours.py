"""Products by the library: alone, and fifty in one dispatch with the right factor packed."""

import numpy as np
from sides.sizes import FORMS, parse

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import team
from tinygrad_rnn.kernels._vector import address, element_size, lanes
from tinygrad_rnn.kernels.matmul import matmul, pack
from tinygrad_rnn.kernels.matmul.cpu_block import rows_times_panels
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_VECTORS


@kernel("intp, intp, const(T[:, ::1]), const(T[::1]), T[:, ::1], intp, intp", fastmath=NO_FASTMATH)
def repeated(worker, workers, a, panels, c, by_rows, times):
    """Multiply again and again; each worker does its rows or its panels."""
    size, width = element_size(c), TILE_VECTORS * lanes(c)
    rows, k, columns = a.shape[0], a.shape[1], c.shape[1]
    top, bottom, left, right = 0, rows, 0, columns
    if by_rows:
        top, bottom = rows * worker // workers, rows * (worker + 1) // workers
    else:
        count = (columns + width - 1) // width
        left = min(columns, count * worker // workers * width)
        right = min(columns, count * (worker + 1) // workers * width)
    for _ in range(times):
        rows_times_panels(
            c, address(a) + top * a.strides[0], a.strides[0], a.strides[1],
            address(panels) + left * k * size, 0, lanes(c) * size, k * width * size, 0,
            address(c) + top * c.strides[0] + left * size, c.strides[0],
            0, 0, bottom - top, k, right - left, False, False,
        )  # fmt: skip


def aligned(shape, dtype):
    array = empty(shape, dtype)
    array[...] = np.random.default_rng(0).standard_normal(shape)
    return array


def case(name):
    form, M, K, N, dtype = parse(name)
    shape_a, shape_b = FORMS[form](M, K, N)
    a, b = aligned(shape_a, dtype), aligned(shape_b, dtype)
    if form == "fifty":
        c, packed = empty((M, N), dtype), pack(b)
        by_rows = K * N * c.itemsize <= 1 << 20
        return lambda: team(repeated, a, packed.panels, c, by_rows, 50)
    if form == "a bT":
        b = b.T
    if form == "aT b":
        a = a.T
    out = empty((a.shape[0], b.shape[1]), dtype)
    return lambda: matmul(a, b, out=out)
