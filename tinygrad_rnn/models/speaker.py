"""What any model that says sentences about something can do: search for what to say."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import decoding
from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.data import Padded, pad
from tinygrad_rnn.decoding import Hypothesis
from tinygrad_rnn.decoding.settings import of_sources
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError
from tinygrad_rnn.models.saved import Saved
from tinygrad_rnn.nn import Module
from tinygrad_rnn.text.vocabulary import Ids, Vocabulary
from tinygrad_rnn.text.words import Words
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["IGNORED", "Speaker", "settings_in_tokens", "taught", "tokens_of", "with_end"]

IGNORED = -100  # what no loss counts


class Speaker(Saved, Module):
    """A model that is shown things, can encode them, and is what ``decoding`` asks for.

    What it is about are sentences, images, or whatever ``encode`` takes several of.
    """

    end: int  # the token behind those of the vocabulary, which ends a sentence

    @abstractmethod
    def encode(self, about: Any) -> Any:
        """What is made of what is shown."""

    @abstractmethod
    def start(self, memory: Any) -> Any:
        """The state before anything is said: a tree of arrays, rows first."""

    @abstractmethod
    def step(self, tokens: Any, state: Any) -> Any:
        """The protocol of ``decoding``."""

    @abstractmethod
    def scored(self, tokens: Any, state: Any) -> Any:
        """``step`` with ``decoding.LogProbs``."""

    @abstractmethod
    def _groups(
        self, where: str, about: Sequence[Any], max_length: int | None, batch_size: int
    ) -> Iterator[tuple[list[int], int]]:
        """The numbers of things that go side by side, and the most tokens that are said."""

    def _said(
        self,
        where: str,
        about: Sequence[Any],
        beam: int,
        max_length: int | None,
        batch_size: int,
        how: dict[str, Any],
    ) -> list[Ids]:
        """The tokens of the best sentence about each thing, without their ends."""
        if whole(where, "beam", beam, 1) == 1 and not how:
            return self._for_each(where, self._likeliest, about, max_length, batch_size, {})
        how = how | {"beam": beam}
        found = self._for_each(where, self._best, about, max_length, batch_size, how)
        return [self._without_end(best[0].tokens) for best in found]

    def _for_each(
        self,
        where: str,
        search: Callable[..., list[Any]],
        about: Sequence[Any],
        max_length: int | None,
        batch_size: int,
        how: dict[str, Any],
    ) -> list[Any]:
        """What a search finds about each thing, some of them side by side."""
        for name in ("return_tree", "bos", "eos"):
            if name in how:
                raise ArgumentError(
                    f"{where}: {name} is not for sentences as they are wanted here; "
                    "decoding.beam_search takes it, with model.step and model.start."
                )
        found: dict[int, Any] = {}
        size = whole(where, "batch_size", batch_size, 1)
        if how.get("stochastic"):  # each is drawn by its place, whatever stands beside it
            how = {"row_ids": range(len(about)), **how}
        with evaluating(self):  # once, not at every step
            for rows, limit in self._groups(where, about, max_length, size):
                own = of_sources(where, how, rows, len(about))
                found |= zip(rows, search([about[row] for row in rows], limit, **own), strict=True)
        return [found[row] for row in range(len(about))]

    def _begin(self, about: Sequence[Any]) -> tuple[Any, Array]:
        """The state that decoding starts in, and the tokens that it begins with."""
        return self.start(self.encode(about)), np.full(len(about), self.end)

    def _likeliest(self, about: Sequence[Any], limit: int) -> list[Ids]:
        said = decoding.greedy(self.scored, *self._begin(about), limit, end=self.end).tokens
        return [self._without_end(row) for row in np.asarray(said)]

    def _best(self, about: Sequence[Any], limit: int, **how: Any) -> list[list[Hypothesis]]:
        state, begins = self._begin(about)
        found: list[list[Hypothesis]] = decoding.beam_search(
            self.scored, state, bos=begins, eos=self.end, max_length=limit, **how
        )
        return found

    def _best_of_all(
        self, about: Sequence[Any], limit: int, *, beam: int, n_best: int, **how: Any
    ) -> list[list[Hypothesis]]:
        """As many as a beam finds, which none that is left out is better than."""
        found, of_beam = [], self._best(about, limit, beam=beam, n_best=n_best, **how)
        for one, known in zip(about, of_beam, strict=True):
            least = known[-1].score if known[-1].finished else -np.inf
            state, begins = self._begin([one])
            found += decoding.exhaustive(
                self.step, state, vocabulary=self.end + 1, bos=begins, eos=self.end,
                n_best=len(known), max_length=limit, at_least=[least], **how,
            )  # fmt: skip
        return found

    def _without_end(self, tokens: Ids) -> Ids:
        found: Ids = tokens[np.cumsum(tokens == self.end) == 0]
        return found


def taught(where: str, name: str, given: Any, end: int) -> tuple[Array, Array, Array]:
    """What a decoder is told and what it is to say, (T, B) each, and lengths, ends with them."""
    ids, lengths = with_end(where, name, given, end)
    said = np.where(np.arange(ids.shape[1]) < lengths[:, None], ids, IGNORED).T
    read = np.full(said.shape, end)
    read[1:] = ids.T[:-1]
    return read, said, lengths


def with_end(where: str, name: str, given: Any, end: int) -> tuple[Array, Array]:
    """Sentences side by side, (B, T + 1), each followed by ``end``s, and their lengths with one.

    given  lists of tokens below ``end``; or ``Padded`` (B, T) with its lengths
    """
    if isinstance(given, Padded):
        ids, lengths = map(np.asarray, given)
    else:
        rows = list(given) if hasattr(given, "__iter__") else [None]
        if isinstance(given, str) or not all(_may_be_tokens(row) for row in rows):
            raise ArgumentError(
                f"{where}: {name} is {shortened(given)}, expected lists of tokens, as "
                "vocabulary.encode makes them of texts."
            )
        if not rows:
            raise ArgumentError(f"{where}: {name} is empty, expected one or more.")
        ids, lengths = pad(rows, batch_first=True)
    if ids.ndim != 2 or lengths.shape != ids.shape[:1] or (ids.size and ids.dtype.kind not in "iu"):
        raise ShapeError(
            f"{where}: {name} holds {ids.dtype} of shape {ids.shape} and {lengths.shape} lengths, "
            "expected lists of tokens, or data.Padded of whole numbers (B, T), rows first, and "
            "lengths (B,)."
        )
    if lengths.size and (lengths.min() < 0 or lengths.max() > ids.shape[1]):
        raise IndexRangeError(
            f"{where}: {name} has lengths from {lengths.min()} to {lengths.max()}, expected 0 to "
            f"{ids.shape[1]}."
        )
    there = np.arange(ids.shape[1]) < lengths[:, None]
    wrong = np.argwhere(there & ((ids < 0) | (ids >= end)))
    if len(wrong):
        row, place = wrong[0]
        raise IndexRangeError(
            f"{where}: {name}[{row}][{place}] is {ids[row, place]}, expected 0 to {end - 1}, a "
            f"token of the vocabulary of {end}."
        )
    found = np.full((len(ids), lengths.max(initial=0) + 1), end)
    found[:, :-1][there[:, : found.shape[1] - 1]] = ids[there]
    return found, lengths + 1


def _may_be_tokens(row: Any) -> bool:
    return hasattr(row, "__len__") and not isinstance(row, str)


def tokens_of(where: str, place: str, given: Any, vocabulary: Vocabulary | None, end: int) -> Any:
    """The tokens of a text, or those that are given: one or more."""
    tokens = given
    if isinstance(given, str):
        if vocabulary is None:
            raise ArgumentError(
                f"{where}: {place} is {shortened(given)}, and this model was made with the number "
                f"{end} of tokens alone. Give tokens, or make it with a vocabulary."
            )
        tokens = vocabulary.encode(given)
    if not hasattr(tokens, "__len__"):
        raise ArgumentError(
            f"{where}: {place} is {shortened(given)}, expected a text, or tokens in a row."
        )
    if not len(tokens):
        raise ArgumentError(f"{where}: {place} is {shortened(given)}, expected one word or more.")
    return tokens


def settings_in_tokens(where: str, target: Vocabulary, how: dict[str, Any]) -> dict[str, Any]:
    """What must be said in tokens, where it is told in words."""

    def encoded(given: Any) -> Any:
        if isinstance(given, list | tuple):
            return [encoded(one) for one in given]
        if not isinstance(given, str):
            return given
        ids = target.encode(given)
        if isinstance(target, Words) and 0 in ids:
            raise ArgumentError(
                f"{where}: {shortened(given)} is to be said, expected words of the vocabulary."
            )
        return ids

    if isinstance(how.get("constraints"), str):
        raise ArgumentError(
            f"{where}: constraints is {shortened(how['constraints'])}, expected a list of what "
            "must be said, or such a list for each."
        )
    return how | {name: encoded(how[name]) for name in ("prefix", "constraints") if name in how}
