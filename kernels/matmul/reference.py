"""The definition: chains of correctly rounded multiply-adds, in NumPy."""

import numpy as np

from tinygrad_rnn.kernels._fma import fma
from tinygrad_rnn.kernels.matmul import PackedMatrix
from tinygrad_rnn.kernels.matmul.checks import check_product


def matmul(a, b, *, out=None, bias=None, accumulate=False):
    if isinstance(b, PackedMatrix):
        b = unpack(b)
    check_product(a, b, out, bias, accumulate)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result = np.zeros((*batch, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    if accumulate:
        result[...] = out
    elif bias is not None:
        result[...] = bias
    with np.errstate(all="ignore"):
        for k in range(a.shape[-1]):
            result = fma(a[..., :, k, None], b[..., k, None, :], result)
    if out is None:
        return result
    out[...] = result
    return out


def pack(b):
    return PackedMatrix(b.shape, b.copy())


def unpack(packed):
    """Return the matrix (K, N) that was packed."""
    K, N = packed.shape
    if not packed.width:
        return packed.panels
    matrix = np.empty(packed.shape, packed.dtype)
    for first in range(0, N, packed.width):
        columns = min(packed.width, N - first)
        padded = -(-columns // packed.lanes) * packed.lanes
        panel = packed.panels[first * K : first * K + padded * K].reshape(K, padded)
        matrix[:, first : first + columns] = panel[:, :columns]
    return matrix
