"""Sums over leading axes that stay exact however many rows there are.

NumPy adds row to row: a million of 0.1 in float32 come to 1 % too much. Here rows are added in
blocks, and then the sums of blocks, so that no number is added to one much larger.
"""

import math
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array

__all__ = ["summed"]

_BLOCK, _FEW = 64, 512  # rows
_add: Any = np.add.reduce  # np.sum without its detours


def summed(x: Array, axis: tuple[int, ...], keepdims: bool = False) -> Array:
    """``x.sum(axis, keepdims=keepdims)``; axes are counted from 0."""
    if (len(axis) == 1 and len(x) <= _FEW) or not _are_rows(x, axis):
        found: Array = _add(x, axis=axis, keepdims=keepdims)
        return found
    lead = len(axis)
    total = _of_rows(x.reshape(-1, *x.shape[lead:]))
    return total.reshape((1,) * lead + total.shape) if keepdims else total


def _are_rows(x: Array, axis: tuple[int, ...]) -> bool:
    """Whether many rows, that need no copy to be seen as such, are to be added."""
    lead = len(axis)
    if not 0 < lead < x.ndim or axis != tuple(range(lead)) or x.__class__ is not np.ndarray:
        return False
    many = x.size > 0 and math.prod(x.shape[:lead]) > _FEW
    return many and x.dtype.kind in "fc" and (lead == 1 or x.flags.c_contiguous)


def _of_rows(rows: Array) -> Array:
    while len(rows) > _FEW:
        whole = len(rows) // _BLOCK * _BLOCK
        blocks = rows[:whole].reshape(-1, _BLOCK, *rows.shape[1:])
        rows = np.concatenate([_add(blocks, axis=1), rows[whole:]])
    total: Array = _add(rows, axis=0)
    return total
