"""What any model of text can do: score a text, say what comes next."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn import decoding, metrics
from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.errors import ArgumentError, ShapeError, VocabularyError
from tinygrad_rnn.models.saved import Saved
from tinygrad_rnn.text.vocabulary import Ids, Vocabulary, checked_ids
from tinygrad_rnn.text.words import Words

__all__ = ["Score", "TextModel", "vocabulary_and_size"]

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


@dataclass(frozen=True)
class Score:
    """How well a model predicts a text, whose first token is given, not predicted."""

    tokens: int  # predicted
    characters: int  # of the text that they make; tokens, where the model has no vocabulary
    log_prob: float  # of them all, in nats

    @property
    def nats(self) -> float:
        """A token: the mean of -log P."""
        return -self.log_prob / self.tokens

    @property
    def perplexity(self) -> float:
        """Among how many tokens, as likely as each other, the choice would be as hard."""
        return metrics.perplexity([-self.nats])

    @property
    def bits(self) -> float:
        """A character of the text, whatever the tokens are: compares models of any tokens."""
        return -self.log_prob / math.log(2) / self.characters


class TextModel(Saved):
    """A mixin for what has ``vocabulary``, ``vocabulary_size``, ``start`` and ``step``.

    ``start`` and ``step`` are what the package ``decoding`` asks of a model. From them come
    ``score``, ``next``, ``generate`` and ``stream``. A model that reads many tokens faster than
    one by one replaces ``log_likelihoods`` and ``advance``.
    """

    vocabularies: ClassVar[dict[str, str]] = {"vocabulary": "vocabulary_size"}
    vocabulary: Vocabulary | None  # None: only the numbers of tokens work, no text
    vocabulary_size: int

    @abstractmethod
    def start(self, rows: int = 1) -> Any:
        """The state before any token: a tree of arrays, rows first."""

    @abstractmethod
    def step(self, tokens: Ids, state: Any) -> tuple[Floats, Any]:
        """The logs of the probabilities of what follows, (rows, V), and the state after.

        tokens (rows,)  ->  log_probs (rows, V), state
        """

    def log_likelihoods(self, ids: Any, state: Any = None) -> Floats:
        """``log P(ids[t + 1] | ids[:t + 1])`` of each token but the first, (T - 1,).

        Args:
            state: What came before, as ``advance`` gives it. None: nothing.
        """
        given = self.ids(ids, least=1)
        state = self.start() if state is None else state
        found = np.empty(len(given) - 1)
        for t in range(len(found)):
            log_probs, state = self.step(given[t : t + 1], state)
            found[t] = log_probs[0, given[t + 1]]
        return found

    def advance(self, ids: Any, state: Any = None) -> Any:
        """The state after tokens, of one row."""
        state = self.start() if state is None else state
        for token in self.ids(ids):
            _, state = self.step(np.array([token]), state)
        return state

    def ids(self, text_or_ids: Any, least: int = 0) -> Ids:
        """The tokens of a text, or tokens that were given, after a look at each; (T,)."""
        name = type(self).__name__
        if isinstance(text_or_ids, str):
            found = self._needed("a text").encode(text_or_ids)
        else:
            found = checked_ids(name, text_or_ids, self.vocabulary_size)
        if len(found) < least:
            raise ShapeError(
                f"{name}: {shortened(text_or_ids)} has {len(found)} tokens, expected {least} at "
                "least" + (", as the first is given, not predicted." if least > 1 else ".")
            )
        return found

    def score(self, text_or_ids: Any) -> Score:
        """How well the model predicts a text of two tokens or more."""
        ids = self.ids(text_or_ids, least=2)
        if self.vocabulary is None:
            characters = len(ids) - 1
        elif isinstance(text_or_ids, str):
            characters = len(text_or_ids) - len(_first(self.vocabulary, text_or_ids, ids))
        else:
            characters = len(self.vocabulary.decode(ids)) - len(self.vocabulary.decode(ids[:1]))
        log_prob = float(np.sum(self.log_likelihoods(ids), dtype=np.float64))
        return Score(len(ids) - 1, max(characters, 1), log_prob)

    def next(self, text: Any, k: int = 5) -> list[tuple[str, float]]:
        """The likeliest tokens after a text and their probabilities: predictive typing."""
        k = whole(f"{type(self).__name__}.next", "k", k, 1)
        ids = self.ids(text, least=1)
        log_probs, _ = self.step(ids[-1:], self.advance(ids[:-1]))
        likeliest = np.argsort(-log_probs[0], kind="stable")[:k]
        piece = str if self.vocabulary is None else self.vocabulary.piece
        return [(piece(int(id)), math.exp(log_probs[0, id])) for id in likeliest]

    def generate(self, length: int, prime: str = "", **how: Any) -> str:
        """A text of ``length`` tokens that goes on from another one.

            model.generate(200, "To be ", temperature=0.8, top_p=0.95, seed=1)

        Args:
            prime: What it goes on from, read first and not part of the result. Without one, a
                text begins behind the end of a line.
            how: What ``decoding.sample`` takes: temperature, top_k, top_p, min_p, typical_p,
                repetition_penalty, rules, end, seed.
        """
        return "".join(self.stream(length, prime, **how))

    def stream(self, length: int, prime: str = "", **how: Any) -> Iterator[str]:
        """The same text, piece by piece, as it is drawn."""
        vocabulary = self._needed("a text that goes on")
        before = self.ids(prime) if prime else self._beginning(vocabulary)
        drawn = decoding.stream(self.step, self.start(), before[None], length, **how)
        return _texts(vocabulary, drawn)

    def _beginning(self, vocabulary: Vocabulary) -> Ids:
        """The end of a line; where there is none, the first token."""
        with suppress(VocabularyError):
            if len(found := vocabulary.encode("\n")):
                return found[-1:]
        return np.zeros(1, np.int64)

    def _needed(self, what: str) -> Vocabulary:
        if self.vocabulary is None:
            name = type(self).__name__
            raise ArgumentError(
                f"{name}: {what} needs a vocabulary, and this model was made with the number "
                f"{self.vocabulary_size} of tokens alone. Give it tokens as numbers, or make it "
                "with a vocabulary, such as text.Characters.of(sample)."
            )
        return self.vocabulary


def _first(vocabulary: Vocabulary, written: str, ids: Ids) -> str:
    """The first token of a text as it stands there, which a word that is unknown does not tell."""
    if isinstance(vocabulary, Words):
        return vocabulary.cut(written)[0]
    return vocabulary.decode(ids[:1])


def _texts(vocabulary: Vocabulary, drawn: Iterator[Any]) -> Iterator[str]:
    decoder = vocabulary.decoder()
    for tokens in drawn:
        if piece := decoder.add(int(tokens[0])):
            yield piece
    if rest := decoder.end():
        yield rest


def vocabulary_and_size(where: str, given: Any) -> tuple[Vocabulary | None, int]:
    """What models take first: a vocabulary, or the number of tokens alone."""
    if isinstance(given, Vocabulary):
        return given, len(given)
    if isinstance(given, str | bytes | list | tuple | dict | set):
        raise ArgumentError(
            f"{where}: vocabulary is {shortened(given)}, expected a text.Vocabulary, such as "
            "text.Characters.of(sample), or the number of tokens."
        )
    return None, whole(where, "vocabulary", given, 1)
