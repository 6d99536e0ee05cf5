"""New arrays beside given ones, on the CPU or on a GPU."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_rnn.kernels import _cuda, _memory
from tinygrad_rnn.kernels._twin import Array

__all__ = ["address_of", "concatenate", "empty", "module_of", "zeros"]

_ndarray = np.ndarray
Shape = int | tuple[int, ...]


def module_of(array: Array) -> ModuleType:
    """NumPy for an array on the CPU, CuPy for one on a GPU."""
    if isinstance(array, _ndarray):
        return np
    module: ModuleType = _cuda.require()
    return module


def empty(shape: Shape, like: Array, dtype: Any = None) -> Array:
    """A new array where ``like`` lives, of its element type or another."""
    kind = like.dtype if dtype is None else dtype
    if isinstance(like, _ndarray):
        return _memory.empty(shape, kind)
    return module_of(like).empty(shape, kind)


def zeros(shape: Shape, like: Array, dtype: Any = None) -> Array:
    """The same, filled with zeros."""
    kind = like.dtype if dtype is None else dtype
    if isinstance(like, _ndarray):
        return _memory.zeros(shape, kind)
    return module_of(like).zeros(shape, kind)


def concatenate(arrays: Sequence[Array], axis: int = 0) -> Array:
    """Arrays joined along an axis, which counts from 0."""
    first = arrays[0]
    if not isinstance(first, _ndarray):
        return module_of(first).concatenate(arrays, axis)
    if any(array.dtype != first.dtype for array in arrays):
        return np.concatenate(arrays, axis)
    long = sum(array.shape[axis] for array in arrays)
    shape = (*first.shape[:axis], long, *first.shape[axis + 1 :])
    return np.concatenate(arrays, axis, out=_memory.empty(shape, first.dtype))


def address_of(array: Array) -> int:
    """Where the first element is."""
    if isinstance(array, _ndarray):
        return _memory.address_of(array)
    return int(array.data.ptr)
