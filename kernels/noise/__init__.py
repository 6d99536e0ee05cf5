"""Noise: random numbers that are a function of what they are for.

    number = uniform(key, site, step, row, unit)      from [0, 1), a multiple of 2^-24

There is no stream and no state: the same five numbers give the same number, in either element
type, on any number of threads, in a batch or alone, and again when a pass is run again. Each
is the first word of Threefry-2x32-20 for the counter (unit, row), under a key that site and
step have been folded into.

``fold(key, a, b)`` makes keys of a key: one for every layer, direction, call.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._twin import Array, twin
from tinygrad_rnn.kernels.noise.reference import fold

__all__ = ["Noise", "fold", "uniform"]


@dataclass(frozen=True, eq=False)
class Noise:
    """Where the random numbers of a sequence come from.

    key         a whole number of 64 bits
    first_step  the number of the first step: a sequence that is run in pieces goes on
    rows (B,)   what the rows are called; None: by their places, 0, 1, ...
    """

    key: int
    first_step: int = 0
    rows: Any = None

    def fold(self, a: int, b: int = 0) -> "Noise":
        """The noise of something that two numbers tell apart from its like."""
        return Noise(fold(self.key, a, b), self.first_step, self.rows)

    def later(self, steps: int) -> "Noise":
        """The noise of the rest of a sequence, after so many steps."""
        return Noise(self.key, self.first_step + steps, self.rows)

    def of_rows(self, places: Array) -> "Noise":
        """The noise of some of the rows."""
        rows = places if self.rows is None else np.asarray(self.rows)[places]
        return replace(self, rows=rows)

    def row_ids(self, count: int) -> Array:
        """What ``count`` rows are called."""
        ids = np.arange(count) if self.rows is None else self.rows
        return np.ascontiguousarray(ids, np.uint32)

    def at(
        self,
        site: int,
        steps: Sequence[int],
        rows: int,
        width: int,
        like: Array,
        *,
        locked: bool = False,
    ) -> Array:
        """The numbers (T, rows, width) of a site at some steps; of a locked one all the same."""
        steps = [0 if locked else t + self.first_step for t in steps]
        return uniform(self.key, site, steps, self.row_ids(rows), width, like)


def uniform(
    key: int, site: int, steps: Sequence[int], rows: Array, width: int, like: Array
) -> Array:
    """The numbers (T, B, width) of a site for some steps and rows.

    ``like`` is an array of the device and element type that the numbers shall have.
    """
    numbers: Array = twin(__name__, like).uniform(key, site, steps, rows, width, like)
    return numbers
