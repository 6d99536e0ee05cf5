"""Matrix products on the CPU: packing, cache blocks, tiles.

A call is cut into pieces, one a thread: parts of the batch, of the rows, or of the columns.
Each packs what it reads of B into scratch memory of its own, block by block, and runs tiles
over it, so that one dispatch does all and nobody waits in the middle.
"""

from math import prod

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import num_threads, parallel
from tinygrad_rnn.kernels.matmul import PackedMatrix
from tinygrad_rnn.kernels.matmul.cpu_pack import pack_panel, pack_rows, tile_height
from tinygrad_rnn.kernels.matmul.cpu_tile import (
    TILE_VECTORS,
    address,
    element_size,
    lanes,
    lanes_of,
    tile,
)

__all__ = ["matmul", "pack", "rows_times_panels"]

DEPTH = 256  # rows of B in a block: with WIDTH columns about half of a second-level cache
WIDTH = 960
HEIGHT = 64  # rows of A in a block, where A is packed

DIRECT, PACK, PACKED = 0, 1, 2  # how B is read: where it is, through scratch, from panels
BATCH, ROWS, COLUMNS = 0, 1, 2  # what is divided among the threads

FROM_ZERO, FROM_BIAS, FROM_OUT = 0, 1, 2  # where the sums start

_ONE = np.zeros((1, 4), np.intp)
_NO_SCRATCH = {char: np.zeros(0, char) for char in "fd"}
_FLOPS_WORTH_A_DISPATCH = 4e6
_FEW_ROWS = 8


