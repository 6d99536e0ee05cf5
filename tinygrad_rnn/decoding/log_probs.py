"""Log-probabilities that are written out only where somebody asks for all of them."""

from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.kernels.softmax import log_rows, row_best, row_sums

__all__ = ["LogProbs", "Rows"]


class LogProbs:
    """``log_softmax(scores)``, which a ``step`` may return in place of the array (rows, V).

    A beam search asks for a few tokens of each row, which are found while the scores are summed
    up, and for nothing else, unless rules want to see all. ``np.asarray`` gives the array.
    """

    def __init__(self, scores: Array) -> None:
        self.scores, self.shape, self.dtype = scores, scores.shape, scores.dtype
        self.ndim = scores.ndim
        self._known_sums: tuple[Array, Array] | None = None

    def _sums(self) -> tuple[Array, Array]:
        """The maximum of each row, and its sum over that, as ``kernels.softmax`` has them."""
        if self._known_sums is None:
            self._known_sums = row_sums(self.scores)[:2]
        return self._known_sums

    def __len__(self) -> int:
        return len(self.scores)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        with np.errstate(all="ignore"):
            rows = log_rows(self.scores, *self._sums())
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def __getitem__(self, at: tuple[Array, Array]) -> Array:
        """Those of some rows and tokens, as the array has them."""
        row, (top, total) = at[0], self._sums()
        with np.errstate(all="ignore"):
            found: Array = (self.scores[at] - top[row]) - np.log(total)[row]
        return found

    def likely(self, count: int) -> tuple[Array, Array, Array] | None:
        """As ``candidates.likely``; None where the array has to be looked at.

        Now and then there is a token more, which a search passes over.
        """
        top, total, most, token, found = row_best(self.scores, count)
        self._known_sums = top, total
        room = token.shape[1]
        if found.max(initial=0) > room:
            return None
        row = np.repeat(np.arange(len(found)), found)
        with np.errstate(all="ignore"):
            best = (most - top) - np.log(total)
        return row, token[np.arange(room) < found[:, None]], best


Rows = Array | LogProbs
