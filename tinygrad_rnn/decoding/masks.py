"""Masks: rules that say which tokens cannot be, and leave the log-probabilities of the others.

They renormalise nothing, so that the score of a hypothesis remains what its model says. All may
be ruled out; a hypothesis that nothing can follow is given up by a search.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.decoding.settings import is_list
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, NotFiniteError, ShapeError

__all__ = ["Banned", "Forced", "NoRepeatNgram", "Prefix"]


def _without(rows: Array, row: Array, token: Array) -> Array:
    """The rows without some tokens, given as pairs."""
    if not len(row):
        return rows
    rows = rows.copy()
    rows[row, token] = -np.inf
    return rows


def _only(rows: Array, which: Array, token: Array) -> Array:
    """Some of the rows with one token each."""
    rows, kept = rows.copy(), rows[which, token]
    rows[which] = -np.inf
    rows[which, token] = kept
    return rows


def in_a_row(given: Any) -> Any:
    """Tokens, of which one may stand alone."""
    return given if is_list(given) else [given]


def _check_token(where: str, token: int, rows: Array) -> None:
    if token >= rows.shape[1]:
        raise IndexRangeError(f"{where}: a token is {token}, expected 0 to {rows.shape[1] - 1}.")


@dataclass(frozen=True)
class NoRepeatNgram:
    """No n tokens in a row that have been there before; the ``first`` tokens do not count."""

    n: int
    first: int = 1

    def __post_init__(self) -> None:
        whole("NoRepeatNgram", "n", self.n, 1, ArgumentError)
        whole("NoRepeatNgram", "first", self.first, 0, ArgumentError)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Rule out what would repeat."""
        tokens = tokens[:, self.first :]
        if tokens.shape[1] < self.n:
            return rows
        grams = np.lib.stride_tricks.sliding_window_view(tokens, self.n, axis=1)
        newest = tokens[:, tokens.shape[1] - self.n + 1 :]
        row, at = np.nonzero((grams[:, :, :-1] == newest[:, None]).all(axis=2))
        return _without(rows, row, grams[row, at, -1])


@dataclass(frozen=True)
class Banned:
    """Tokens that must not be, and sequences of tokens that must not be in a row."""

    tokens: Sequence[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.tokens, Iterable) or isinstance(self.tokens, str):
            raise ArgumentError(
                f"Banned: tokens is {shortened(self.tokens)}, expected tokens, or sequences."
            )
        object.__setattr__(self, "tokens", list(self.tokens))
        for banned in map(in_a_row, self.tokens):
            for token in banned:
                whole("Banned", "a token", token, 0, ArgumentError)
            if not len(banned):
                raise ArgumentError("Banned: tokens holds an empty sequence, expected tokens.")

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Rule out what is banned."""
        for *before, last in map(in_a_row, self.tokens):
            _check_token("Banned", last, rows)
            if len(before) <= tokens.shape[1]:
                newest = tokens[:, tokens.shape[1] - len(before) :]
                row = np.flatnonzero((newest == np.array(before, np.int64)).all(axis=1))
                rows = _without(rows, row, np.full(len(row), last))
        return rows


@dataclass(frozen=True)
class Forced:
    """The one token that can be at a place, {place: token}, counted behind ``first`` tokens."""

    tokens: Mapping[int, int]
    first: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.tokens, Mapping):
            raise ArgumentError(
                f"Forced: tokens is {shortened(self.tokens)}, expected a token for each place, "
                "{place: token}."
            )
        for place, token in self.tokens.items():
            whole("Forced", "a place", place, 0, ArgumentError)
            whole("Forced", "a token", token, 0, ArgumentError)
        whole("Forced", "first", self.first, 0, ArgumentError)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Rule out all others."""
        token = self.tokens.get(tokens.shape[1] - self.first)
        if token is None:
            return rows
        _check_token("Forced", token, rows)
        every = np.arange(len(rows))
        return _only(rows, every, np.full(len(rows), token))


class Prefix:
    """What the hypotheses of each source begin with: the same tokens for all, or their own."""

    def __init__(self, where: str, given: Any, sources: int, eos: int | None, most: int) -> None:
        if not (given is None or is_list(given)):
            raise ArgumentError(
                f"{where}: prefix is {shortened(given)}, expected a sequence of tokens, or one for "
                "each source."
            )
        each = [[] for _ in range(sources)] if given is None else list(given)
        if given is not None and not any(map(is_list, each)):
            each = [each] * sources
        if len(each) != sources:
            raise ShapeError(
                f"{where}: prefix has {len(each)} sequences for {sources} sources, expected one "
                "for each, or one sequence."
            )
        for source, one in enumerate(each):
            if not is_list(one):
                raise ArgumentError(
                    f"{where}: prefix[{source}] is {shortened(one)}, expected a sequence of "
                    "tokens, as others are; [] for none."
                )
        self.where = where
        self.lengths = np.array([len(one) for one in each], np.int64)
        self.tokens = np.full((sources, int(self.lengths.max(initial=0))), -1)
        for source, one in enumerate(each):
            for place, token in enumerate(one):
                name = f"prefix[{source}][{place}]"
                self.tokens[source, place] = whole(where, name, token, 0, IndexRangeError)
                if self.tokens[source, place] == eos:
                    raise ArgumentError(
                        f"{where}: {name} is eos, {eos}, expected tokens that end nothing."
                    )
        if self.tokens.shape[1] > most:
            raise ArgumentError(
                f"{where}: prefix is {shortened(given)}, of {self.tokens.shape[1]} tokens, "
                f"expected at most max_length, {most}."
            )

    @property
    def told(self) -> Array:
        """All tokens that are told."""
        return self.tokens[self.tokens >= 0]

    def __call__(self, rows: Array, given: Array, source: Array, place: int) -> Array:
        """Rows of which those that are told have one token, as probable as it was ``given``."""
        if place >= self.tokens.shape[1]:
            return rows
        which = np.flatnonzero(place < self.lengths[source])
        token = self.tokens[source[which], place]
        impossible = np.flatnonzero(given[which, token] == -np.inf)
        if len(impossible):
            number = source[which[impossible[0]]]
            raise NotFiniteError(
                f"{self.where}: prefix[{number}][{place}] is {token[impossible[0]]}, which "
                "cannot be there: step gives it a log-probability of -inf."
            )
        told = _only(given[which], np.arange(len(which)), token)
        rows = rows.copy()
        rows[which] = told
        return rows