@helper(fastmath=NO_FASTMATH)
def rows_times_panels(
    like, a, a_row, a_col, b, b_row, b_step, skip, c, c_row, start, start_row, rows, k, columns
):
    """Multiply rows of A with the panels of B, leaving out the panels' first ``skip`` rows.

    ``b_step`` is the distance of two panels, ``b_row`` that of two rows in a panel, or 0
    where panels are packed: their rows are as long as the panel is wide.
    """
    size, step = element_size(like), lanes(like)
    width = TILE_VECTORS * step
    for j in range(0, columns, width):
        vectors = min(TILE_VECTORS, (columns - j + step - 1) // step)
        last = min(width, columns - j) - (vectors - 1) * step
        row = b_row if b_row != 0 else vectors * step * size
        panel = b + j // width * b_step + skip * row
        i = 0
        while i < rows:
            height = tile_height(rows - i)
            here = start + i * start_row + j * size if start != 0 else 0
            there = c + i * c_row + j * size
            tile(
                like, height, vectors, a + i * a_row, a_row, a_col, panel, row,
                there, c_row, here, start_row, k, last,
            )  # fmt: skip
            i += height


@helper(fastmath=NO_FASTMATH)
def _pack_block(like, b, b_row, b_col, target, depth, columns):
    """Pack a block of B, panel by panel."""
    width = TILE_VECTORS * lanes(like)
    for j in range(0, columns, width):
        place = target + j * depth * element_size(like)
        pack_panel(like, b + j * b_col, b_row, b_col, place, depth, min(width, columns - j))


@helper(fastmath=NO_FASTMATH)
def _multiply(
    like, a, a_row, a_col, b, b_row, b_col, c, c_row, start, start_row,
    rows, k, columns, how, pack_a, scratch,
):  # fmt: skip
    """Compute a part of C from rows of A and columns of B."""
    size = element_size(like)
    width = TILE_VECTORS * lanes(like)
    block = WIDTH // width * width
    packed_a = scratch + WIDTH * min(k, DEPTH) * size if how == PACK else scratch
    for j in range(0, columns, block):
        wide = min(block, columns - j)
        for q in range(0, max(k, 1), DEPTH):
            depth = min(k - q, DEPTH)
            if how == PACK:
                _pack_block(like, b + q * b_row + j * b_col, b_row, b_col, scratch, depth, wide)
                panels, panel_row, panel_step, skip = scratch, 0, depth * width * size, 0
            elif how == PACKED:
                panels, panel_row, panel_step, skip = b + j * k * size, 0, k * width * size, q
            else:
                panels, panel_row, panel_step, skip = b + j * size, b_row, width * size, q
            here = c + j * size if q > 0 else (start + j * size if start != 0 else 0)
            here_row = c_row if q > 0 else start_row
            for i in range(0, rows, HEIGHT):
                high = min(HEIGHT, rows - i)
                part, part_row, part_col = a + i * a_row + q * a_col, a_row, a_col
                if pack_a:
                    pack_rows(like, part, part_row, part_col, packed_a, high, depth)
                done = 0
                while done < high:
                    height = tile_height(high - done)
                    tiles = part + done * a_row
                    if pack_a:
                        tiles = packed_a + done * depth * size
                        part_row, part_col = size, height * size
                    rows_times_panels(
                        like, tiles, part_row, part_col, panels, panel_row, panel_step, skip,
                        c + (i + done) * c_row + j * size, c_row,
                        here + (i + done) * here_row if here != 0 else 0, here_row,
                        height, depth, wide,
                    )  # fmt: skip
                    done += height


@kernel(
    "intp, intp, intp, intp, const(T[:, :]), const(T[:, :]), const(T[:, :]), T[:, :],"
    "const(intp[:, ::1]), T[::1], intp, intp, intp, intp",
    fastmath=NO_FASTMATH,
)
def _products(
    first, stop, pieces, divided, a, b, start, c, offsets, scratch, begin, how, pack_a, k
):
    """Do the pieces from ``first`` to ``stop`` of a stack of products."""
    size = element_size(c)
    count, rows, columns = len(offsets), c.shape[0], c.shape[1]
    a_row, a_col, c_row = a.strides[0], a.strides[1], c.strides[0]
    b_row, b_col = b.strides[0], b.strides[1]
    start_row = c_row if begin == FROM_OUT else 0
    unit = TILE_VECTORS * lanes(c) if how == PACKED else lanes(c)
    units = (columns + unit - 1) // unit
    # Each slice of pieces runs in one thread and takes the scratch of its first piece.
    own = address(scratch) + first * (len(scratch) // pieces) * size
    for piece in range(first, stop):
        low, high, top, bottom, left, right = 0, count, 0, rows, 0, columns
        if divided == BATCH:
            low, high = count * piece // pieces, count * (piece + 1) // pieces
        elif divided == ROWS:
            top, bottom = rows * piece // pieces, rows * (piece + 1) // pieces
        else:
            left = min(columns, units * piece // pieces * unit)
            right = min(columns, units * (piece + 1) // pieces * unit)
        b_left = left * k * size if how == PACKED else left * b_col
        for item in range(low, high):
            here = 0
            if begin != FROM_ZERO:
                here = address(start) + offsets[item, 3] + top * start_row + left * size
            _multiply(
                c,
                address(a) + offsets[item, 0] + top * a_row, a_row, a_col,
                address(b) + offsets[item, 1] + b_left, b_row, b_col,
                address(c) + offsets[item, 2] + top * c_row + left * size, c_row,
                here, start_row, bottom - top, k, right - left, how, pack_a, own,
            )  # fmt: skip


@kernel("intp, intp, const(T[:, :]), T[::1]", fastmath=NO_FASTMATH)
def _pack(first, stop, b, panels):
    """Pack the panels from ``first`` to ``stop``."""
    size, width = element_size(b), TILE_VECTORS * lanes(b)
    for panel in range(first, stop):
        j = panel * width
        pack_panel(
            b, address(b) + j * b.strides[1], b.strides[0], b.strides[1],
            address(panels) + j * b.shape[0] * size, b.shape[0], min(width, b.shape[1] - j),
        )  # fmt: skip


def pack(b):
    if b.ndim != 2:
        raise ShapeError(f"pack: b has shape {b.shape}, expected (K, N).")
    if b.dtype.char not in _NO_SCRATCH:
        raise DTypeError(f"pack: b is of {b.dtype}, expected float32 or float64.")
    K, N = b.shape
    step = lanes_of(b.dtype)
    panels = empty(K * -(-N // step) * step, b.dtype)
    width = TILE_VECTORS * step
    parallel(_pack, -(-N // width), b, panels, grain=max(1, 1 + 100_000 // (K * width + 1)))
    return PackedMatrix((K, N), panels, width, step)


def matmul(a, b, *, out=None, bias=None, accumulate=False):
    packed = type(b) is PackedMatrix
    (K, N), flat = b.shape[-2:], packed or b.ndim == 2
    if a.ndim < 2 or a.shape[-1] != K or (accumulate and out is None):
        _refuse(a, b, out, accumulate)
    dtype = a.dtype
    if dtype != b.dtype or dtype.char not in _NO_SCRATCH:
        raise DTypeError(
            f"matmul: a is of {dtype} and b of {b.dtype}; expected float32 or float64 for both."
        )
    batch, M = a.shape[:-2], a.shape[-2]
    if not flat:
        batch = np.broadcast_shapes(batch, b.shape[:-2])
    shape = (*batch, M, N)
    if out is None:
        c = empty(shape, dtype)
    else:
        c = _usable(out, shape, dtype, accumulate)
    start, begin = c, FROM_OUT if accumulate else FROM_ZERO
    if bias is not None:
        start, begin = _usable_bias(bias, N, dtype, accumulate)[None], FROM_BIAS
    if c.size:
        target, offsets, count = c, _ONE, 1
        if batch:
            if flat and c.flags.c_contiguous:
                # One tall product: what is packed of b serves the whole batch.
                a, target, M = a.reshape(-1, K), c.reshape(-1, N), prod(batch) * M
            else:
                offsets = _offsets(a, b, c, begin, batch, packed)
                count = len(offsets)
                a, target = a[(0,) * (a.ndim - 2)], c[(0,) * len(batch)]
                b = b if flat else b[(0,) * (b.ndim - 2)]
        if begin != FROM_BIAS:
            start = target
        _dispatch(a, b, start, target, offsets, begin, count, M, K, N)
    if c is not out and out is not None:
        out[...] = c
        return out
    return c


def _dispatch(a, b, start, c, offsets, begin, count, M, K, N):
    """Choose how to read the factors and how to divide the work, and do it."""
    dtype = c.dtype
    size = dtype.itemsize
    if type(b) is PackedMatrix:
        how, b = PACKED, b.panels[None]
    elif b.strides[1] == size and (M <= _FEW_ROWS or K * N <= 4096):
        how = DIRECT
    else:
        how = PACK
    flops = 2.0 * count * M * K * N
    pack_a = a.strides[1] != size and M > _FEW_ROWS and N > 64
    pieces, divided = 1, BATCH
    if flops > _FLOPS_WORTH_A_DISPATCH:
        pieces = num_threads()
        if count < 2 * pieces:
            few_columns = min(M, 100 * pieces) > N
            divided = ROWS if few_columns or (how == PACKED and M // pieces > 64) else COLUMNS
        if divided == ROWS:
            pieces = min(pieces, M)
    scratch = _NO_SCRATCH[dtype.char]
    if how == PACK or pack_a:
        depth = min(K, DEPTH)
        part = depth * (WIDTH if how == PACK else 0) + depth * HEIGHT
        scratch = empty(pieces * part, dtype)
    if pieces == 1:
        _products(0, 1, 1, BATCH, a, b, start, c, offsets, scratch, begin, how, pack_a, K)
    else:
        parallel(
            _products, pieces, pieces, divided,
            a, b, start, c, offsets, scratch, begin, how, pack_a, K,
        )  # fmt: skip


def _offsets(a, b, c, begin, batch, packed):
    """Return in bytes where each product of a stack finds a, b, c and its start."""
    offsets = np.zeros((prod(batch), 4), np.intp)
    for column, array in enumerate((a, b, c)):
        if array is b and packed:
            continue
        places = np.zeros(1, np.intp)
        skipped = len(batch) - (array.ndim - 2)
        for axis, n in enumerate(batch):
            stride = 0
            if axis >= skipped and array.shape[axis - skipped] > 1:
                stride = array.strides[axis - skipped]
            places = np.add.outer(places, np.arange(n) * stride).ravel()
        offsets[:, column] = places
    if begin == FROM_OUT:
        offsets[:, 3] = offsets[:, 2]
    return offsets


def _usable(out, shape, dtype, accumulate):
    """Return ``out``, or an array to stand in for it where its columns lie apart."""
    if out.shape != shape:
        raise ShapeError(f"matmul: out has shape {out.shape}, expected {shape}.")
    if out.dtype != dtype:
        raise DTypeError(f"matmul: out is of {out.dtype}, expected {dtype} as a and b are.")
    if not out.flags.writeable:
        raise ValueError("matmul: out is read-only.")
    if shape[-1] < 2 or out.strides[-1] == dtype.itemsize:
        return out
    stand_in = empty(shape, dtype)
    if accumulate:
        stand_in[...] = out
    return stand_in


def _usable_bias(bias, N, dtype, accumulate):
    if accumulate:
        raise ValueError("matmul: given a bias and accumulate=True, expected one of them at most.")
    if bias.shape != (N,):
        raise ShapeError(f"matmul: bias has shape {bias.shape}, expected {(N,)} from b.")
    if bias.dtype != dtype:
        raise DTypeError(f"matmul: bias is of {bias.dtype}, expected {dtype} as a and b are.")
    return np.ascontiguousarray(bias)


def _refuse(a, b, out, accumulate):
    if accumulate and out is None:
        raise ValueError("matmul: accumulate=True adds to what out holds, but out was not given.")
    raise ShapeError(
        f"matmul: a has shape {a.shape} and b {b.shape}; expected (..., M, K) and (..., K, N)."
    )
