"""Arrays that start on a 64-byte line, in memory that is kept for the next one."""

import threading
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["cached_bytes", "empty", "empty_cache", "poison", "set_cache_limit", "zeros"]

LINE = 64
_limit = 1 << 30
_poison = False
_cached = 0
_lock = threading.RLock()  # a block may die, by the garbage collector, while we hold it


class _Raw(np.ndarray[Any, Any]):
    """The memory under a block.

    NumPy shortens a chain of bases as long as they are of the new view's own type. A type
    for each level keeps the chain whole: view -> array -> block -> raw memory.
    """

    __slots__ = ()


class _Block(np.ndarray[Any, Any]):
    """The memory under an array: goes back to the free list when its last view dies."""

    # Without a dict the type is none of the garbage collector's, so that Python calls
    # __del__ each time an instance dies, not once: the same object serves again and again.
    __slots__ = ()

    def __del__(self) -> None:
        global _cached
        raw: Any = self.base
        if type(raw) is not _Raw:
            return  # a view or a copy that somebody made of a block
        with _lock:
            if _cached + self.size > _limit:
                return
            if _poison:
                self.fill(255)
            _cached += self.size
            _free[self.size].append(self)


_free: dict[int, list[_Block]] = defaultdict(list)


def _size_class(size: int) -> int:
    """Round up to four steps an octave, and to whole lines."""
    step = max(LINE, 1 << max(0, size.bit_length() - 3))
    return max(LINE, -(-size // step) * step)


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray[Any, Any]:
    """Return an uninitialised C-contiguous array that starts on a 64-byte line."""
    global _cached
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for n in (shape,) if isinstance(shape, int) else shape:
        size *= n
    size = _size_class(size)
    with _lock:
        blocks = _free[size]
        if blocks:
            block = blocks.pop()
            _cached -= size
        else:
            block = _fresh(size)
    return np.ndarray(shape, dtype, block)


def _fresh(size: int) -> _Block:
    raw = np.empty(size + LINE, np.uint8).view(_Raw)
    start = -raw.ctypes.data % LINE
    return _Block(size, np.uint8, raw[start:])


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray[Any, Any]:
    """Return an array of zeros that starts on a 64-byte line."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def cached_bytes() -> int:
    """Return how many bytes wait to be used again."""
    return _cached


def empty_cache() -> None:
    """Give all waiting memory back to the system."""
    global _cached
    with _lock:
        _free.clear()
        _cached = 0


def set_cache_limit(size: int) -> None:
    """Keep at most ``size`` bytes waiting."""
    global _limit
    with _lock:
        _limit = size


def poison(on: bool = True) -> None:
    """Fill memory that nobody uses any more with NaN, so that a stale view shows."""
    global _poison
    _poison = on
