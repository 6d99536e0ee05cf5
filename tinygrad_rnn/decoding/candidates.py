"""Candidates: hypotheses one token longer, and which of them go on.

All arrays are flat, one place for each candidate, so that sources whose beams are narrower cost
nothing. A lane is what competes for places: the hypotheses of one source, or of one group of it,
or those of them that lack as much of their constraints.
"""

from typing import NamedTuple

import numpy as np

from tinygrad_rnn.decoding.log_probs import LogProbs, Rows
from tinygrad_rnn.device import Array

__all__ = ["Candidates", "diverse", "likely", "selected"]

_IN_CACHE = 2**17  # numbers that a core's own cache holds


class Candidates(NamedTuple):
    """By lane, in each lane the best first: by total, place in the beam, token.

    source, lane   whose it is, and what it competes in
    row            the row of the beam that it comes from
    token          what it adds
    step           its log-probability, by which the total has grown
    total          what lanes are ordered by
    """

    source: Array
    lane: Array
    row: Array
    token: Array
    step: Array
    total: Array

    def only(self, which: Array) -> "Candidates":
        """Some of them: a mask, or numbers."""
        return Candidates(*(field[which] for field in self))


def likely(rows: Rows, count: int) -> tuple[Array, Array, Array]:
    """Row and token of all that are as good as the ``count`` best of their row, or better.

    The third is the maximum of each row, NaN where there is one.
    """
    if isinstance(rows, LogProbs):
        found = rows.likely(count)
        if found is not None:
            return found
        rows = np.asarray(rows)
    height, width = rows.shape
    some = max(1, _IN_CACHE // max(width, 1))
    parts = [_likely(rows[n : n + some], count) for n in range(0, height, some)]
    flat = np.concatenate([at + n * some * width for n, (at, _) in enumerate(parts)])
    row, token = np.divmod(flat, width)
    return row, token, np.concatenate([best for _, best in parts])


def _likely(rows: Array, count: int) -> tuple[Array, Array]:
    """The same of a few rows, which the cache holds while they are read three times.

    Columns that are m apart are one class. A class has one maximum, so the best maxima belong
    to as many tokens, and the least of them is a bound that passes over few others; to find it
    costs a fraction of a partition of whole rows.
    """
    width = rows.shape[1]
    classes = min(width, max(512, 8 * count))
    maxima = rows[:, :classes].copy()
    for start in range(classes, width, classes):
        more = rows[:, start : start + classes]
        np.maximum(maxima[:, : more.shape[1]], more, out=maxima[:, : more.shape[1]])
    best = maxima.max(axis=1)
    least = np.finfo(rows.dtype).min  # what is -inf is no candidate
    bound = np.full(len(rows), least)
    if count < width:
        maxima.partition(classes - count, axis=1)
        np.maximum(maxima[:, classes - count], least, out=bound)
    return np.flatnonzero(rows >= bound[:, None]), best


def _places(lane: Array) -> Array:
    """The place of each in its lane; lanes are in order."""
    return np.arange(len(lane)) - np.searchsorted(lane, lane)


def selected(
    candidates: Candidates, width: int | Array, eos: int | None, worth: Array | None = None
) -> tuple[Candidates, Candidates]:
    """What ends, and what goes on: in each lane the ``width`` best that do not end.

    What ends must be among the ``width`` best of all, or any sequence would end at any time.
    ``width`` may be an array, a number for each lane; ``worth`` is what to order by instead of
    the totals.
    """
    worth = candidates.total if worth is None else worth
    ordered = candidates.only(np.lexsort((-worth, candidates.lane)))  # stable: by row and token
    ends = ordered.token == eos if eos is not None else np.zeros(len(ordered.lane), bool)
    ended = ordered.only(ends & (_places(ordered.lane) < _of_lanes(width, ordered)))
    going_on = ordered.only(~ends)
    return ended, going_on.only(_places(going_on.lane) < _of_lanes(width, going_on))


def _of_lanes(width: int | Array, candidates: Candidates) -> int | Array:
    return width if isinstance(width, int) else width[candidates.lane]


def diverse(
    candidates: Candidates,
    width: int | Array,
    eos: int | None,
    groups: int,
    diversity: float,
    banks: int = 1,
) -> tuple[Candidates, Candidates]:
    """The same for groups, one after the other, each so many lanes, ``banks``, for each source.

    A token is worth ``diversity`` less for each time that the groups before have taken it at
    this step. Vijayakumar et al., Diverse Beam Search, 2016.
    """
    size = int(candidates.token.max(initial=0)) + 1
    said = np.zeros(0, np.int64)
    parts = []
    for group in range(groups):
        part = candidates.only(candidates.lane // banks % groups == group)
        tokens, times = np.unique(said, return_counts=True)
        key = part.source * size + part.token
        at = np.searchsorted(tokens, key)
        met = np.append(tokens, -1)[at] == key
        worth = part.total - diversity * np.where(met, np.append(times, 0)[at], 0)
        parts.append(selected(part, width, eos, worth))
        said = np.concatenate([said, *(some.source * size + some.token for some in parts[-1])])
    ended, kept = (
        Candidates(*map(np.concatenate, zip(*some, strict=True)))
        for some in zip(*parts, strict=True)
    )
    return (
        ended.only(np.argsort(ended.lane, kind="stable")),
        kept.only(np.argsort(kept.lane, kind="stable")),
    )
