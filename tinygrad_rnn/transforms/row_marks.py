"""Which row of a batch each place of a gradient belongs to, found by numbers.

What a walk back computes is linear in its seeds. So with each row's seed multiplied by a power
of two of its own, what belongs to one row comes out multiplied by that power, to the bit, and
what several rows have added to does not. No operation needs to say where its rows are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array

__all__ = ["Marked", "RowMarks"]

# A gradient from seeds of 1, and the same from each set of marks.
Marked = Sequence[Array]

_POWERS = 64  # 2^0 to 2^63: upwards, where float32 has room


class RowMarks:
    """Two powers of two for every row, a pair that no other row has.

    One would tell rows apart, too; but a sum of rows with the weights 3 and -1 can look like
    one row. It cannot in both, as they are in different orders.
    """

    most = _POWERS**2

    def __init__(self, rows: int) -> None:
        low, high = np.arange(rows) % _POWERS, np.arange(rows) // _POWERS
        self.rows = rows
        exponents = np.stack([low, (high + 37 * low) % _POWERS])
        self.row_of = np.full((_POWERS, _POWERS), -1)
        self.row_of[tuple(exponents)] = np.arange(rows)
        # What is no row's, -1, is compared as loosely as that of the row with the largest mark.
        self.exponents = np.pad(exponents, ((0, 0), (0, 1)), constant_values=_POWERS - 1)

    def seeds(self, dtype: Any) -> list[Array]:
        """The seeds of all rows: ones, and each set of marks."""
        ones = np.ones(self.rows, dtype)
        return [ones, *(np.ldexp(ones, e) for e in self.exponents[:, :-1])]

    def factors(self, ids: Array, like: Array, axis: int) -> list[Array]:
        """The marks of the rows ``ids`` that stand along an axis of ``like``."""
        shape = [1] * like.ndim
        shape[axis] = len(ids)
        one = like.dtype.type(1)
        return [np.ldexp(one, e[ids]).reshape(shape) for e in self.exponents]

    def along(self, gradients: Sequence[tuple[Marked, int]]) -> Array | None:
        """The row of every place along an axis of each gradient; None if they are no rows.

        -1 stands for a place where all gradients are zero: it may belong to any row. All
        gradients have the same places.
        """
        ids = None
        for marked, axis in gradients:
            found = self._by_peaks(marked, axis)
            if found is None:
                return None
            ids = found if ids is None else np.where(ids < 0, found, ids)
        assert ids is not None
        return ids if all(self._explained(ids, m, axis) for m, axis in gradients) else None

    def _by_peaks(self, marked: Marked, axis: int) -> Array | None:
        """The rows that the largest numbers of each place belong to."""
        plain, *others = (np.moveaxis(g, axis, 0)[..., None] for g in marked)
        if not plain.size:
            return np.full(len(plain), -1)
        sizes = np.abs(plain).reshape(len(plain), -1)
        largest = (np.arange(len(plain)), *np.unravel_index(sizes.argmax(axis=1), plain.shape[1:]))
        peaks = plain[largest]
        seen = np.abs(peaks) > _noise(plain)
        ratios = [np.where(seen, g[largest], 1) / np.where(seen, peaks, 1) for g in others]
        fractions, exponents = np.frexp(ratios)
        exponents -= 1
        if not ((fractions == 0.5) & (exponents >= 0) & (exponents < _POWERS)).all():
            return None
        ids = np.where(seen, self.row_of[tuple(exponents)], -1)
        return ids if (ids[seen] >= 0).all() else None

    def _explained(self, ids: Array, marked: Marked, axis: int) -> bool:
        """Whether every number is that of its place's row."""
        plain, *others = marked
        for g, factor in zip(others, self.factors(ids, plain, axis), strict=True):
            expected = plain * factor
            near = np.array_equal(g, expected) or abs(g - expected) <= factor * _noise(plain)
            if not np.all(near):
                return False
        return True


def _noise(array: Array) -> Any:
    """Numbers below this may have been rounded as they fell below the normal range."""
    return 32 * np.finfo(array.dtype).tiny
