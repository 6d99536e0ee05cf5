"""Matrix products on the CPU: what a call does, and how it is divided.

A call is cut into pieces, one a thread: parts of the batch, of the rows, or of the columns.
Each runs tiles over B as it lies, over panels, or over what it packs block by block into
scratch memory of its own, so that one dispatch does all and nobody waits in the middle. Thin
products need no tiles.
"""

import threading
from functools import lru_cache
from math import ceil, prod

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._chain import Link
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import are_noted, num_threads, parallel
from tinygrad_rnn.kernels._ufunc import AVAILABLE
from tinygrad_rnn.kernels._vector import lanes_of
from tinygrad_rnn.kernels.matmul import PackedMatrix
from tinygrad_rnn.kernels.matmul.checks import check_product
from tinygrad_rnn.kernels.matmul.cpu_block import (
    BATCH,
    COLUMNS,
    DIRECT,
    FROM_BIAS,
    FROM_OUT,
    FROM_ZERO,
    ONE_ROW,
    ONE_TERM,
    PACK,
    PACKED,
    ROWS,
    pack_panels,
    products,
    scratch_size,
    small_products,
)
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_ROWS, TILE_VECTORS

__all__ = ["matmul", "pack", "product_link"]

# B is packed from so many rows of A on: the fewer, the worse it lies in a cache, see below. So is a
# transposed A, for more columns of B than these.
_MANY_ROWS, _SOME_ROWS, _FEW_ROWS = 512, 300, 96
_MANY_COLUMNS, _FEW_COLUMNS = 256, 64
_SECONDS_WORTH_A_DISPATCH = 20e-6
_PIECES = 4  # at most, a thread
_FLOPS, _BYTES = 150e9, 30e9  # a second, of one thread: near enough to tell what pays

_SMALL = 48 if AVAILABLE else 0  # longest side of products that NumPy runs through
_SMALL_RESULT = 256  # elements
_products = small_products.ufuncs("matmul", 2, "(m,k),(k,n)->(m,n)")
_biased = small_products.ufuncs("matmul", 3, "(m,k),(k,n),(n)->(m,n)", 1)

_ndarray = np.ndarray
_NO_OFFSETS = np.zeros((1, 4), np.intp)  # of a product that is not in a stack
_NO_SCRATCH = {char: np.zeros(0, char) for char in "fd"}
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_SMALL_SCRATCH = 1 << 15


class _Local(threading.local):
    """Scratch memory for small products: one a thread, so that it is always free."""

    def __init__(self):
        self.scratch = {char: empty(_SMALL_SCRATCH, char) for char in "fd"}


_local = _Local()


def matmul(a, b, *, out=None, bias=None, accumulate=False):
    # What networks of small layers call most is looked at first, and quickly.
    if b.__class__ is _ndarray and a.ndim == 2 == b.ndim and out is None and not accumulate:
        (M, K), (rows, N), dtype = a.shape, b.shape, a.dtype
        size = M * N
        if rows == K and b.dtype is dtype and dtype in _DTYPES and size:
            small = size < _SMALL_RESULT and 0 < K <= _SMALL and N <= _SMALL
            if bias is None:
                if small:
                    return _products[dtype.char](a, b)
                c = _result(size, (M, N), dtype)
                _dispatch(a, b, c, c, _NO_OFFSETS, FROM_ZERO, 1, M, K, N)
                return c
            if bias.shape == (N,) and bias.dtype is dtype and bias.flags.c_contiguous:
                if small:
                    return _biased[dtype.char](a, b, bias)
                c = _result(size, (M, N), dtype)
                _dispatch(a, b, bias[None], c, _NO_OFFSETS, FROM_BIAS, 1, M, K, N)
                return c
    return _general(a, b, out, bias, accumulate)


def _result(size, shape, dtype):
    """Return memory; for small results NumPy's own, which keeps it ready at a fifth of the cost."""
    return np.empty(shape, dtype) if size < _SMALL_RESULT else empty(shape, dtype)


