"""Dialogues about an image: each question is read in view of what was said before."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import flag, shortened, whole
from tinygrad_rnn.data import Batches, pad
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.answerer import Answerer
from tinygrad_rnn.models.layers import recurrent_layers
from tinygrad_rnn.models.shown import Pairs
from tinygrad_rnn.models.speaker import with_end
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["Dialogue"]

Round = Sequence[str]  # (question, answer)
NOTHING = np.zeros(0, np.intp)  # the tokens where nothing is said


class Dialogue(Answerer):
    """An ``Answerer`` of dialogues, who knows what it has found before.

        model = models.Dialogue(words, answers, encoder, 32, 64, features=(64, 6, 6), attend=True)
        rounds = [("what colour is it?", "red"), ("is it small or large?", "small")]
        loss, values = model.loss(images, captions, [rounds, ...])
        model.answers(images, captions, [rounds, ...])         in view of the answers before
        model.talk(images, captions, [["what colour is it?", ...], ...])     and of its own answers

    The caption is read as a question is, with the image in view. What was found with it, and with
    each question, goes into layers over rounds, each with the answer; the next question is read
    with their state beside each of its words. So "it" is asked for by what was seen, as in the
    attention memory of Seo et al. 2017, in the hierarchy of Das et al. 2017:

        f_0 = found with the caption, s = 0 beside it;      m_0 = [f_0; 0]
        s_k = rounds(m_k, s_{k-1})
        f_{k+1} = found with question k + 1: layers read [e_t; s_k], or [e_t; s_k; c_t] where
            they look; of it the answer, as an ``Answerer`` makes it of a question
        m_{k+1} = [f_{k+1}; the mean of e of the words of its answer]

    Args:
        history: False: questions are read as if nothing had been said.
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
        if history:
            cell, told = settings.get("cell", "LSTM"), self.hidden.in_features + embedding_dim
            self.rounds = recurrent_layers(self.where, cell, told, hidden_size, 1, {})

    def _beside(self, hidden_size: int) -> int:
        return hidden_size if self.history else 0

    def forward(self, images: Any, captions: Any, dialogues: Any) -> Tensor:  # type: ignore[override]
        """Scores of the answers to all questions, dialogue by dialogue (N, K)."""
        if not len(captions) == len(dialogues) or (self.image and len(images) != len(captions)):
            raise ArgumentError(
                f"{self.where}: {len(captions)} captions and {len(dialogues)} dialogues about "
                f"{len(images) if self.image else 'no'} images, expected one of each."
            )
        rounds = [self._rounds(f"dialogues[{n}]", own) for n, own in enumerate(dialogues)]
        of = np.repeat(np.arange(len(rounds)), list(map(len, rounds)))
        seen = self._seen(images) if self.image else None
        if self.history:
            found = self._found(captions, rounds, seen)
            return self._scores(found[np.concatenate([np.arange(len(r)) for r in rounds]), of])
        ids, lengths = self._read([question for own in rounds for question, _ in own])
        return self._answered(self._words(ids), lengths, seen, of)[0]

    def _found(self, captions: Any, rounds: list[list[Any]], seen: Tensor | None) -> Tensor:
        """What is found with the questions, round by round (R, B, J)."""
        remarks = [
            NOTHING if one is None else self._tokens(f"captions[{n}]", one)
            for n, one in enumerate(captions)
        ]
        ids, lengths = with_end(self.where, "captions", remarks, self.end)
        answers = self._answers_before(rounds)
        size = 1, len(rounds), self.rounds.output_size
        said = Tensor(np.zeros(size, self.out.weight.dtype))
        joint, state, found = self._read_beside(said, ids, lengths, seen), None, []
        for r in range(len(answers)):
            told = ops.concat([joint, answers[r]], axis=-1).unsqueeze(0)
            said, state = self.rounds(told, state)
            questions = [own[min(r, len(own) - 1)][0] for own in rounds]  # any, where it is over
            joint = self._read_beside(said, *self._read(questions), seen)
            found.append(joint)
        return ops.stack(found)

    def _read_beside(self, said: Tensor, ids: Array, lengths: Array, seen: Tensor | None) -> Tensor:
        """What is found with a text for each image, what was said (1, B, H) beside its words."""
        words = self._words(ids)
        beside = ops.broadcast_to(said, *words.shape[:2], said.shape[2])
        joint: Tensor = self.joining(ops.concat([words, beside], axis=-1), lengths, seen, None)[0]
        return joint

    def _answers_before(self, rounds: list[list[Any]]) -> Tensor:
        """Of the answers before each question the means of their words, (R, B, E); first zeros."""
        before = [
            [NOTHING, *(self._tokens("an answer", answer) for _, answer in own[:-1])]
            for own in rounds
        ]
        R, B = max(map(len, rounds)), len(rounds)
        rows = [own[r] if r < len(own) else NOTHING for r in range(R) for own in before]
        ids, lengths = pad(rows, batch_first=True)
        known = np.arange(ids.shape[1]) < lengths[:, None]
        share = (known / np.maximum(lengths, 1)[:, None]).astype(self.out.weight.dtype)
        means: Tensor = (self.embedding(ids) * share[..., None]).sum(axis=1)
        return means.reshape(R, B, -1)

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
                answered in view of the answers before it, as they are given.
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
        size = whole(f"{self.where}.answers", "batch_size", batch_size, 1)
        found: list[list[str]] = []
        for begin in range(0, len(dialogues), size):
            rows = slice(begin, begin + size)
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
        said: list[list[str]] = [[] for _ in questions]
        for r in range(max(map(len, questions))):
            going = [b for b, asked in enumerate(questions) if len(asked) > r]
            rounds = [list(zip(questions[b], [*said[b], ""], strict=False)) for b in going]
            shown = [images[b] for b in going] if self.image else None
            for b, own in zip(
                going, self.answers(shown, [captions[b] for b in going], rounds, **how), strict=True
            ):
                said[b].append(own[r])
        return said


def _together(rows: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Images, captions and dialogues."""
    return [image for image, _ in rows], [c for _, (c, _) in rows], [d for _, (_, d) in rows]
