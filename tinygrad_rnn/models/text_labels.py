"""What a text says as a whole, or each of its words: sentiment, topics, parts of speech."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn import losses, nn, ops
from tinygrad_rnn.arguments import choice, shortened
from tinygrad_rnn.data import Batches, pad
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.labels import named, names_of, numbers_of, right_share
from tinygrad_rnn.models.layers import CellChoice, check_none_needed, recurrent_layers
from tinygrad_rnn.models.saved import Saved
from tinygrad_rnn.models.some_rows import some_rows
from tinygrad_rnn.models.speaker import IGNORED
from tinygrad_rnn.models.text_model import Floats, vocabulary_and_size
from tinygrad_rnn.tensor import Tensor, constant
from tinygrad_rnn.text.vocabulary import Ids, checked_ids
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["TextLabels"]

_READS = "attention", "mean", "last"


class TextLabels(Saved, nn.Module):
    """A label for a text, or for each of its words, by layers that read it from both ends.

        h_1 ... h_T = layers(e_1 ... e_T)              e_t: the vector of word t
        a = softmax(v·tanh(h_t w' + b'))               which words count (Yang et al. 2016)
        P(label) = softmax((Σ_t a_t h_t) w + b)        of="text"
        P(label of t) = softmax(h_t w + b)             of="word"

        model = models.TextLabels(["bad", "good"], words, 32, 64)
        loss, values = model.loss(["not bad at all", ...], ["good", ...])
        model.labels(["what a terribly dull film"])
        model.attention(["what a terribly dull film"])

    What stands beside a text in a batch changes nothing. A text without a word is an error.

    Args:
        labels: Their names.
        vocabulary: A ``text.Vocabulary``, or how many tokens there are.
        embedding_dim: How wide the vector of a word is.
        hidden_size: The width of the layers.
        of: "text" or "word".
        read: How a text becomes one vector: "attention" as above; "mean": with a_t = 1 / T;
            "last": the states in which the layers end, each at its own end of the text.
        cell: As for ``LanguageModel``; None: h_t = relu(e_t w' + b'), each word alone, so that the
            text is a bag of words, in which there is no order.
        bidirectional: Whether layers also read backwards.
        dropout: The share of the vectors of words, and of what scores are made of.
        options: Those of recurrent layers.
    """

    vocabularies: ClassVar[dict[str, str]] = {"vocabulary": "vocabulary_size"}

    def __init__(
        self,
        labels: Sequence[str],
        vocabulary: Any,
        embedding_dim: int,
        hidden_size: int,
        *,
        of: str = "text",
        read: str = "attention",
        cell: CellChoice | None = "LSTM",
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        where = "TextLabels"
        self.names = names_of(where, labels)
        self.vocabulary, self.vocabulary_size = vocabulary_and_size(where, vocabulary)
        self.of = choice(where, "of", of, ("text", "word"))
        self.read = choice(where, "read", read, _READS)
        if cell is None and read == "last":
            raise ArgumentError(
                f'{where}: read is "last" and cell None, expected layers, which have a last state, '
                'or read="mean" for a bag of words.'
            )
        self.embedding = nn.Embedding(self.vocabulary_size, embedding_dim)
        self.layers: nn.Recurrent | None = None
        self.alone: nn.Linear | None = None
        if cell is None:
            check_none_needed(where, num_layers, options)
            self.alone, width = nn.Linear(embedding_dim, hidden_size), hidden_size
        else:
            both = {"bidirectional": True} if bidirectional else {}
            self.layers = recurrent_layers(
                where, cell, embedding_dim, hidden_size, num_layers, {**options, **both}, ahead=True
            )
            width = self.layers.output_size
            if read == "last" and of == "text":
                width = sum(cell.output_size for cell in self._top())
        self.look: nn.Sequential | None = None
        if of == "text" and read == "attention":
            self.look = nn.Sequential(
                nn.Linear(width, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1, bias=False)
            )
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, len(self.names))

    def forward(self, texts: Any) -> tuple[Tensor, Array]:
        """Scores (B, K) of texts or (T, B, K) of words, and how many words each text has."""
        hidden, ends, lengths = self._hidden(texts)
        if self.of == "text":
            if self.read == "last":
                hidden = ends
            else:
                hidden = (hidden * self._weights(hidden, lengths).unsqueeze(-1)).sum(0)
        return self.out(self.dropout(hidden)), lengths

    def loss(self, texts: Any, labels: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean cross-entropy, of texts or words, and {"accuracy": ...}.

        Args:
            texts: Texts, or lists of their tokens.
            labels: A name for each text; or for each text a list, one name for each word.
        """
        scores, lengths = self(texts)
        part = "word of the text" if self.of == "word" else None
        targets = numbers_of("TextLabels.loss", self.names, labels, lengths, "texts", part)
        loss = losses.cross_entropy(scores, targets, ignore_index=IGNORED)
        return loss, {"accuracy": right_share(scores, targets)}

    def batches(self, texts: Sequence[Any], labels: Any, batch_size: int, **how: Any) -> Batches:
        """Texts of about one length with their labels, as batches for ``loss``.

            for texts, labels in model.batches(texts, labels, 64, shuffle=True):
                loss, values = model.loss(texts, labels)

        Args:
            how: What ``data.Batches`` takes: shuffle, seed, and more.
        """
        tokens = self._tokens("TextLabels.batches", texts)
        lengths = np.array([len(ids) for ids in tokens])
        part = "word of the text" if self.of == "word" else None
        numbers_of("TextLabels.batches", self.names, labels, lengths, "texts", part)
        examples = list(zip(tokens, labels, strict=True))
        return Batches(examples, batch_size, lengths=lengths, collate=_apart, **how)

    # ----- what it says -----

    def labels(self, texts: Any, *, batch_size: int = 64) -> list[Any]:
        """The likeliest name for each text, or for each of its words."""
        found: list[Any] = []
        for scores, lengths in self._asked("TextLabels.labels", texts, batch_size):
            found += named(self.names, scores, lengths)
        return found

    def probabilities(self, texts: Any, *, batch_size: int = 64) -> list[Floats]:
        """For each text how likely each name is, (K,); or for each of its words, (T, K)."""
        found: list[Floats] = []
        for scores, lengths in self._asked("TextLabels.probabilities", texts, batch_size):
            likely = ops.softmax(Tensor(scores)).numpy()
            if self.of == "text":
                found += list(likely)
            else:
                found += [likely[:length, row] for row, length in enumerate(lengths)]
        return found

    def attention(self, texts: Any, *, batch_size: int = 64) -> list[Floats]:
        """How much each word of each text counts, (T,): shares of 1."""
        where = "TextLabels.attention"
        if self.of != "text" or self.read == "last":
            raise ArgumentError(
                f"{where}: the model was made with of={self.of!r} and read={self.read!r}, expected "
                'of="text" and read="attention": only then words are weighed.'
            )
        found: list[Floats] = []
        with evaluating(self):
            for rows in some_rows(where, len(texts), batch_size):
                hidden, _, lengths = self._hidden(texts[rows])
                each = zip(self._weights(hidden, lengths).numpy().T, lengths, strict=True)
                found += [weights[:length] for weights, length in each]
        return found

    # ----- parts -----

    def _asked(self, where: str, texts: Any, batch_size: int) -> Any:
        with evaluating(self):
            for rows in some_rows(where, len(texts), batch_size):
                scores, lengths = self(texts[rows])
                yield scores.numpy(), lengths

    def _tokens(self, where: str, texts: Any) -> list[Ids]:
        """The tokens of each text, one at least."""
        if isinstance(texts, str) or not hasattr(texts, "__len__") or not len(texts):
            raise ArgumentError(
                f"{where}: texts is {shortened(texts)}, expected a list of texts, one or more."
            )
        found = []
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                ids = checked_ids(where, text, self.vocabulary_size)
            elif self.vocabulary is None:
                raise ArgumentError(
                    f"{where}: texts[{number}] is {shortened(text)}, expected a list of tokens: "
                    "the model was made without a vocabulary."
                )
            else:
                ids = self.vocabulary.encode(text)
            if not len(ids):
                raise ShapeError(
                    f"{where}: texts[{number}] is {shortened(text)}, expected a word at least."
                )
            found.append(ids)
        return found

    def _hidden(self, texts: Any) -> tuple[Tensor, Tensor, Array]:
        """States (T, B, H), those in which layers end, and how many words each text has."""
        ids, lengths = pad(self._tokens("TextLabels", texts))
        e = self.dropout(self.embedding(ids))
        if self.layers is None:
            assert self.alone is not None
            hidden = ops.relu(self.alone(e))
            return hidden, hidden, lengths
        hidden, state = self.layers(e, lengths=lengths)
        states = self.layers.layout.unpack(state, (len(lengths),))
        top = self._top()
        ends = [cell.given_out(final) for cell, final in zip(top, states[-len(top) :], strict=True)]
        return hidden, ops.concat(ends, axis=-1), lengths

    def _top(self) -> list[nn.Cell]:
        """The cells of the last layer."""
        assert self.layers is not None
        return list(self.layers.layers[-1].values())

    def _weights(self, hidden: Tensor, lengths: Array) -> Tensor:
        """How much each word counts, (T, B), nothing behind the end of a text."""
        there = np.arange(len(hidden))[:, None] < lengths
        if self.look is None:
            return constant(there / lengths, hidden)
        scores = self.look(hidden).squeeze(-1)
        return ops.masked_softmax(scores.swapaxes(0, 1), there.T).swapaxes(0, 1)


def _apart(rows: Sequence[tuple[Any, Any]]) -> tuple[Any, ...]:
    """Texts side by side, and their labels."""
    return tuple(zip(*rows, strict=True))