def _general(a, b, out, bias, accumulate):
    packed = type(b) is PackedMatrix
    flat = packed or b.ndim == 2
    check_product(a, b, out, bias, accumulate)
    _check_types(a, b)
    dtype, batch, (M, K), N = a.dtype, a.shape[:-2], a.shape[-2:], b.shape[-1]
    if not flat and batch != b.shape[:-2]:
        batch = np.broadcast_shapes(batch, b.shape[:-2])
    shape = (*batch, M, N)
    c = (
        _result(prod(shape), shape, dtype)
        if out is None
        else _usable(out, shape, dtype, accumulate)
    )
    start, begin = c, FROM_OUT if accumulate else FROM_ZERO
    if bias is not None:
        start, begin = _usable_bias(bias, N, dtype)[None], FROM_BIAS
    if c.size:
        target, offsets = c, _NO_OFFSETS
        if batch and flat and c.flags.c_contiguous:
            # One tall product: what is packed of b serves the whole batch.
            M *= prod(batch)
            a, target = a.reshape(M, K), c.reshape(M, N)
        elif batch:
            factors = (a, None, c) if flat else (a, b, c)
            strides = tuple(_batch_strides(array, batch) for array in factors)
            offsets = _offsets(batch, strides, begin == FROM_OUT)
            a, target = a[(0,) * (a.ndim - 2)], c[(0,) * len(batch)]
            b = b if flat else b[(0,) * (b.ndim - 2)]
        if begin != FROM_BIAS:
            start = target
        _dispatch(a, b, start, target, offsets, begin, len(offsets), M, K, N)
    if out is not None and c is not out:
        out[...] = c
        return out
    return c


def _dispatch(a, b, start, c, offsets, begin, count, M, K, N):
    """Choose how to read the factors and how to divide the work, and do it."""
    dtype = c.dtype
    packed = type(b) is PackedMatrix
    thin = None if packed else _thin(a, b, M, K)
    apart = thin is None and a.strides[1] != dtype.itemsize  # the numbers of a row of A
    pieces, divided = 1, BATCH
    touched = (K + M) * N * dtype.itemsize  # of B and C: with a row or two they take the time
    if count * (2 * M * K * N / _FLOPS + touched / _BYTES) > _SECONDS_WORTH_A_DISPATCH:
        pieces, divided = _divide(count, M, K, N, packed, apart, num_threads())
    rows = M // pieces if divided == ROWS else M  # of a piece, and its columns
    columns = ceil(N / pieces) if divided == COLUMNS else N
    if packed:
        how, b = PACKED, b.panels[None]
    elif thin is not None:
        how = thin
    else:
        how = DIRECT if _is_read_in_place(b, rows) else PACK
    pack_a = apart and _is_packed(a, columns)
    scratch = _NO_SCRATCH[dtype.char]
    if how == PACK or pack_a:
        needed = pieces * scratch_size(K, columns if how == PACK else 0, pack_a)
        if needed <= _SMALL_SCRATCH and not are_noted():
            scratch = _local.scratch[dtype.char]
        else:
            scratch = empty(needed, dtype)
    parallel(
        products, pieces, pieces, divided,
        a, b, start, c, offsets, scratch, begin, how, pack_a, K,
    )  # fmt: skip


# Packing takes time once, and saves some for every tile that reads what was packed. It saves most
# where lines collide: a first-level cache has few places for those at a multiple of 4096 bytes, and
# a second-level one holds no more than 512 rows at an odd multiple of 2048.


def _is_read_in_place(b, rows):
    """Whether so many rows of A are too few to pay for packing B."""
    distance = b.strides[0]
    if b.strides[1] != b.itemsize or distance == 0:  # 0 stands for packed rows
        return False
    if distance % 2048:
        return rows < _MANY_ROWS
    return rows < (_SOME_ROWS if distance % 4096 else _FEW_ROWS)


def _is_packed(a, columns):
    """Whether A, whose rows' numbers lie apart, is packed for so many columns of B."""
    if len(a) <= TILE_ROWS or columns <= _FEW_COLUMNS:
        return False
    side_by_side = a.strides[0] == a.itemsize  # what tiles read for one k
    return columns > _MANY_COLUMNS or not side_by_side or a.strides[1] % 4096 == 0


