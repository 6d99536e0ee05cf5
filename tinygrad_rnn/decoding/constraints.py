"""Constraints: phrases that must be in a hypothesis, and the places in a beam for what has them.

A beam of the likeliest would drop a phrase at its first unlikely token. So hypotheses compete
only with those that lack as many tokens of their phrases, and the beam is shared between these
banks. Post and Vilar, Fast Lexically Constrained Decoding with Dynamic Beam Allocation, 2018.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tinygrad_rnn.decoding.candidates import Candidates
from tinygrad_rnn.decoding.log_probs import Rows
from tinygrad_rnn.decoding.phrases import Phrase, fewest_tokens
from tinygrad_rnn.device import Array

__all__ = ["Constraints"]

_NO_TOKEN, _BEGIN = -1, -2  # which stand in no phrase


class Constraints:
    """The phrases of all sources, as arrays over sources, phrases and places.

    A phrase is there where its tokens stand in a row; several may share tokens, and one that is
    told twice must begin at two places.

    phrases (S, C, L)   the tokens of C phrases, behind the last one _NO_TOKEN
    lengths (S, C)      how many tokens they have
    times (S, C)        at how many places they must begin
    total (S,)          how many tokens there are to be said
    shared (S,)         how many of them at most need not be, as phrases may share them
    tokens (S, N)       those that stand in them, each once
    banks               how many tokens a hypothesis may lack, and none
    """

    def __init__(self, of_source: Sequence[Sequence[Phrase]]) -> None:
        counts = [Counter(phrases) for phrases in of_source]
        most = max(map(len, counts))
        longest = max(len(phrase) for phrases in counts for phrase in phrases)
        self.phrases = np.full((len(counts), most, longest), _NO_TOKEN)
        self.lengths = np.zeros((len(counts), most), np.int64)
        self.times = np.zeros((len(counts), most), np.int64)
        for source, phrases in enumerate(counts):
            for n, (phrase, times) in enumerate(phrases.items()):
                self.phrases[source, n, : len(phrase)] = phrase
                self.lengths[source, n], self.times[source, n] = len(phrase), times
        self.total = (self.lengths * self.times).sum(axis=1)
        self.shared = self.total - [fewest_tokens((), list(one.elements())) for one in counts]
        self.banks = 1 + int(self.total.max())
        told = [sorted({token for phrase in phrases for token in phrase}) for phrases in counts]
        self.tokens = np.full((len(counts), max(map(len, told))), _NO_TOKEN)
        for source, tokens in enumerate(told):
            self.tokens[source, : len(tokens)] = tokens

    def missing(self, source: Array, tokens: Array) -> Array:
        """How many tokens of their phrases hypotheses lack, (n,), of tokens from ``bos`` on."""
        return self._lacking(source, *self._said(source, tokens))

    def _said(self, source: Array, tokens: Array) -> tuple[Array, Array]:
        """How often each phrase is there, (n, C), and with which of its beginnings all ends.

        The latter, (n, C, L), are told by their last token.
        """
        tokens = tokens.copy()
        tokens[:, 0] = _BEGIN
        here = tokens[:, None, :, None] == self.phrases[source][:, :, None]
        for place in range(1, here.shape[3]):
            here[:, :, 1:, place] &= here[:, :, :-1, place - 1]
        return self._whole(source, here).sum(axis=2), here[:, :, -1]

    def _whole(self, source: Array, beginnings: Array) -> Array:
        """Of all beginnings of phrases the whole ones."""
        last = self.lengths[source] - 1
        last = last[(..., *[None] * (beginnings.ndim - 2))]
        found: Array = np.take_along_axis(beginnings, last, axis=-1)[..., 0]
        return found

    def _lacking(self, source: Array, met: Array, ends: Array) -> Array:
        """The total less the phrases that are there, and the longest beginning of one that is not.

        There is always a token that leaves less to be said.
        """
        lengths, times = self.lengths[source], self.times[source]
        size = np.arange(1, ends.shape[2] + 1)
        of_use = (size < lengths[:, :, None]) & (met < times)[:, :, None]
        begun = np.where(ends & of_use, size, 0).max(axis=(1, 2))
        found: Array = self.total[source] - (lengths * np.minimum(met, times)).sum(axis=1) - begun
        return found

    def added(self, rows: Rows, source: Array, row: Array, token: Array) -> tuple[Array, Array]:
        """Candidates with the tokens that stand in phrases, however unlikely, in order."""
        own, place = np.nonzero(self.tokens[source] != _NO_TOKEN)
        theirs = self.tokens[source[own], place]
        possible = rows[own, theirs] > -np.inf
        width = rows.shape[1]
        every = np.union1d(row * width + token, (own * width + theirs)[possible])
        row, token = np.divmod(every, width)
        return row, token

    def in_banks(
        self, candidates: Candidates, source: Array, tokens: Array, eos: int | None
    ) -> Candidates:
        """Candidates in lanes that are banks, without those that end while something is missing.

        ``source`` and ``tokens`` are those of the hypotheses that they come from.
        """
        met, ends = self._said(source, tokens)
        after = self.phrases[candidates.source] == candidates.token[:, None, None]
        after[:, :, 1:] &= ends[candidates.row][:, :, :-1]
        met = met[candidates.row] + self._whole(candidates.source, after)
        missing = self._lacking(candidates.source, met, after)
        fine = (missing == 0) | (candidates.token != eos)
        banks = candidates.lane * self.banks + missing
        return candidates._replace(lane=banks).only(fine)

    def shares(self, lane: Array, width: int, groups: int, room: int) -> Array:
        """How many places of ``width`` each bank gets, by the lanes of all candidates.

        Each has an equal share, if what is missing can be said in ``room`` tokens. What it cannot
        use, and what is left over, is for the banks in which the least is missing.
        """
        there = np.bincount(lane, minlength=len(self.total) * groups * self.banks)
        there = there.reshape(-1, self.banks)
        most = np.minimum(self.total, np.maximum(self.shared + room, 0))
        most = np.repeat(most, groups)[:, None]
        share = np.where(np.arange(self.banks) <= most, width // (most + 1), 0)
        given = np.minimum(share, there)
        wanted = there - given
        left = width - given.sum(axis=1, keepdims=True) - (np.cumsum(wanted, axis=1) - wanted)
        found: Array = (given + np.clip(left, 0, wanted)).ravel()
        return found
