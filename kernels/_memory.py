"""Arrays that start on a 64-byte line, in memory that is kept for the next one.

Fresh large arrays cost page faults, up to a third of a training step, and a product whose
buffers start 16 bytes past a line is 12 to 18 % slower. So memory is kept by size, and goes
back by reference count: a chain view -> array -> block -> raw memory ends in a block whose
death says that nobody, no view, memoryview or DLPack capsule, sees the memory any more.

Taking a kept buffer costs 0.8 µs and locks nothing: a block may die at any moment, in the
middle of any other code here. Small arrays come the same way, so that all are aligned;
np.empty would take 0.15 µs and align them to 16 bytes.
"""

import os
from ctypes import addressof, c_char
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_rnn.kernels import _machine

__all__ = [
    "address_of",
    "cached_bytes",
    "empty",
    "empty_cache",
    "poison",
    "seen_by",
    "set_cache_limit",
    "zeros",
]

LINE: Final = 64
Shape = int | tuple[int, ...]
FloatArray = np.ndarray[Any, Any]


class _Raw(np.ndarray[Any, Any]):
    """The memory itself. NumPy shortens chains of one type; a type for each level keeps ours."""

    __slots__ = ("address",)  # asking an array for it takes fifteen times as long

    address: int


class _Shelf(list[_Raw]):
    """Memory of one size that nobody uses."""

    __slots__ = ("size", "wanted")

    def __init__(self, size: int) -> None:
        self.size = size
        self.wanted = True  # since memory last ran short


class _Cache:
    """All shelves. One object, so that a block that dies at exit still finds everything."""

    def __init__(self) -> None:
        self.shelves: dict[int, _Shelf] = {}
        self.found: dict[tuple[Shape, DTypeLike], _Shelf] = {}  # so that sizes come ready
        self.held = 0  # bytes; threads may get it wrong, so it is counted again when it matters
        self.limit = _machine.memory() // 4
        self.poison = False
        self.seen: list[FloatArray] | None = None  # arrays that are made while somebody looks on

    def shelf(self, shape: Shape, dtype: DTypeLike) -> _Shelf:
        """Find the shelf of a shape and element type, for the first time."""
        count = prod(shape) if isinstance(shape, tuple) else shape
        size = _rounded(int(count) * np.dtype(dtype).itemsize)
        shelf = self.shelves.setdefault(size, _Shelf(size))
        if len(self.found) > 10_000:  # shapes that change with every batch
            self.found.clear()
        self.found[shape, dtype] = shelf
        return shelf

    def put(self, raw: _Raw) -> None:
        """Take memory back, unless there is enough of it already."""
        size = raw.nbytes
        if self.held + size > self.limit and (size > self.limit or not self.make_room(size)):
            return
        if self.poison:
            raw.fill(255)  # NaN in every floating type, and out of range as an index
        self.held += size
        self.shelves[size].append(raw)

    def make_room(self, size: int) -> bool:
        """Give up shelves that were not wanted since the last time; say if that was enough."""
        for shelf in list(self.shelves.values()):
            if not shelf.wanted:
                shelf.clear()
            shelf.wanted = False
        self.held = sum(len(shelf) * shelf.size for shelf in list(self.shelves.values()))
        return self.held + size <= self.limit


_cache = _Cache()


class _Block(np.ndarray[Any, Any]):
    """The base of one array; hands its memory back when it dies."""

    __slots__ = ()

    def __del__(self, cache: _Cache = _cache, kind: type[_Raw] = _Raw) -> None:
        raw: Any = self.base
        if type(raw) is kind:  # not a view or a copy that somebody made of a block
            cache.put(raw)


def _rounded(size: int) -> int:
    """Round up to whole lines and to eight steps an octave, so that like sizes share memory."""
    step = max(LINE, 1 << max(0, size.bit_length() - 4))
    return max(LINE, -(-size // step) * step)


def _fresh(size: int) -> _Raw:
    memory = np.empty(size + LINE, np.uint8)
    if _cache.poison:
        memory.fill(255)
    begin = memory.ctypes.data
    start = -begin % LINE
    raw = memory[start : start + size].view(_Raw)
    raw.address = begin + start
    return raw


def empty(shape: Shape, dtype: DTypeLike = np.float32) -> FloatArray:
    """Return an uninitialised C-contiguous array that starts on a 64-byte line.

    ``shape`` is a number or a tuple of numbers.
    """
    cache = _cache
    try:
        shelf = cache.found[shape, dtype]
    except KeyError:
        shelf = cache.shelf(shape, dtype)
    try:
        raw = shelf.pop()
        cache.held -= shelf.size
    except IndexError:
        raw = _fresh(shelf.size)
    shelf.wanted = True
    array = np.ndarray(shape, dtype, raw.view(_Block))
    if cache.seen is not None:
        cache.seen.append(array)
    return array


def zeros(shape: Shape, dtype: DTypeLike = np.float32) -> FloatArray:
    """Return an array of zeros that starts on a 64-byte line."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def address_of(array: Any) -> int:
    """Where an array's first element is."""
    base: Any = array.base
    if base.__class__ is _Block:  # the whole of it: a view of the array has the array as its base
        raw = base.base
        if raw.__class__ is _Raw:
            address: int = raw.address
            return address
    try:
        return addressof(c_char.from_buffer(array))  # a quarter of the time that NumPy takes
    except (TypeError, ValueError):  # it cannot be written, is empty, or lies apart
        found: int = array.ctypes.data
        return found


def seen_by(arrays: list[FloatArray] | None) -> None:
    """Append the arrays that are made from now on, in any thread, until None is given."""
    _cache.seen = arrays


def cached_bytes() -> int:
    """Return how many bytes wait to be used again."""
    return sum(len(shelf) * shelf.size for shelf in list(_cache.shelves.values()))


def empty_cache() -> None:
    """Give all waiting memory back to the system."""
    for shelf in list(_cache.shelves.values()):
        shelf.clear()
    _cache.held = cached_bytes()


def set_cache_limit(size: int) -> None:
    """Keep at most ``size`` bytes waiting; a quarter of the machine's memory at first."""
    if size < 0:
        raise ValueError(f"set_cache_limit: given {size}, expected 0 or more.")
    _cache.limit = size
    if cached_bytes() > size:
        empty_cache()


def poison(on: bool = True) -> None:
    """Fill memory with NaN before its first use and after its last, to show who reads it then."""
    _cache.poison = on


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: seen_by(None))  # who looked on is not there
