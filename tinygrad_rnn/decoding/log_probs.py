"""Log-probabilities that are written out only where somebody asks for all of them."""

from typing import Any

import numpy as np

from tinygrad_rnn.device import Array, array_module, to_host
from tinygrad_rnn.kernels.softmax import log_rows, row_best, row_sums
from tinygrad_rnn.tensor import Tensor

__all__ = ["LogProbs", "Rows"]


class LogProbs:
    """``log_softmax(scores)``, which a ``step`` may return in place of the array (rows, V).

    A beam search asks for a few tokens of each row, which are found while the scores are summed
    up, and for nothing else, unless rules want to see all. ``np.asarray`` gives the array.
    Scores may be a Tensor, and on a GPU: there they stay, and what is asked for is fetched.
    """

    def __init__(self, scores: Any) -> None:
        self.scores: Array = scores._data if isinstance(scores, Tensor) else scores
        self.shape, self.dtype = scores.shape, scores.dtype
        self.ndim = scores.ndim
        self._known_sums: tuple[Array, Array] | None = None

    def _sums(self) -> tuple[Array, Array]:
        """The maximum of each row, and its sum over that, as ``kernels.softmax`` has them."""
        if self._known_sums is None:
            self._known_sums = row_sums(self.scores)[:2]
        return self._known_sums

    @property
    def are_numbers(self) -> bool:
        """Whether scores are finite, or -inf: others leave a row without a distribution."""
        return all(bool(np.isfinite(to_host(sums)).all()) for sums in self._sums())

    def __len__(self) -> int:
        return len(self.scores)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        with np.errstate(all="ignore"):
            rows = to_host(log_rows(self.scores, *self._sums()))
        return rows if dtype is None else rows.astype(dtype, copy=False)

    def __getitem__(self, at: tuple[Array, Array]) -> Array:
        """Those of some rows and tokens, as the array has them."""
        xp, (top, total) = array_module(self.scores), self._sums()
        row, token = map(xp.asarray, at)
        with np.errstate(all="ignore"):
            found: Array = (self.scores[row, token] - top[row]) - np.log(total)[row]
        return found if xp is np else to_host(found)

    def likely(self, count: int) -> tuple[Array, Array, Array] | None:
        """As ``candidates.likely``; None where the array has to be looked at.

        Now and then there is a token more, which a search passes over.
        """
        best = row_best(self.scores, count)
        self._known_sums = best[:2]
        top, total, most, token, found = map(to_host, best)
        room = token.shape[1]
        if found.max(initial=0) > room:
            return None
        row = np.repeat(np.arange(len(found)), found)
        with np.errstate(all="ignore"):
            likeliest = (most - top) - np.log(total)
        return row, token[np.arange(room) < found[:, None]], likeliest


Rows = Array | LogProbs
