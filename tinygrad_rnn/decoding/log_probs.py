"""Log-probabilities that are written out only where somebody asks for all of them."""

from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.kernels.softmax import row_best, row_sums

__all__ = ["LogProbs", "Rows"]


class LogProbs:
    """``log_softmax(scores)``, which a ``step`` may return in place of the array (rows, V).

    A beam search asks for a few tokens of each row, which are found while the scores are summed
    up, and for nothing else, unless rules want to see all. ``np.asarray`` gives the array.
    """

    def __init__(self, scores: Array) -> None:
        self.scores, self.shape, self.dtype = scores, scores.shape, scores.dtype
        self.ndim = scores.ndim
        self._top: Array | None = None
        self._log_total: Array | None = None

    def _sums(self) -> tuple[Array, Array]:
        """The maximum of each row, and the logarithm of its sum over that."""
        if self._top is None or self._log_total is None:
            self._keep(*row_sums(self.scores)[:2])
        assert self._top is not None
        assert self._log_total is not None
        return self._top, self._log_total

    def _keep(self, top: Array, total: Array) -> None:
        with np.errstate(divide="ignore"):
            self._top, self._log_total = top, np.log(total)

    def __len__(self) -> int:
        return len(self.scores)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        top, log_total = self._sums()
        with np.errstate(invalid="ignore"):
            rows = self.scores - top[:, None]
            rows -= log_total[:, None]
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def __getitem__(self, at: tuple[Array, Array]) -> Array:
        """Those of some rows and tokens, as the array has them."""
        row, (top, log_total) = at[0], self._sums()
        with np.errstate(invalid="ignore"):
            found: Array = (self.scores[at] - top[row]) - log_total[row]
        return found

    def likely(self, count: int) -> tuple[Array, Array, Array] | None:
        """As ``candidates.likely``; None where the array has to be looked at.

        Now and then there is a token more, which a search passes over.
        """
        top, total, most, token, found = row_best(self.scores, count)
        self._keep(top, total)
        room = token.shape[1]
        if found.max(initial=0) > room:
            return None
        row = np.repeat(np.arange(len(found)), found)
        with np.errstate(invalid="ignore"):
            best = (most - top) - self._sums()[1]
        return row, token[np.arange(room) < found[:, None]], best


Rows = Array | LogProbs
