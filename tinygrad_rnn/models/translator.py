"""What any model that brings texts into other texts can do: translate."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence, Sized
from typing import Any, ClassVar, NamedTuple

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.data import Batches
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.speaker import Speaker, settings_in_tokens, with_end
from tinygrad_rnn.text.vocabulary import Ids, Vocabulary
from tinygrad_rnn.text.words import Words

__all__ = ["Translation", "Translator"]


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


class Translator(Speaker):
    """A model that reads texts and says others, with two vocabularies."""

    vocabularies: ClassVar[dict[str, str]] = {
        "source_vocabulary": "source_end",
        "target_vocabulary": "end",
    }
    source_vocabulary: Vocabulary | None  # None: only the numbers of tokens work, no text
    target_vocabulary: Vocabulary | None
    source_end: int  # as ``end``, of what is read

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
        texts, ids, how = self._as_tokens(where, texts, copy_unknown, how)
        said = self._translated(where, ids, **how)
        return [self._text(*given, copy_unknown) for given in zip(texts, ids, said, strict=True)]

    def translated(
        self,
        source: Any,
        *,
        beam: int = 1,
        max_length: int | None = None,
        batch_size: int = 64,
        **how: Any,
    ) -> list[Ids]:
        """Tokens in, the tokens of translations out, without their ends.

        Args:
            source: Lists of tokens, or ``data.Padded`` of them, rows first.
            beam: How many translations of a sentence are followed side by side; 1 takes the
                likeliest token at every step.
            max_length: The most tokens of a translation; None: about twice as many as in its
                source, and 10 more.
            batch_size: How many sentences go side by side. No translation depends on it.
            how: What else ``decoding.beam_search`` takes; tokens are those of the target.
        """
        where = f"{type(self).__name__}.translated"
        if isinstance(source, Sized) and not len(source):
            return []
        ids, lengths = with_end(where, "source", source, self.source_end)
        sentences = [row[: length - 1] for row, length in zip(ids, lengths, strict=True)]
        how = {"beam": beam, "max_length": max_length, "batch_size": batch_size, **how}
        return self._translated(where, sentences, **how)

    def _translated(
        self, where: str, source: Sequence[Ids], *, beam: int = 1, max_length: int | None = None,
        batch_size: int = 64, **how: Any,
    ) -> list[Ids]:  # fmt: skip
        return self._said(where, source, beam, max_length, batch_size, how)

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
        texts, ids, how = self._as_tokens(where, texts, copy_unknown, how)
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

    def _groups(
        self, where: str, about: Sequence[Any], max_length: int | None, batch_size: int
    ) -> Iterator[tuple[list[int], int]]:
        """Sentences of like lengths, and their limit."""
        most = None if max_length is None else whole(where, "max_length", max_length, 0)
        limits = [_limit(len(ids)) if most is None else most for ids in about]
        for limit in sorted(set(limits)):
            rows = [row for row, own in enumerate(limits) if own == limit]
            rows.sort(key=lambda row: len(about[row]))
            for begin in range(0, len(rows), batch_size):
                yield rows[begin : begin + batch_size], limit

    # ----- texts and tokens -----

    def _as_tokens(
        self, where: str, texts: Sequence[str], copy_unknown: bool, how: dict[str, Any]
    ) -> tuple[list[str], list[Ids], dict[str, Any]]:
        """Texts, their tokens, and settings in which what must be said is told in tokens."""
        if isinstance(texts, str):
            raise ArgumentError(f"{where}: texts is {shortened(texts)}, expected a list of texts.")
        source, target = self._vocabularies(where, copy_unknown)
        texts = list(texts)
        ids = [source.encode(text) for text in texts]
        return texts, ids, settings_in_tokens(where, target, how)

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


def _limit(length: int) -> int:
    """How many tokens a translation may have; few numbers, as rows of one go side by side."""
    return 16 * -(-(2 * length + 10) // 16)
