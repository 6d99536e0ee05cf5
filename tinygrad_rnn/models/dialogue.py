"""Dialogues about an image: each question is read in view of what was said before."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import flag, shortened
from tinygrad_rnn.data import Batches, pad
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.answerer import Answerer
from tinygrad_rnn.models.shown import Pairs, count_of
from tinygrad_rnn.models.some_rows import some_rows
from tinygrad_rnn.models.speaker import with_end
from tinygrad_rnn.models.telling import Carried
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["Dialogue"]

Round = Sequence[str]  # (question, answer)
NOTHING = np.zeros(0, np.intp)  # the tokens where nothing is said


class Dialogue(Answerer):
    """An ``Answerer`` of dialogues: of what was said it makes one text, which it reads on and on.

        model = models.Dialogue(words, answers, encoder, 32, 64, features=(64, 6, 6), attend=True)
        rounds = [("what colour is it?", "red"), ("is it small or large?", "small")]
        loss, values = model.loss(images, captions, [rounds, ...])
        model.answers(images, captions, [rounds, ...])         in view of the answers before
        model.talk(images, captions, [["what colour is it?", ...], ...])     and of its own answers

    The state in which the layers have read a question, with all that they have seen, is that in
    which they read its answer and the next question. So "it" is what they have looked at:

        what they read before answer 1: caption, end, question 1, end
                       before answer k: answer k - 1, question k, end

    and at each of these ends an answer is made as an ``Answerer`` makes it.

    Args:
        history: False: each question is read as if nothing had been said.
        settings: Those of ``Answerer``.
    """

    def __init__(
        self,
        vocabulary: Any,
        answers: Sequence[str],
        encoder: nn.Module | None,
        embedding_dim: int,
        hidden_size: int,
        *,
        features: int | Sequence[int],
        history: bool = True,
        **settings: Any,
    ) -> None:
        self.history = flag(type(self).__name__, "history", history)
        super().__init__(
            vocabulary, answers, encoder, embedding_dim, hidden_size, features=features, **settings
        )

    def forward(self, images: Any, captions: Any, dialogues: Any) -> Tensor:  # type: ignore[override]
        """Scores of the answers to all questions, dialogue by dialogue (N, K)."""
        self._check(images, captions, dialogues, "dialogues")
        if not len(dialogues):
            raise ArgumentError(
                f"{self.where}: dialogues is {shortened(dialogues)}, expected one or more."
            )
        rounds = [self._rounds(f"dialogues[{n}]", own) for n, own in enumerate(dialogues)]
        counts = list(map(len, rounds))
        of = np.repeat(np.arange(len(rounds)), counts)
        number = np.concatenate(list(map(range, counts)))
        ids, lengths = self._read([question for own in rounds for question, _ in own])
        seen = self._seen(images) if self.image else None
        if not self.history:
            return self._answered(ids, lengths, seen, of)[0]
        questions = (row[:length] for row, length in zip(ids, lengths, strict=True))
        before = self._before(captions, rounds)
        texts = [np.concatenate(pair) for pair in zip(before, questions, strict=True)]
        carried, found = self.joining.start(seen, None), []
        for r in range(max(counts)):
            rows = [NOTHING] * len(rounds)
            for n in np.flatnonzero(number == r):
                rows[of[n]] = texts[n]
            joint, carried = self._read_on(rows, carried)
            found.append(joint)
        return self._scores(ops.stack(found)[number, of])

    def _check(self, images: Any, captions: Any, dialogues: Any, what: str) -> None:
        """Raise unless there is one of each."""
        for name, given in (("captions", captions), (what, dialogues)):
            if isinstance(given, str) or not hasattr(given, "__len__"):
                raise ArgumentError(
                    f"{self.where}: {name} is {shortened(given)}, expected a list, one for each "
                    "image."
                )
        shown = count_of(self.where, images) if self.image else "no"
        if not len(captions) == len(dialogues) or shown not in ("no", len(captions)):
            raise ArgumentError(
                f"{self.where}: {len(captions)} captions and {len(dialogues)} {what} about "
                f"{shown} images, expected one of each."
            )

    def _before(self, captions: Any, rounds: list[list[Any]]) -> list[Array]:
        """What is read before each question: a caption and its end, or the answer before."""
        remarks = [
            [] if caption is None else self._tokens(f"captions[{n}]", caption)
            for n, caption in enumerate(captions)
        ]
        ids, lengths = with_end(self.where, "captions", remarks, self.end)
        found = []
        for remark, row, length, own in zip(remarks, ids, lengths, rounds, strict=True):
            found.append(row[:length] if len(remark) else NOTHING)
            found += [np.asarray(self._said("an answer", answer)) for _, answer in own[:-1]]
        return found

    def _said(self, place: str, answer: Any) -> Any:
        """The tokens of an answer, which may be told by its number."""
        if isinstance(answer, int | np.integer):
            answer = self.names[self._numbers([answer])[0]]
        return self._tokens(place, answer)

    def _read_on(self, texts: list[Array], carried: Carried) -> tuple[Tensor, Carried]:
        """What is found at the end of a further text of each dialogue; nothing where it is over."""
        ids, lengths = pad(texts, batch_first=True)
        joint, _, carried = self.joining(self._words(ids), carried, lengths)
        return joint, carried

    def _rounds(self, place: str, rounds: Any) -> list[Any]:
        """Rounds as (tokens of the question, answer)."""
        if isinstance(rounds, str) or not len(rounds) or not all(len(one) == 2 for one in rounds):
            raise ArgumentError(
                f"{self.where}: {place} is {shortened(rounds)}, expected a list of pairs of "
                "question and answer, one or more."
            )
        return [
            (self._tokens(f"{place}[{r}]", question), answer)
            for r, (question, answer) in enumerate(rounds)
        ]

    # ----- training -----

    def loss(self, images: Any, captions: Any, dialogues: Any) -> tuple[Tensor, dict[str, Any]]:  # type: ignore[override]
        """The mean cross-entropy of all answers, and {"accuracy": ...}.

        Args:
            images: As ``Answerer.loss`` takes them, one for each dialogue.
            captions: Texts, or their tokens: what is said first. None: nothing is.
            dialogues: For each a list of (question, answer). A question is a text, or tokens; it is
                answered in view of the answers before it, as they are given. An answer is a name,
                or its number.
        """
        scores = self(images, captions, dialogues)
        return self._loss(scores, [answer for own in dialogues for _, answer in own])

    def batches(  # type: ignore[override]
        self,
        images: Sequence[Any],
        captions: Sequence[str],
        dialogues: Sequence[Sequence[Round]],
        batch_size: int,
        **how: Any,
    ) -> Batches:
        """Images, each with its caption and its dialogue, as batches for ``loss``."""
        if not len(images) == len(captions) == len(dialogues):
            raise ArgumentError(
                f"{self.where}.batches: {len(images)} images, {len(captions)} captions and "
                f"{len(dialogues)} dialogues, expected as many."
            )
        said = [
            (
                None if caption is None else self._tokens(f"captions[{n}]", caption),
                self._rounds(f"dialogues[{n}]", rounds),
            )
            for n, (caption, rounds) in enumerate(zip(captions, dialogues, strict=True))
        ]
        return Batches(Pairs(images, said), batch_size, collate=_together, **how)

    # ----- answering -----

    def answers(  # type: ignore[override]
        self, images: Any, captions: Any, dialogues: Any, *, batch_size: int = 64
    ) -> list[list[str]]:
        """The likeliest answers to all questions of each dialogue.

        Each in view of the answers before it, as they are given; that of the last round is not
        looked at.
        """
        self._check(images, captions, dialogues, "dialogues")
        found: list[list[str]] = []
        for rows in some_rows(f"{self.where}.answers", len(dialogues), batch_size):
            shown = images[rows] if self.image else None
            with evaluating(self):
                best = self(shown, captions[rows], dialogues[rows]).numpy().argmax(axis=-1)
            said = iter(self.names[k] for k in best)
            found += [[next(said) for _ in own] for own in dialogues[rows]]
        return found

    def talk(
        self, images: Any, captions: Any, questions: Sequence[Sequence[str]], **how: Any
    ) -> list[list[str]]:
        """Its answers to the questions of each dialogue, in view of its own answers before."""
        self._check(images, captions, questions, "lists of questions")
        for n, asked in enumerate(questions):
            if isinstance(asked, str):
                raise ArgumentError(
                    f"{self.where}.talk: questions[{n}] is {shortened(asked)}, expected a list of "
                    "questions."
                )
        said: list[list[str]] = [[] for _ in questions]
        for r in range(max(map(len, questions), default=0)):
            going = [b for b, asked in enumerate(questions) if len(asked) > r]
            rounds = [list(zip(questions[b], [*said[b], ""], strict=False)) for b in going]
            shown = [images[b] for b in going] if self.image else None
            answers = self.answers(shown, [captions[b] for b in going], rounds, **how)
            for b, own in zip(going, answers, strict=True):
                said[b].append(own[r])
        return said


def _together(rows: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Images, captions and dialogues."""
    return [image for image, _ in rows], [c for _, (c, _) in rows], [d for _, (_, d) in rows]