def _thin(a, b, M, K):
    """Return which kind of thin product it is, or None."""
    if K > 1 and M > 1:
        return None
    size = a.itemsize
    if K == 1 and b.strides[1] == size:
        return ONE_TERM
    if M == 1 and a.strides[1] == b.strides[0] == size != b.strides[1]:
        return ONE_ROW
    return None


def product_link(a, b, out, bias=None):
    """``out = a b + bias``, b packed, as a link of a chain; ``out`` has as many rows as a."""
    (M, K), N = a.shape, b.shape[1]
    pieces, divided = _divide(1, M, K, N, True, False, num_threads())
    start, begin = (out, FROM_ZERO) if bias is None else (bias[None], FROM_BIAS)
    scratch = _NO_SCRATCH[out.dtype.char]
    panels = b.panels[None]
    what = divided, a, panels, start, out, _NO_OFFSETS, scratch, begin, PACKED, False, K
    return Link(products, pieces, (pieces, *what))


def _divide(count, M, K, N, packed, apart, threads):
    """Return into how many pieces a stack is divided, and which way.

    A few pieces a thread, where they stay large: a thread that loses its core for a while
    then leaves some to the others. Pieces of rows read or pack all of B each, pieces of columns
    all of A, which takes longer where its rows lie apart; where B is small, rows leave longer
    tiles and read A once.
    """
    if threads == 1:
        return 1, BATCH
    if count >= 2 * threads:
        return min(count, _PIECES * threads), BATCH
    if M // threads > 64 if packed else min(M, 1024) >= N or 16 * K < M:
        return min(M, threads * max(1, min(_PIECES, M // (1024 * threads)))), ROWS
    width = 1152 if apart else 576
    return threads * max(1, min(_PIECES, N // (width * threads))), COLUMNS


def pack(b):
    if b.ndim != 2:
        raise ShapeError(f"pack: b has shape {b.shape}, expected (K, N).")
    if b.dtype not in _DTYPES:
        raise DTypeError(f"pack: b is of {b.dtype}, expected float32 or float64.")
    K, N = b.shape
    step = lanes_of(b.dtype)
    width = TILE_VECTORS * step
    panels = empty(K * -(-N // step) * step, b.dtype)
    parallel(pack_panels, -(-N // width), b, panels, grain=1 + 100_000 // (K * width + 1))
    return PackedMatrix((K, N), panels, width, step)


def _batch_strides(array, batch):
    """Return the strides of an array's batch axes, 0 where it is repeated."""
    if array is None:
        return (0,) * len(batch)
    axes = array.ndim - 2
    strides = zip(array.shape[:axes], array.strides[:axes], strict=True)
    return (0,) * (len(batch) - axes) + tuple(stride if n > 1 else 0 for n, stride in strides)


def _offsets(batch, strides, from_out):
    """Return in bytes where each product of a stack finds a, b, c and its start."""
    make = _make_offsets if prod(batch) <= 4096 else _make_offsets.__wrapped__
    return make(batch, strides, from_out)


@lru_cache(maxsize=256)
def _make_offsets(batch, strides, from_out):
    offsets = np.zeros((prod(batch), 4), np.intp)
    for column, steps in enumerate(strides):
        places = np.zeros(1, np.intp)
        for n, stride in zip(batch, steps, strict=True):
            places = np.add.outer(places, np.arange(n) * stride).ravel()
        offsets[:, column] = places
    if from_out:
        offsets[:, 3] = offsets[:, 2]
    offsets.flags.writeable = False
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


def _usable_bias(bias, N, dtype):
    if bias.shape != (N,):
        raise ShapeError(f"matmul: bias has shape {bias.shape}, expected {(N,)} from b.")
    if bias.dtype != dtype:
        raise DTypeError(f"matmul: bias is of {bias.dtype}, expected {dtype} as a and b are.")
    return np.ascontiguousarray(bias)


def _check_types(a, b):
    """Refuse other element types: kernels trust what they are given."""
    if a.dtype != b.dtype or a.dtype not in _DTYPES:
        raise DTypeError(
            f"matmul: a is of {a.dtype} and b of {b.dtype}; expected float32 or float64 for both."
        )
