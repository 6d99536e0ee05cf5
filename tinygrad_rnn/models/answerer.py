"""Answers to questions about images: image times question, or looking at every word."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn import losses, nn, ops
from tinygrad_rnn.arguments import flag, shortened
from tinygrad_rnn.data import Batches, Padded
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError
from tinygrad_rnn.models.asking import Multiplied, ReadWhileLooking
from tinygrad_rnn.models.labels import names_of, number_of, right_share
from tinygrad_rnn.models.layers import CellChoice, recurrent_layers
from tinygrad_rnn.models.saved import Saved
from tinygrad_rnn.models.shown import (
    Pairs,
    count_of,
    feature_shape,
    features_of,
    image_of_each,
    places_of,
)
from tinygrad_rnn.models.some_rows import some_rows
from tinygrad_rnn.models.speaker import tokens_of, with_end
from tinygrad_rnn.models.telling import Looking, Looks
from tinygrad_rnn.models.text_model import Floats, vocabulary_and_size
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["Answerer"]


class Answerer(Saved, nn.Module):
    """Reads a question, sees an image, and chooses one of its answers (Antol et al. 2015).

        model = models.Answerer(words, ["yes", "no", "red"], encoder, 32, 64, features=(64, 6, 6))
        loss, values = model.loss(images, questions, answers)
        model.answers(images, questions)
        model.answers(images, questions, choices=[["red", "yes"], ...])    the likeliest of these

    Image and question become vectors of J numbers, and are multiplied:

        u = tanh(√D z / |z| W_z + b_z)          z: all D numbers that the encoder makes of an image
        q = tanh([h_T; c_T; ...] W_q + b_q)     the last states of all layers that read the question
        P(answer) = softmax(tanh((u q) W + b) W_a + b_a)

    With ``attend`` the layers look at places z_i before each word (Zhu et al. 2016), and read
    what they have seen with it. The end of a question is read as a word is, so that the last look
    knows all that was asked:

        a_t = softmax_i(v·tanh(h_{t-1} w_q + z_i w_k + b))    c_t = Σ_i a_ti z_i
        h_t = layers([e_t; c_t], h_{t-1})
        tanh([h_T; c_T; e_T] W_j + b_j)                       in place of u q

    Args:
        vocabulary: A ``text.Vocabulary`` of questions, or how many tokens there are.
        answers: Their names.
        encoder: Any module that makes (B, D) or (B, D, h, w) of images (B, C, H, W). None: images
            are such features themselves.
        embedding_dim: How wide the vectors of words are: E.
        hidden_size: The width of the layers: H.
        features: D or (D, h, w): what the encoder makes of one image.
        joint: J; H unless given.
        attend: Whether places are looked at.
        word_asks: Whether they are looked for by [h_{t-1}; e_t], the word that comes with them.
        image: False: the question alone, q in place of u q; nothing is looked at.
        question: False: the image alone; of every question only its end is read.
        cell: As for ``LanguageModel``.
        dropout: The share of the vectors of words.
        output_dropout: The share of what scores are made of.
        options: Those of recurrent layers.
    """

    vocabularies: ClassVar[dict[str, str]] = {"vocabulary": "end"}

    def __init__(
        self,
        vocabulary: Any,
        answers: Sequence[str],
        encoder: nn.Module | None,
        embedding_dim: int,
        hidden_size: int,
        *,
        features: int | Sequence[int],
        joint: int | None = None,
        attend: bool = False,
        word_asks: bool = False,
        image: bool = True,
        question: bool = True,
        cell: CellChoice = "LSTM",
        num_layers: int = 2,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.where = where = type(self).__name__
        self.vocabulary, self.end = vocabulary_and_size(where, vocabulary)
        self.names = names_of(where, answers, "answers")
        self.features = feature_shape(where, features)
        self.image, self.question = flag(where, "image", image), flag(where, "question", question)
        if not (image or question):
            raise ArgumentError(f"{where}: neither image nor question, expected one or both.")
        self.attend = flag(where, "attend", attend) and image
        if self.attend and len(self.features) == 1:
            raise ShapeError(
                f"{where}: attend=True with features {features}, expected those of places: "
                "(D, h, w)."
            )
        self.encoder = encoder if image else None
        J = joint or hidden_size
        D = self.features[0] if self.attend else int(np.prod(self.features))
        self.embedding = nn.Embedding(self.end + 1, embedding_dim)
        layers = recurrent_layers(
            where, cell, embedding_dim + D * self.attend, hidden_size, num_layers, options
        )
        self.joining: Multiplied | ReadWhileLooking
        if self.attend:
            word = embedding_dim if flag(where, "word_asks", word_asks) else 0
            looking = Looking(D, layers, hidden_size, hard=False, gate=False, word=word)
            self.joining = ReadWhileLooking(looking, J)
        else:
            self.joining = Multiplied(layers, D if image else None, J)
        self.dropout, self.output_dropout = nn.Dropout(dropout), nn.Dropout(output_dropout)
        self.hidden, self.out = nn.Linear(J, J), nn.Linear(J, len(self.names))

    def forward(self, images: Any, questions: Any, of: Any = None) -> Tensor:
        """Scores of all answers (N, K)."""
        return self._asked(images, questions, of)[0]

    def loss(
        self, images: Any, questions: Any, answers: Any, of: Any = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The mean cross-entropy of the answers, and {"accuracy": ...}.

        Args:
            images: (B, C, H, W), or a list of (C, H, W); or features. Bytes, as pictures have
                them, are made numbers from 0 to 1. None where the question is all there is.
            questions: N texts, or their tokens without ends. A word that is not in the
                vocabulary is read as its ``<unk>``.
            answers: A name for each, or its number.
            of: Which image each question is about, (N,), where there are others than one for each.
        """
        return self._loss(self(images, questions, of), answers)

    def _loss(self, scores: Tensor, answers: Any) -> tuple[Tensor, dict[str, Any]]:
        numbers = self._numbers(answers)
        if len(numbers) != len(scores):
            raise ArgumentError(
                f"{self.where}.loss: {len(scores)} questions and {len(numbers)} answers, expected "
                "as many."
            )
        return losses.cross_entropy(scores, numbers), {"accuracy": right_share(scores, numbers)}

    def _numbers(self, answers: Any) -> Array:
        """Numbers of answers, by name; numbers are them already."""
        where, given = f"{self.where}.loss", host_array(answers)
        if given.dtype.kind not in "iu":
            return np.array(
                [
                    number_of(where, self.names, f"answers[{n}]", name)
                    for n, name in enumerate(answers)
                ]
            )
        if given.ndim != 1:
            raise ShapeError(
                f"{where}: answers has shape {given.shape}, expected one for each question."
            )
        wrong = np.flatnonzero((given < 0) | (given >= len(self.names)))
        if len(wrong):
            raise IndexRangeError(
                f"{where}: answers[{wrong[0]}] is {given[wrong[0]]}, expected 0 to "
                f"{len(self.names) - 1}, or one of {shortened(self.names)}."
            )
        return given

    def _asked(self, images: Any, questions: Any, of: Any) -> tuple[Tensor, Looks | None]:
        """Scores, and where it was looked."""
        ids, lengths = self._read(questions)
        seen = self._seen(images) if self.image else None
        if seen is not None:
            of = image_of_each(self.where, of, len(seen), len(ids), "questions")
        return self._answered(ids, lengths, seen, of)

    def _answered(
        self, ids: Array, lengths: Array, seen: Tensor | None, of: Array | None
    ) -> tuple[Tensor, Looks | None]:
        joint, looks, _ = self.joining(self._words(ids), self.joining.start(seen, of), lengths)
        return self._scores(joint), looks

    def _words(self, ids: Array) -> Tensor:
        """Vectors of the words of questions, (T, N, E)."""
        found: Tensor = self.dropout(self.embedding(ids.T))
        return found

    def _scores(self, joint: Tensor) -> Tensor:
        """Of all answers (N, K), by what was found (N, J)."""
        found = ops.tanh(self.hidden(self.output_dropout(joint)))
        scores: Tensor = self.out(self.output_dropout(found))
        return scores

    def _read(self, questions: Any) -> tuple[Array, Array]:
        """Tokens of questions, (N, T + 1), each with its end, and how many."""
        self._check_several(questions)
        if not isinstance(questions, Padded):
            questions = [self._tokens(f"questions[{n}]", one) for n, one in enumerate(questions)]
        found = with_end(self.where, "questions", questions, self.end)
        if self.question:
            return found
        return np.full((len(found[0]), 1), self.end), np.ones_like(found[1])

    def _check_several(self, questions: Any) -> None:
        if isinstance(questions, str) or not hasattr(questions, "__len__"):
            raise ArgumentError(
                f"{self.where}: questions is {shortened(questions)}, expected a list of questions."
            )

    def _tokens(self, place: str, given: Any) -> Any:
        """The tokens of a text, or those that are given."""
        return tokens_of(self.where, place, given, self.vocabulary, self.end)

    def _seen(self, images: Any) -> Tensor:
        """What is made of images: (B, D), all places in one row, or (B, P, D) to look at."""
        count_of(self.where, images)
        found = features_of(self.where, images, self.encoder, self.features, self.out.weight)
        return places_of(found) if self.attend else found.reshape(len(found), -1)

    # ----- answering -----

    def batches(
        self,
        images: Sequence[Any],
        questions: Sequence[Sequence[str]],
        answers: Sequence[Sequence[str]],
        batch_size: int,
        **how: Any,
    ) -> Batches:
        """Images, each with its questions and their answers, as batches for ``loss``.

            for batch in model.batches(images, [["is it red?", "what is it?"], ...], answers, 32):
                loss, values = model.loss(*batch)

        Args:
            images: Any sequence; an image is read when its batch is.
            how: What ``data.Batches`` takes: shuffle, seed, and more.
        """
        where = f"{self.where}.batches"
        if not len(images) == len(questions) == len(answers):
            raise ArgumentError(
                f"{where}: {len(images)} images, questions about {len(questions)} and answers of "
                f"{len(answers)}, expected a list of each for each image."
            )
        rows = []
        for n, (asked, told) in enumerate(zip(questions, answers, strict=True)):
            if isinstance(asked, str) or len(asked) != len(told) or not asked:
                raise ArgumentError(
                    f"{where}: questions[{n}] is {shortened(asked)} and answers[{n}] "
                    f"{shortened(told)}, expected as many, and one or more."
                )
            tokens = [self._tokens(f"questions[{n}][{k}]", one) for k, one in enumerate(asked)]
            rows.append((tokens, self._numbers(told)))
        return Batches(Pairs(images, rows), batch_size, collate=_together, **how)

    def probabilities(
        self, images: Any, questions: Any, of: Any = None, *, batch_size: int = 256
    ) -> Floats:
        """How likely each answer is, (N, K), in the order of ``names``."""
        pieces = self._pieces(images, questions, of, batch_size)
        found = [ops.softmax(scores).numpy() for scores, _ in pieces]
        nothing = np.zeros((0, len(self.names)), self.out.weight.dtype)
        return np.concatenate([nothing, *found])

    def answers(
        self,
        images: Any,
        questions: Any,
        of: Any = None,
        *,
        choices: Sequence[Sequence[str]] | None = None,
        batch_size: int = 256,
    ) -> list[str]:
        """The likeliest answer to each question.

        Args:
            choices: For each question some names, the likeliest of which is chosen. One that the
                model does not know never is.
            batch_size: How many questions go side by side. No answer depends on it.
        """
        found = self.probabilities(images, questions, of, batch_size=batch_size)
        if choices is None:
            return [self.names[k] for k in found.argmax(axis=-1)]
        return self._chosen(found, choices)

    def attention(
        self, images: Any, questions: Any, of: Any = None, *, batch_size: int = 256
    ) -> list[Floats]:
        """How much is looked at each place before each word, and before the end: (T + 1, h, w)."""
        if not self.attend:
            raise ArgumentError(f"{self.where}.attention: the model was made without attend=True.")
        found: list[Floats] = []
        _, lengths = self._read(questions)
        for _, looks in self._pieces(images, questions, of, batch_size):
            assert looks is not None
            for row in looks.shares():
                found.append(row[: lengths[len(found)]].reshape(-1, *self.features[1:]))
        return found

    def _pieces(
        self, images: Any, questions: Any, of: Any, batch_size: int
    ) -> Iterator[tuple[Tensor, Looks | None]]:
        """Some questions at a time, in their order, with the images that these are about."""
        self._check_several(questions)
        batches = some_rows(self.where, len(questions), batch_size)
        if self.image:
            count = count_of(self.where, images)
            of = image_of_each(self.where, of, count, len(questions), "questions")
            of = np.arange(len(questions)) if of is None else of
        for rows in batches:
            shown, about = None, None
            if self.image:
                used, about = np.unique(of[rows], return_inverse=True)
                shown = [images[k] for k in used]
            with evaluating(self):
                yield self._asked(shown, questions[rows], about)

    def _chosen(self, found: Floats, choices: Sequence[Sequence[str]]) -> list[str]:
        if len(choices) != len(found):
            raise ArgumentError(
                f"{self.where}.answers: {len(found)} questions and choices for {len(choices)}, "
                "expected as many."
            )
        numbers = {name: number for number, name in enumerate(self.names)}
        chosen = []
        for n, (row, names) in enumerate(zip(found, choices, strict=True)):
            known = [name for name in names if name in numbers]
            if isinstance(names, str) or not known:
                raise ArgumentError(
                    f"{self.where}.answers: choices[{n}] is {shortened(names)}, expected names, at "
                    f"least one of them of {shortened(self.names)}."
                )
            chosen.append(max(known, key=lambda name: row[numbers[name]]))
        return chosen


def _together(rows: Sequence[Any]) -> tuple[list[Any], list[Any], Array, Array]:
    """Images, all their questions, the answers, and which image each of these is about."""
    counts = [len(tokens) for _, (tokens, _) in rows]
    questions = [question for _, (tokens, _) in rows for question in tokens]
    answers = np.concatenate([numbers for _, (_, numbers) in rows])
    return [image for image, _ in rows], questions, answers, np.repeat(np.arange(len(rows)), counts)
