"""A language model that counts: how often each token came after the few before it."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.errors import ArgumentError, ShapeError, StateDictError
from tinygrad_rnn.models.counts import NOWHERE, Counts, Level
from tinygrad_rnn.models.smoothing import Estimate, Smoothing, smoothing_of
from tinygrad_rnn.models.text_model import Floats, TextModel, vocabulary_and_size
from tinygrad_rnn.text.vocabulary import Ids

__all__ = ["NGram"]

NAMES = ("keys", "counts")  # of a level, in a state dict
NOTHING = -1  # in place of a token, before the text


class NGram(TextModel):
    """Predicts a token from the ``order - 1`` before it, by counting.

        P(x_t | x_1 .. x_{t-1}) = P(x_t | x_{t-n+1} .. x_{t-1})

        model = models.NGram(5, letters).fit(speech)
        model.score(other).perplexity

    Args:
        order: n, from 1 up: 1 counts tokens, 2 pairs.
        vocabulary: A ``text.Vocabulary``, or how many tokens there are: V.
        smoothing: "none", "add", "backoff", "interpolate", "witten-bell", "kneser-ney", or one
            of ``models.smoothing`` with options, such as ``smoothing.Add(0.1)``.
    """

    def __init__(
        self, order: int, vocabulary: Any, *, smoothing: str | Smoothing = "witten-bell"
    ) -> None:
        self.order = whole("NGram", "order", order, 1)
        self.vocabulary, self.vocabulary_size = vocabulary_and_size("NGram", vocabulary)
        self.smoothing = smoothing_of("NGram", smoothing)
        self._counts: Counts | None = None
        self._estimates: list[Estimate] = []

    def fit(self, text_or_ids: Any) -> Self:
        """Count a text; what was counted before is forgotten."""
        ids = self.ids(text_or_ids)
        if len(ids) < self.order:
            raise ShapeError(
                f"NGram.fit: {shortened(text_or_ids)} has {len(ids)} tokens, expected "
                f"order = {self.order} at least."
            )
        return self._know(Counts.of(ids, self.order, self.vocabulary_size))

    def _know(self, counts: Counts) -> Self:
        self._estimates = self.smoothing.estimates(counts)
        self._counts = counts
        return self

    @property
    def counts(self) -> Counts:
        """What was counted: ``counts[n]`` are the n-grams of length n."""
        if self._counts is None:
            raise ArgumentError(
                "NGram: nothing was counted yet. Call fit, with a text or its tokens."
            )
        return self._counts

    def count(self, text_or_ids: Any) -> int:
        """How often a sequence of one to ``order`` tokens came."""
        ids = self.ids(text_or_ids)
        if not 1 <= len(ids) <= self.order:
            raise ShapeError(
                f"NGram.count: {shortened(text_or_ids)} has {len(ids)} tokens, expected 1 to "
                f"{self.order}, the order."
            )
        number = self.counts.locate(ids)[len(ids)][0]
        return 0 if number == NOWHERE else int(self.counts[len(ids)].counts[number])

    def unseen(self, text_or_ids: Any) -> Floats:
        """Of the n-grams of a text, the share that was never counted, for each length; (order,).

        This is why counts are not enough: the longer, the more of them come for the first time.
        """
        ids = self.ids(text_or_ids, least=self.order)
        return np.array([np.mean(found == NOWHERE) for found in self.counts.locate(ids)[1:]])

    @property
    def _floor(self) -> float:
        return self.smoothing.floor / self.vocabulary_size

    # ----- what a model of text has -----

    def start(self, rows: int = 1) -> Ids:
        """The tokens before, (rows, order - 1): none."""
        return np.full((whole("NGram.start", "rows", rows, 1), self.order - 1), NOTHING)

    def step(self, tokens: Any, state: Any) -> tuple[Floats, Ids]:
        """tokens (rows,) -> log-probabilities of what comes next (rows, V), and the state."""
        tokens = self.ids(tokens)
        if len(tokens) != len(state):
            raise ShapeError(
                f"NGram.step: {len(tokens)} tokens for a state of {len(state)} rows, expected one "
                "for each row."
            )
        state = self._after(state, tokens[:, None])
        with np.errstate(divide="ignore"):
            return np.log(np.stack([self._distribution(row) for row in state])), state

    def advance(self, ids: Any, state: Any = None) -> Ids:
        """The state after tokens, of one row."""
        return self._after(self.start() if state is None else state, self.ids(ids)[None])

    def log_likelihoods(self, ids: Any, state: Any = None) -> Floats:
        """``log P(ids[t + 1] | ids[:t + 1])`` of each token but the first, (T - 1,)."""
        given = self.ids(ids, least=1)
        before = np.zeros(0, np.int64) if state is None else state[0][state[0] != NOTHING]
        counts, text = self.counts, np.concatenate([before, given])
        begins = counts.locate(text)
        found = np.full(len(text), self._floor)  # of each token, by longer and longer contexts
        for n, (probability, weight) in enumerate(self._estimates, start=1):
            rest = found[n - 1 :]
            if self.smoothing.alone:
                rest[:] = self._floor
            gram, context = begins[n], begins[n - 1][: len(rest)]
            rest *= np.where(context == NOWHERE, 1.0, weight[context])
            rest[gram != NOWHERE] = probability[gram[gram != NOWHERE]]
        with np.errstate(divide="ignore"):
            log_probs: Floats = np.log(found[len(before) + 1 :])
        return log_probs

    def _after(self, state: Any, tokens: Ids) -> Ids:
        read = np.concatenate([state, tokens], axis=1)
        return read[:, read.shape[1] - (self.order - 1) :]

    def _distribution(self, before: Ids) -> Floats:
        """Of the token after these, (V,)."""
        counts, history = self.counts, before[before != NOTHING]
        begins = counts.locate(history)
        found = np.full(self.vocabulary_size, self._floor)
        for n, (probability, weight) in enumerate(self._estimates[: len(history) + 1], start=1):
            if self.smoothing.alone:
                found[:] = self._floor
            context = begins[n - 1][len(history) - n + 1]
            if context != NOWHERE:
                level = counts[n]
                begin, end = level.first[context : context + 2]
                found *= weight[context]
                found[level.token[begin:end]] = probability[begin:end]
        return found

    # ----- what it is and holds, as of a module -----

    def made_with(self) -> dict[str, Any]:
        """The arguments that make another like it, with V in place of the vocabulary."""
        return {
            "order": self.order,
            "vocabulary": self.vocabulary_size,
            "smoothing": self.smoothing.description(),
        }

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """All that was counted, for ``tg.save``."""
        counts = self.counts
        return {
            f"{name}.{n}": getattr(counts[n], name)
            for n in range(1, self.order + 1)
            for name in NAMES
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what another of the same order and vocabulary counted."""
        levels, contexts = [], 1
        for n in range(1, self.order + 1):
            keys, counts = (_row(state, f"{name}.{n}") for name in NAMES)
            size = contexts * self.vocabulary_size
            if len(keys) != len(counts) or not _rising(keys, size) or (counts < 1).any():
                raise StateDictError(
                    f"NGram.load_state_dict: keys.{n} and counts.{n} are not those of n-grams of "
                    f"{self.vocabulary_size} tokens: expected {size} different keys at most, in "
                    "order, and counts from 1 up."
                )
            levels.append(Level(keys, counts, contexts, self.vocabulary_size))
            contexts = len(keys)
        extra = sorted(
            set(state) - {f"{name}.{n + 1}" for name in NAMES for n in range(self.order)}
        )
        if extra:
            raise StateDictError(
                f"NGram.load_state_dict: {extra[0]} is too many for order = {self.order}."
            )
        found = Counts(levels)
        for n, suffixes in enumerate(found.suffixes, start=1):
            if (suffixes == NOWHERE).any():
                raise StateDictError(
                    f"NGram.load_state_dict: n-grams of length {n} lack the shorter ones in them."
                )
        self._know(found)


def _row(state: Mapping[str, Any], name: str) -> Ids:
    if name not in state:
        raise StateDictError(f"NGram.load_state_dict: {name} is missing.")
    found = np.asarray(state[name])
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise StateDictError(
            f"NGram.load_state_dict: {name} has shape {found.shape} and dtype {found.dtype}, "
            "expected whole numbers in a row."
        )
    return found.astype(np.int64)


def _rising(keys: Ids, size: int) -> bool:
    inside = not len(keys) or (keys[0] >= 0 and keys[-1] < size)
    return bool(inside and (np.diff(keys) > 0).all())
