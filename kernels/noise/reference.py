"""The definition: Threefry-2x32 with 20 rounds, in whole numbers."""

from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["Numbers", "fold", "joined", "parted", "threefry", "uniform", "uniform_of", "words"]

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_WORD = 0xFFFFFFFF


def _rotated(a: Any, places: int) -> Any:
    return ((a << places) | (a >> (32 - places))) & _WORD


# The operations on words of 32 bits, over Python's whole numbers or arrays of 64 bits.
Numbers = SimpleNamespace(
    number=lambda value: value,
    add=lambda a, b: (a + b) & _WORD,
    xor=lambda a, b: a ^ b,
    rotate=_rotated,
)


def threefry(F: Any, k0: Any, k1: Any, c0: Any, c1: Any) -> tuple[Any, Any]:
    """Two random words for a key and a counter of two words each."""
    keys = k0, k1, F.xor(F.xor(k0, k1), F.number(_PARITY))
    a, b = F.add(c0, k0), F.add(c1, k1)
    for r in range(20):
        a = F.add(a, b)
        b = F.xor(F.rotate(b, _ROTATIONS[r % 8]), a)
        if r % 4 == 3:
            turn = r // 4 + 1
            a = F.add(a, keys[turn % 3])
            b = F.add(F.add(b, keys[(turn + 1) % 3]), F.number(turn))
    return a, b


def parted(key: int) -> tuple[int, int]:
    """The two words of a key."""
    return key & _WORD, (key >> 32) & _WORD


def joined(low: int, high: int) -> int:
    """Two words as a key: a whole number of 64 bits with a sign, as kernels take them."""
    key = low | (high << 32)
    return key - (1 << 64) if key >> 63 else key


def fold(key: int, a: int, b: int = 0) -> int:
    """The key for something that two numbers tell apart from its like."""
    return joined(*threefry(Numbers, *parted(key), a & _WORD, b & _WORD))


def uniform_of(word: Any, dtype: Any) -> Any:
    """Numbers from [0, 1) of the upper 24 bits: exact in either type."""
    return (word >> 8).astype(dtype) * np.dtype(dtype).type(2.0**-24)


def words(xp: Any, key: int, site: int, steps: Any, rows: Any, width: int) -> Any:
    """A word for each step, row and unit, in arrays of NumPy's or CuPy's."""
    units = xp.arange(width, dtype=xp.uint64)
    rows = xp.asarray(rows, dtype=xp.uint64)[:, None]
    steps = xp.asarray(steps, dtype=xp.uint64)
    k0, k1 = threefry(Numbers, *parted(key), xp.full_like(steps, site), steps)
    return threefry(Numbers, k0[:, None, None], k1[:, None, None], units, rows)[0]


def uniform(key, site, steps, rows, width, like):
    return uniform_of(words(np, key, site, steps, rows, width), like.real.dtype)
