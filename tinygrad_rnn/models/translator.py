"""What any model that brings texts into other texts can do: translate."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tinygrad_rnn import decoding
from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.data import Batches, Padded, pad
from tinygrad_rnn.decoding import Hypothesis
from tinygrad_rnn.decoding.settings import of_sources
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError
from tinygrad_rnn.models.saved import Saved
from tinygrad_rnn.text.vocabulary import Ids, Vocabulary
from tinygrad_rnn.text.words import Words

__all__ = ["Translation", "Translator", "with_end"]


class Translation(NamedTuple):
    """One of several translations of a text.

    score     what they are ordered by: the length rule of the search
    log_prob  Σ log P of its tokens, the end included
    finished  whether it came to an end
    """

    text: str
    score: float
    log_prob: float
    finished: bool


class Translator(Saved):
    """A mixin for what has two vocabularies, can encode, and is what ``decoding`` asks for."""

    vocabularies: ClassVar[dict[str, str]] = {
        "source_vocabulary": "source_end",
        "target_vocabulary": "end",
    }
    source_vocabulary: Vocabulary | None  # None: only the numbers of tokens work, no text
    target_vocabulary: Vocabulary | None
    source_end: int  # the token behind those of each vocabulary, which ends a sentence
    end: int

    @abstractmethod
    def encode(self, source: Any) -> Any:
        """What is made of sentences that are read."""

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
    def alignment(self, source: Any, target: Any) -> Any:
        """How much each token of a target looks at each of its source."""

    def batches(
        self, pairs: Sequence[tuple[str, str]], batch_size: int | None = None, **how: Any
    ) -> Batches:
        """Pairs of texts as batches for ``loss``, in each those of like lengths.

            pairs = text.pairs("train.de", "train.en")
            for source, target in model.batches(pairs, 64, shuffle=True):
                loss, values = model.loss(source, target)

        Args:
            how: What ``data.Batches`` takes: shuffle, seed, max_tokens, and more.
        """
        source, target = self._vocabularies(f"{type(self).__name__}.batches", False)
        return Batches(
            [(source.encode(one), target.encode(other)) for one, other in pairs],
            batch_size,
            lengths=lambda pair: max(map(len, pair)) + 1,  # ends take a place, too
            collate=lambda pairs: tuple(zip(*pairs, strict=True)),
            **how,
        )

    def translate(
        self, texts: Sequence[str], *, copy_unknown: bool = False, **how: Any
    ) -> list[str]:
        """What the model says to each text.

            model.translate(["two dogs", "a cat"], beam=5)

        Args:
            copy_unknown: Put, for an unknown word, that word of the source that is looked at
                most; both vocabularies have to be of words.
            how: What ``translated`` takes: beam, max_length, batch_size, and more. ``prefix`` and
                ``constraints`` may be texts: ["two dogs", "a cat"], or such a list for each.
        """
        where = f"{type(self).__name__}.translate"
        ids, how = self._as_tokens(where, texts, copy_unknown, how)
        said = self.translated(ids, **how)
        return [self._text(*given, copy_unknown) for given in zip(texts, ids, said, strict=True)]

    def translated(
        self,
        source: Sequence[Any],
        *,
        beam: int = 1,
        max_length: int | None = None,
        batch_size: int = 64,
        **how: Any,
    ) -> list[Ids]:
        """Tokens in, the tokens of translations out, without their ends.

        Args:
            beam: How many translations of a sentence are followed side by side; 1 takes the
                likeliest token at every step.
            max_length: The most tokens of a translation; None: about twice as many as in its
                source, and 10 more.
            batch_size: How many sentences go side by side. No translation depends on it.
            how: What else ``decoding.beam_search`` takes; tokens are those of the target.
        """
        where = f"{type(self).__name__}.translate"
        if whole(where, "beam", beam, 1) == 1 and not how:
            return self._for_each(where, self._likeliest, source, max_length, batch_size, {})
        how |= {"beam": beam}
        found = self._for_each(where, self._best, source, max_length, batch_size, how)
        return [self._without_end(best[0].tokens) for best in found]

    def hypotheses(
        self,
        texts: Sequence[str],
        *,
        beam: int = 5,
        n_best: int = 5,
        exhaustive: bool = False,
        copy_unknown: bool = False,
        max_length: int | None = None,
        batch_size: int = 64,
        **how: Any,
    ) -> list[list[Translation]]:
        """The best translations of each text that a beam finds, the best first.

            for one in model.hypotheses(["two dogs"], n_best=3)[0]:
                print(one.text, one.score)

        Arguments are those of ``translate``, and ``n_best``, at most ``beam``.

        Args:
            exhaustive: Find the best of all sequences, if the model is sure enough that few can
                be better than what the beam has found; see ``decoding.exhaustive``.
        """
        where = f"{type(self).__name__}.hypotheses"
        if exhaustive and (unknown := set(how) - {"length_rule", "min_length", "rules"}):
            raise ArgumentError(
                f"{where}: exhaustive search does not take {', '.join(sorted(unknown))}, expected "
                "length_rule, min_length or rules beside it."
            )
        ids, how = self._as_tokens(where, texts, copy_unknown, how)
        how |= {"beam": beam, "n_best": n_best}
        search = self._best_of_all if exhaustive else self._best
        found = self._for_each(where, search, ids, max_length, batch_size, how)
        return [
            [
                Translation(
                    self._text(text, read, self._without_end(one.tokens), copy_unknown),
                    one.score, one.log_prob, one.finished,
                )
                for one in best
            ]
            for text, read, best in zip(texts, ids, found, strict=True)
        ]  # fmt: skip

    # ----- searches -----

    def _for_each(
        self,
        where: str,
        search: Callable[..., list[Any]],
        source: Sequence[Any],
        max_length: int | None,
        batch_size: int,
        how: dict[str, Any],
    ) -> list[Any]:
        """What a search finds for each sentence, those of like lengths side by side."""
        found: dict[int, Any] = {}
        for rows, limit in _batches(where, source, max_length, batch_size):
            own = of_sources(where, how, rows, len(source))
            found |= zip(rows, search([source[row] for row in rows], limit, **own), strict=True)
        return [found[row] for row in range(len(source))]

    def _begin(self, source: Sequence[Any]) -> tuple[Any, Array]:
        """The state that decoding starts in, and the tokens that it begins with."""
        return self.start(self.encode(source)), np.full(len(source), self.end)

    def _likeliest(self, source: Sequence[Any], limit: int) -> list[Ids]:
        said = decoding.greedy(self.scored, *self._begin(source), limit, end=self.end).tokens
        return [self._without_end(row) for row in np.asarray(said)]

    def _best(self, source: Sequence[Any], limit: int, **how: Any) -> list[list[Hypothesis]]:
        state, begins = self._begin(source)
        found: list[list[Hypothesis]] = decoding.beam_search(
            self.scored, state, bos=begins, eos=self.end, max_length=limit, **how
        )
        return found

    def _best_of_all(
        self, source: Sequence[Any], limit: int, *, beam: int, n_best: int, **how: Any
    ) -> list[list[Hypothesis]]:
        """As many as a beam finds, which none that is left out is better than."""
        found, of_beam = [], self._best(source, limit, beam=beam, n_best=n_best, **how)
        for one, known in zip(source, of_beam, strict=True):
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

    # ----- texts and tokens -----

    def _as_tokens(
        self, where: str, texts: Sequence[str], copy_unknown: bool, how: dict[str, Any]
    ) -> tuple[list[Ids], dict[str, Any]]:
        """The tokens of texts, and settings in which what must be said is told in tokens."""
        if isinstance(texts, str):
            raise ArgumentError(f"{where}: texts is {shortened(texts)}, expected a list of texts.")
        source, target = self._vocabularies(where, copy_unknown)
        return [source.encode(text) for text in texts], _settings_in_tokens(where, target, how)

    def _vocabularies(self, where: str, words: bool) -> tuple[Vocabulary, Vocabulary]:
        source, target = self.source_vocabulary, self.target_vocabulary
        if source is None or target is None:
            raise ArgumentError(
                f"{where}: a text needs vocabularies, and this model was made with numbers of "
                "tokens alone. Use translated(), or make it with vocabularies."
            )
        if words and not (isinstance(source, Words) and isinstance(target, Words)):
            raise ArgumentError(
                f"{where}: copy_unknown with vocabularies of {source.kind} and {target.kind}, "
                "expected words on both sides: nothing else has whole words that are unknown."
            )
        return source, target

    def _text(self, text: str, read: Ids, said: Ids, copy_unknown: bool) -> str:
        """What was said; if asked for, with words that were read in place of unknown ones."""
        source, target = self.source_vocabulary, self.target_vocabulary
        assert target is not None
        if not copy_unknown or 0 not in said or not len(read):
            return target.decode(said)
        assert isinstance(source, Words)
        assert isinstance(target, Words)
        given = source.cut(text)
        looked = self.alignment([read], [said])[0][:, : len(read)].argmax(axis=1)
        return target.join(
            [
                target.piece(int(token)) if token else given[place]
                for token, place in zip(said, looked, strict=False)
            ]
        )


def with_end(where: str, name: str, given: Any, end: int) -> tuple[Array, Array]:
    """Sentences side by side, (B, T + 1), each followed by ``end``s, and their lengths with one.

    given  lists of tokens below ``end``; or ``Padded`` (B, T) with its lengths
    """
    if isinstance(given, Padded):
        ids, lengths = map(np.asarray, given)
    else:
        ids, lengths = pad(list(given), batch_first=True)
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


def _limit(length: int) -> int:
    """How many tokens a translation may have; few numbers, as rows of one go side by side."""
    return 16 * -(-(2 * length + 10) // 16)


def _settings_in_tokens(where: str, target: Vocabulary, how: dict[str, Any]) -> dict[str, Any]:
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

    return how | {name: encoded(how[name]) for name in ("prefix", "constraints") if name in how}


def _batches(
    where: str, source: Sequence[Any], max_length: int | None, batch_size: int
) -> Iterator[tuple[list[int], int]]:
    """The numbers of sentences that go side by side, of like lengths, and their limit."""
    size = whole(where, "batch_size", batch_size, 1)
    most = None if max_length is None else whole(where, "max_length", max_length, 0)
    limits = [_limit(len(ids)) if most is None else most for ids in source]
    for limit in sorted(set(limits)):
        rows = [row for row, own in enumerate(limits) if own == limit]
        rows.sort(key=lambda row: len(source[row]))
        for begin in range(0, len(rows), size):
            yield rows[begin : begin + size], limit
