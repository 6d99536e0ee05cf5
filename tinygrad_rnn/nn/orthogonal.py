"""Orthonormal vectors from random ones, by block Gram-Schmidt.

LAPACK's QR is faster, but its bits depend on the number of threads, and the threads of the
BLAS below it go on spinning and slow our own kernels down. Here the large products are
``kernels.matmul``, whose bits depend on nothing, and the small ones sums in a fixed order.
"""

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.kernels.matmul import matmul

__all__ = ["orthonormal_rows"]

BLOCK = 32


def orthonormal_rows(rows: Array) -> Array:
    """The rows (K, N), K <= N, float64, made orthonormal in their order.

    Row k is the part of row k that is at right angles to all before it, scaled to length 1:
    the Q of a QR decomposition whose R has a positive diagonal. Of normally distributed rows
    it is evenly distributed among all Q, without a correction of signs (Mezzadri 2007).
    """
    K = rows.shape[0]
    q = np.array(rows)
    for start in range(0, K, BLOCK):
        block = q[start : start + BLOCK]
        done = q[:start]
        # Once leaves errors of rounding, large where little is left of a row; the second
        # time leaves none ("twice is enough", Giraud et al. 2005).
        for _ in range(2):
            if start:
                block -= matmul(matmul(block, done.T), done)
            _orthogonalize(block)
    return q


def _orthogonalize(block: Array) -> None:
    """The same within a few rows, once, in place."""
    for k, row in enumerate(block):
        before = block[:k]
        row -= (before * (before * row).sum(axis=1, keepdims=True)).sum(axis=0)
        row /= np.sqrt((row * row).sum())
