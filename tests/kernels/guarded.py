"""Run every tile remainder on arrays between forbidden pages. A script: a touch outside kills it.

Bounds checking sees neither a micro-kernel's own loads nor its stores, so each operand is
placed to end where a page begins that nobody may read, and once more to start right after
such a page.
"""

import ctypes
import mmap

import numpy as np

from tinygrad_rnn.kernels import _pool
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._vector import lanes_of
from tinygrad_rnn.kernels.matmul import PackedMatrix, cpu, matmul, pack
from tinygrad_rnn.kernels.matmul.cpu_tile import ROW_VECTORS, TILE_ROWS, TILE_VECTORS
from tinygrad_rnn.kernels.pointwise import exp, sigmoid, tanh

PAGE = mmap.PAGESIZE
_mprotect = ctypes.CDLL(None, use_errno=True).mprotect


class Fenced:
    """Memory between two pages that may not be touched; for one array at a time."""

    def __init__(self, size):
        self.size = -(-size // PAGE) * PAGE
        self.memory = mmap.mmap(-1, self.size + 2 * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for page in (start, start + PAGE + self.size):
            if _mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    def hold(self, array, at_end):
        """Copy an array, in its order in memory, to one of the ends."""
        offset = PAGE + (self.size - array.nbytes if at_end else 0)
        flipped = array.ndim > 1 and not array.flags.c_contiguous
        source = array.T if flipped else array
        held = np.ndarray(source.shape, array.dtype, self.memory, offset)
        held[...] = source
        return held.T if flipped else held


A, B, C, START, PANELS, SCRATCH = (Fenced(1 << 20) for _ in range(6))


def fence_scratch(at_end):
    """Let products take their scratch memory, and fresh results, from between the fences."""

    def empty(shape, dtype):
        fence = C if isinstance(shape, tuple) else SCRATCH
        return fence.hold(np.zeros(shape, dtype), at_end)

    cpu.empty, cpu._SMALL_SCRATCH = empty, 0


def check_product(a, b, expected, at_end):
    a, b = A.hold(a, at_end), B.hold(b, at_end)
    assert np.array_equal(matmul(a, b), expected)
    out = C.hold(np.zeros(expected.shape, a.dtype), at_end)
    bias = START.hold(np.zeros(expected.shape[1:], a.dtype), at_end)
    assert np.array_equal(matmul(a, b, out=out, bias=bias), expected)
    packed = pack(b)
    panels = PANELS.hold(packed.panels, at_end)
    packed = PackedMatrix(packed.shape, panels, packed.width, packed.lanes)
    out = C.hold(np.zeros(expected.shape, a.dtype), at_end)
    assert np.array_equal(matmul(a, packed, out=out, accumulate=True), expected)


def check_products(dtype, at_end):
    fence_scratch(at_end)
    lanes = lanes_of(dtype)
    rows, depth, columns = TILE_ROWS + 1, lanes + 3, (TILE_VECTORS + 1) * lanes + 1
    pairs = 2 * TILE_VECTORS * lanes  # columns from which one row takes two panels at a time
    rng = np.random.default_rng(0)
    wide = ROW_VECTORS * lanes + columns
    a, b = rng.integers(-9, 9, (rows, depth)), rng.integers(-9, 9, (depth, wide))
    sizes = [(rows, depth, N) for N in range(1, columns + 1)]
    sizes += [(M, 2, N) for M in range(1, rows + 1) for N in (1, lanes - 1, columns)]
    sizes += [(3, K, columns) for K in range(depth + 1)]
    sizes += [(1, 3, N) for N in (pairs - 1, pairs, pairs + 1, pairs + columns, wide)]
    sizes += [(1, 3, wide - columns + n) for n in (-1, 0, 1)]
    sizes += [(M, 1, N) for M in (1, rows) for N in range(1, 2 * lanes + 2)]
    sizes += [(1, K, N) for K in range(depth + 1) for N in (1, lanes - 1, lanes, lanes + 1)]
    for M, K, N in sizes:
        x, y = a[:M, :K].astype(dtype), b[:K, :N].astype(dtype)
        expected = sum((x[:, k, None] * y[k] for k in range(K)), np.zeros((M, N), dtype))
        flipped_x, flipped_y = np.asfortranarray(x), np.asfortranarray(y)
        for left, right in ((x, y), (x, flipped_y), (flipped_x, y)):
            check_product(left, right, expected, at_end)


def check_packed(dtype, at_end):
    """Products whose factors are packed, one of them or both, as if they were large."""
    fence_scratch(at_end)
    before = cpu._MANY_ROWS, cpu._SOME_ROWS, cpu._FEW_ROWS, cpu._MANY_COLUMNS
    never = 10**9
    for rows, columns in ((0, 0), (never, 0), (0, never)):
        cpu._MANY_ROWS = cpu._SOME_ROWS = cpu._FEW_ROWS = rows
        cpu._MANY_COLUMNS = columns
        for M in (65, 70):
            for K in (5, 300 if M == 65 else 17):
                x = np.asfortranarray(np.ones((M, K), dtype))
                for y in (np.ones((K, 65), dtype), np.ones((65, K), dtype).T):
                    check_product(x, y, np.full((M, 65), K, dtype), at_end)
    cpu._MANY_ROWS, cpu._SOME_ROWS, cpu._FEW_ROWS, cpu._MANY_COLUMNS = before


def check_pieces(dtype, at_end):
    """Products divided among threads, which have scratch memory side by side."""
    before = cpu._SECONDS_WORTH_A_DISPATCH, _pool.num_threads()
    cpu._SECONDS_WORTH_A_DISPATCH = 0.0
    _pool.set_num_threads(3)
    rng = np.random.default_rng(0)
    for N in range(1, 100):
        x, y = (rng.integers(-9, 9, shape).astype(dtype) for shape in ((100, 5), (N, 5)))
        expected = sum(x[:, k, None] * y[:, k] for k in range(5))
        check_product(x, y.T, expected, at_end)
    cpu._SECONDS_WORTH_A_DISPATCH = before[0]
    _pool.set_num_threads(before[1])


def check_pointwise(dtype, at_end):
    for size in range(2 * lanes_of(dtype) + 2):
        x = A.hold(np.ones(size, dtype), at_end)
        for function in (exp, tanh, sigmoid):
            function(x, B.hold(x, at_end))


if __name__ == "__main__":
    for dtype in (np.float32, np.float64):
        for at_end in (True, False):
            check_products(dtype, at_end)
            check_pieces(dtype, at_end)
            check_pointwise(dtype, at_end)
            if not DISABLED:  # the twins would take minutes
                check_packed(dtype, at_end)
    print("nothing outside was touched")  # noqa: T201
