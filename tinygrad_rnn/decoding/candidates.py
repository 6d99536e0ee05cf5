"""Candidates: hypotheses one token longer, and which of them go on.

All arrays are flat, one place for each candidate, so that sources whose beams are narrower cost
nothing. A lane is what competes for places: the hypotheses of one source, or of one group of it.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_rnn.device import Array

__all__ = ["Candidates", "likely", "selected"]


class Candidates(NamedTuple):
    """By lane, in each lane the best first: by total, place in the beam, token.

    lane, row   where it comes from: a row of the beam
    token       what it adds
    step        its log-probability, by which the total has grown
    total       what lanes are ordered by
    """

    lane: Array
    row: Array
    token: Array
    step: Array
    total: Array

    def only(self, which: Array) -> "Candidates":
        """Some of them: a mask, or numbers."""
        return Candidates(*(field[which] for field in self))


def likely(rows: Array, count: int) -> tuple[Array, Array]:
    """Row and token of all that are as good as the ``count`` best of their row, or better.

    Columns that are m apart are one class. A class has one maximum, so the best maxima belong
    to as many tokens, and the least of them is a bound that passes over few others; to find it
    costs a fraction of a partition of whole rows.
    """
    height, width = rows.shape
    least = np.finfo(rows.dtype).min  # what is -inf is no candidate
    bound = np.full(height, least)
    if count < width:
        classes = min(width, max(512, 8 * count))
        maxima = rows[:, :classes]
        if classes <= width // 2:
            maxima = maxima.copy()
            for start in range(classes, width - classes + 1, classes):
                np.maximum(maxima, rows[:, start : start + classes], out=maxima)
        bound = np.partition(maxima, classes - count, axis=1)[:, classes - count]
        np.maximum(bound, least, out=bound)
    row, token = np.divmod(np.flatnonzero(rows >= bound[:, None]), width)
    return row, token


def _places(lane: Array) -> Array:
    """The place of each in its lane; lanes are in order."""
    return np.arange(len(lane)) - np.searchsorted(lane, lane)


def selected(
    candidates: Candidates, width: int, eos: int | None, worth: Array | None = None
) -> tuple[Candidates, Candidates]:
    """What ends, and what goes on: in each lane the ``width`` best that do not end.

    What ends must be among the ``width`` best of all, or any sequence would end at any time.
    ``worth`` is what to order by instead of the totals.
    """
    worth = candidates.total if worth is None else worth
    ordered = candidates.only(np.lexsort((-worth, candidates.lane)))  # stable: by row and token
    ends = ordered.token == eos if eos is not None else np.zeros(len(ordered.lane), bool)
    ended = ordered.only(ends & (_places(ordered.lane) < width))
    going_on = ordered.only(~ends)
    return ended, going_on.only(_places(going_on.lane) < width)
