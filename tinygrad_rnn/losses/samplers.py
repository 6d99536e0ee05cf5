"""Where sampled losses take wrong classes from: drawn with replacement, from the seeded stream."""

from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.arguments import number, shortened, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.tensor import as_array

__all__ = ["LogUniformSampler", "Sampler", "UnigramSampler"]


class Sampler:
    """Draws classes, class c with probability q[c].

    log_q (V,)    the logarithms of q, float64
    """

    def __init__(self, q: Array) -> None:
        with np.errstate(divide="ignore"):
            self.log_q = np.log(q)
        self._upto = np.cumsum(q)

    @property
    def classes(self) -> int:
        """V."""
        return len(self.log_q)

    def sample(self, count: int) -> Array:
        """So many class ids, drawn with replacement from ``tg.random``."""
        u = random.uniform((whole("sample", "count", count, least=1),), np.float64)
        found = np.searchsorted(self._upto, u * self._upto[-1], side="right")
        return np.minimum(found, self.classes - 1).astype(np.int64)


class LogUniformSampler(Sampler):
    """Zipf's law, for classes in the order of their frequency.

    q[c] = log(1 + 1 / (c + 1)) / log(V + 1)
    """

    def __init__(self, classes: int) -> None:
        classes = whole("LogUniformSampler", "classes", classes, least=1)
        super().__init__(np.log1p(1.0 / np.arange(1, classes + 1)) / np.log(classes + 1.0))


class UnigramSampler(Sampler):
    """By how often each class occurs: ``q[c] = counts[c]^power / Σ counts^power``.

    A power of 3/4 makes rare ones less rare (Mikolov et al. 2013), 0 gives all the same chance.
    """

    def __init__(self, counts: Any, power: float = 0.75) -> None:
        counts = as_array(counts, "UnigramSampler", exact=True).astype(np.float64)
        if counts.ndim != 1 or not counts.size or not (counts >= 0).all() or not counts.any():
            raise ArgumentError(
                f"UnigramSampler: counts is {shortened(counts)}, expected how often each class "
                "occurs: numbers from 0 up, not all 0, along one axis."
            )
        q = np.where(counts > 0, counts, 1.0) ** number("UnigramSampler", "power", power)
        q[counts == 0] = 0.0
        super().__init__(q / q.sum())
