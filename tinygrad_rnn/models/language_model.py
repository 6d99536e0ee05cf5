"""A recurrent language model of characters, bytes, words or whatever a vocabulary has."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import decoding, nn
from tinygrad_rnn.arguments import flag, whole
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.models.layers import (
    CellChoice,
    are_plain,
    arrays_of,
    nothing,
    recurrent_layers,
    state_of,
)
from tinygrad_rnn.models.scores import ScoreLayer, cross_entropy, losses_in_pieces, tied_to
from tinygrad_rnn.models.text_model import Floats, TextModel, vocabulary_and_size
from tinygrad_rnn.nn.stepping import Weights, stacked, stepper_of
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["LanguageModel"]

_STEPS = 512  # of a text at once, where nothing is recorded
# What a subclass may do otherwise, and a quick step would pass over; the parts that it knows.
_WAYS = "forward", "scores", "_read_out"
_KNOWN = frozenset({nn.Embedding, nn.Dropout, nn.LockedDropout, nn.Linear, nn.TiedLinear})


class LanguageModel(TextModel, nn.Module):
    """An embedding, recurrent layers, and a score for every token that may come next.

        e = E[x_t]
        h, state = layers(e, state)
        P(x_{t+1} | x_1 .. x_t) = softmax(h W + b)

        model = models.LanguageModel(vocabulary, 64, 256, num_layers=2)
        loss, state, _ = model.loss(chunk.x, chunk.y, state)      # of data.Streams

    ids (T, B)  ->  hidden (T, B, H) of the last layer, and the state of all layers

    With ``tied=True`` W is the embedding's table (Press & Wolf 2017), so that its gradient is the
    sum of both uses. A last layer that is not as wide as the embedding is brought to its width
    by a product, ``projection``. The table then starts between -0.1 and 0.1, otherwise it is
    drawn from N(0, 1).

    Args:
        vocabulary: A ``text.Vocabulary``, or how many tokens there are: V.
        embedding_dim: How wide the vector of a token is: E.
        hidden_size: The width of the layers, or a list with that of each.
        num_layers: How many.
        cell: "LSTM", "GRU", "RNN", the name of any cell of ``nn``, a class of cells, or a function
            of (input_size, hidden_size, num_layers, **options) such as ``nn.AWDLSTM``.
        tied: Whether scores are made with the embedding's table.
        word_dropout: The share of words whose vectors are 0 in a call, wherever they stand.
        input_dropout: The share of what the first layer reads.
        hidden_dropout: The share of what layers give to the next one.
        output_dropout: The share of what the last layer gives out.
        weight_drop: The share of the recurrent weights, once for a call.
        locked: Whether the dropout of inputs, between layers and of outputs stays the same at all
            steps of a call.
        options: Those of recurrent layers: layer_norm, zoneout, connect, recompute, ...
    """

    def __init__(
        self,
        vocabulary: Any,
        embedding_dim: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        *,
        cell: CellChoice = "LSTM",
        tied: bool = False,
        word_dropout: float = 0.0,
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        output_dropout: float = 0.0,
        weight_drop: float = 0.0,
        locked: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.vocabulary, V = vocabulary_and_size(where, vocabulary)
        self.vocabulary_size = V
        self.embedding = nn.Embedding(V, embedding_dim, word_dropout=word_dropout)
        self.input_dropout = _dropout(input_dropout, flag(where, "locked", locked))
        if hidden_dropout:
            options |= {"dropout": hidden_dropout, "locked": locked}
        if weight_drop:
            options |= {"weight_drop": weight_drop}
        if num_layers == 1 and isinstance(hidden_size, list | tuple):
            num_layers = len(hidden_size)
        self.layers = recurrent_layers(where, cell, embedding_dim, hidden_size, num_layers, options)
        self.output_dropout = _dropout(output_dropout, locked)
        width = self.layers.cells()[-1].output_size
        self.projection: nn.Linear | None = None
        self.out: ScoreLayer
        if flag(where, "tied", tied):
            if width != embedding_dim:
                self.projection = nn.Linear(width, embedding_dim, bias=False)
            self.out = tied_to(self.embedding)
        else:
            self.out = nn.Linear(width, V)

    # ----- training -----

    def forward(self, ids: Any, state: Any = None) -> tuple[Tensor, Any]:
        """ids (T, B) -> the last layer's outputs (T, B, H), before any dropout, and the state."""
        vectors = self.embedding(ids)
        if vectors.ndim != 3:
            raise ShapeError(
                f"{type(self).__name__}: ids have shape {vectors.shape[:-1]}, expected (T, B)."
            )
        hidden, state = self.layers(self.input_dropout(vectors), state)
        return hidden, state

    def scores(self, hidden: Any) -> Tensor:
        """Outputs of the last layer (T, B, H) -> scores (T, B, V); dropout comes first."""
        scores: Tensor = self.out(self._read_out(self.output_dropout(hidden)))
        return scores

    def loss(
        self, x: Any, y: Any, state: Any = None, *, ar: float = 0.0, tar: float = 0.0
    ) -> tuple[Tensor, Any, dict[str, Tensor]]:
        """The mean cross-entropy of y after x (T, B), the new state, and {"nats": ...}.

            def loss(model, chunk, state):
                return model.loss(chunk.x, chunk.y, state)

            training.Trainer(model, optimizer, loss, carry_state=True)

        While training, the loss is more than "nats", the cross-entropy, by the penalties of
        Merity et al. (2017) on the last layer's outputs h, m their dropout:

            ar · mean((m * h)²) + tar · mean((h_{t+1} - h_t)²)
        """
        hidden, state = self(x, state)
        dropped = self.output_dropout(hidden)
        nats = loss = self.cross_entropy(dropped, y)
        if self.training and ar:
            loss = loss + (dropped * dropped).mean() * ar
        if self.training and tar and len(hidden) > 1:
            change = hidden[1:] - hidden[:-1]
            loss = loss + (change * change).mean() * tar
        return loss, state, {"nats": nats.detach()}

    def _read_out(self, hidden: Tensor) -> Tensor:
        """As wide as what scores are made of."""
        return hidden if self.projection is None else self.projection(hidden)

    def cross_entropy(self, hidden: Tensor, y: Any, reduction: str = "mean") -> Tensor:
        """Of y (T, B), by outputs of the last layer (T, B, H) as they are: nothing is dropped."""
        return cross_entropy(self.out, self._read_out(hidden), y, reduction=reduction)

    # ----- reading a text -----

    def start(self, rows: int = 1) -> Any:
        """The state before any token, as arrays (rows, ...)."""
        rows = whole(f"{type(self).__name__}.start", "rows", rows, 1)
        weight = self.embedding.weight
        with evaluating(self):
            _, state = self.layers(nothing(0, rows, weight.shape[1], like=weight))
            return arrays_of(self.layers, state, rows)

    def step(self, tokens: Any, state: Any) -> tuple[Floats, Any]:
        """tokens (rows,) -> log-probabilities of what comes next (rows, V), and the state."""
        if self.training:  # in the other mode it may go the quick way
            with evaluating(self):
                return self.step(tokens, state)
        tokens = host_array(tokens)
        quickly = self._quickly(tokens, state)
        if quickly is not None:
            return quickly
        with evaluating(self):
            hidden, after = self(tokens[None], state_of(self.layers, state))
            scores = self.scores(hidden).numpy()[0]
        return np.asarray(decoding.LogProbs(scores)), arrays_of(self.layers, after, len(tokens))

    def generate(self, length: int, prime: str = "", **how: Any) -> str:
        """A text that goes on, as by ``TextModel``; out of training once, not at every step."""
        with evaluating(self):
            return super().generate(length, prime, **how)

    def _quickly(self, tokens: Array, state: Any) -> tuple[Floats, Any] | None:
        """``step`` without Tensors in between; None where something asks for the long way."""
        cells = stacked(self.layers)
        parts = self.embedding, self.input_dropout, self.output_dropout, self.projection, self.out
        own = any(getattr(type(self), way) is not getattr(LanguageModel, way) for way in _WAYS)
        if cells is None or self._forward_hooks or own or not are_plain(self.layers, parts, _KNOWN):
            return None
        if self.embedding.padding_id is not None:
            return None
        if tokens.dtype.kind not in "iu" or tokens.ndim != 1 or not len(tokens):
            return None
        if not all(0 <= token < self.vocabulary_size for token in tokens.tolist()):
            return None
        products: list[Weights] = []
        if self.projection is not None:
            products.append((self.projection.weight, self.projection.bias, False))
        products.append((self.out.weight, self.out.bias, isinstance(self.out, nn.TiedLinear)))
        found: tuple[Floats, Any] | None = stepper_of(self)(
            cells, tokens, state, table=self.embedding.weight, products=products, log_probs=True
        )
        return found

    def advance(self, ids: Any, state: Any = None) -> Any:
        """The state after tokens, of one row."""
        ids = self.ids(ids)
        carried = state_of(self.layers, self.start() if state is None else state)
        with evaluating(self):
            for begin in range(0, len(ids), _STEPS):
                _, carried = self(ids[begin : begin + _STEPS, None], carried)
            return arrays_of(self.layers, carried, 1)

    def log_likelihoods(self, ids: Any, state: Any = None) -> Floats:
        """``log P(ids[t + 1] | ids[:t + 1])`` of each token but the first, (T - 1,).

        Args:
            state: What came before, as ``advance`` gives it. None: nothing.
        """
        ids = self.ids(ids, least=1)
        carried = None if state is None else state_of(self.layers, state)
        with evaluating(self):
            found = [nats.numpy() for nats in losses_in_pieces(self, ids, carried, _STEPS)]
        return -np.concatenate([np.zeros(0), *found])


def _dropout(rate: float, locked: bool) -> nn.Module:
    return nn.LockedDropout(rate) if locked else nn.Dropout(rate)
