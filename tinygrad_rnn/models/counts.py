"""How often each sequence of up to n tokens comes in a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from tinygrad_rnn.text.vocabulary import Ids

__all__ = ["Counts", "Level"]

NOWHERE = -1  # in place of the number of an n-gram that was never counted


@dataclass(frozen=True)
class Level:
    """The n-grams of one length, numbered in the order of their keys.

    A key is the number of the n-gram without its last token, among those that are one shorter,
    times V, plus the last token: so what follows a context stands together.
    """

    keys: Ids
    counts: Ids
    contexts: int  # how many n-grams are one shorter
    vocabulary_size: int

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def context(self) -> Ids:
        """The number of the n-gram without its last token."""
        return self.keys // self.vocabulary_size

    @cached_property
    def token(self) -> Ids:
        """The last token."""
        return self.keys % self.vocabulary_size

    @cached_property
    def first(self) -> Ids:
        """Where each context's n-grams begin, and the end of them all."""
        return np.searchsorted(self.keys, np.arange(self.contexts + 1) * self.vocabulary_size)

    def find(self, context: Ids, token: Ids) -> Ids:
        """The numbers of n-grams, NOWHERE for those that are none."""
        if not len(self):
            return np.full(len(context), NOWHERE)
        key = context * self.vocabulary_size + token
        place = np.minimum(np.searchsorted(self.keys, key), len(self) - 1)
        return np.where(self.keys[place] == key, place, NOWHERE)  # below 0 if the context is none

    def by_context(self, values: Any) -> np.ndarray[Any, Any]:
        """Sums over what follows each context."""
        return np.bincount(self.context, values, minlength=self.contexts)


class Counts:
    """The n-grams of each length from 1 to the order: ``counts[n]`` is the Level of length n."""

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels = list(levels)

    @classmethod
    def of(cls, ids: Ids, order: int, vocabulary_size: int) -> Self:
        """Count a text."""
        levels = []
        number, known = np.zeros(len(ids) + 1, np.int64), 1  # of the n-gram that begins at t
        for n in range(1, order + 1):
            key = number[: len(ids) + 1 - n] * vocabulary_size + ids[n - 1 :]
            keys, number, counts = np.unique(key, return_inverse=True, return_counts=True)
            levels.append(Level(keys, counts, known, vocabulary_size))
            known = len(keys)
        return cls(levels)

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, n: int) -> Level:
        return self._levels[n - 1]

    @cached_property
    def suffixes(self) -> list[Ids]:
        """For each length, the number of every n-gram without its first token."""
        found = [np.zeros(len(self[1]), np.int64)]
        for n in range(2, len(self) + 1):
            level = self[n]
            found.append(self[n - 1].find(found[-1][level.context], level.token))
        return found

    def continuations(self, n: int) -> Ids:
        """In front of each n-gram, how many different tokens there were."""
        return np.bincount(self.suffixes[n], minlength=len(self[n]))

    def locate(self, ids: Ids) -> list[Ids]:
        """For each length, the number of the n-gram that begins at each place of a text."""
        found = [np.zeros(len(ids) + 1, np.int64)]
        for n in range(1, len(self) + 1):
            last = ids[n - 1 :]
            found.append(self[n].find(found[-1][: len(last)], last))
        return found
