"""A language model of a fixed window: the few tokens before, through one hidden layer."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import IndexRangeError, ShapeError
from tinygrad_rnn.models.scores import cross_entropy, losses_in_pieces
from tinygrad_rnn.models.text_model import Floats, TextModel, vocabulary_and_size
from tinygrad_rnn.nn.activations import Activation
from tinygrad_rnn.nn.functions import Function, check_nonlinearity
from tinygrad_rnn.tensor import Tensor, as_array
from tinygrad_rnn.text.vocabulary import Ids
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["FixedWindow"]

_STEPS = 4096  # of a text at once, where nothing is recorded


class FixedWindow(TextModel, nn.Module):
    """Predicts a token from the ``window`` before it, by one hidden layer (Bengio et al. 2003).

        e = [e1; e2; e3; e4]        the vectors of the tokens x_{t-3} .. x_t
        h = f(W e + b1)
        P(x_{t+1} | x_1 .. x_t) = softmax(U h + b2)

        model = models.FixedWindow(vocabulary, window=4)
        loss, state, _ = model.loss(chunk.x, chunk.y, state)      # of data.Streams

    ids (T, B)  ->  hidden (T, B, H), and the state: the last tokens (B, window - 1)

    Unlike counts it knows tokens that are alike. Unlike a recurrent network it has weights of
    its own for each place, and sees no further than the window. Before a text stands a token
    whose vector is 0.

    Args:
        vocabulary: A ``text.Vocabulary``, or how many tokens there are: V.
        window: How many tokens it looks at.
        embedding_dim: How wide the vector of a token is.
        hidden_size: H.
        activation: f, by name or a function. See ``nn.Activation``.
    """

    def __init__(
        self,
        vocabulary: Any,
        window: int = 4,
        embedding_dim: int = 32,
        hidden_size: int = 256,
        *,
        activation: str | Function = "tanh",
    ) -> None:
        super().__init__()
        self.vocabulary, V = vocabulary_and_size("FixedWindow", vocabulary)
        self.vocabulary_size = V
        self.window = whole("FixedWindow", "window", window, 1)
        check_nonlinearity("FixedWindow", "activation", activation)
        self.embedding = nn.Embedding(V + 1, embedding_dim, padding_id=V)
        self.hidden = nn.Linear(window * embedding_dim, hidden_size)
        self.activation = Activation(activation)
        self.out = nn.Linear(hidden_size, V)

    # ----- training -----

    def forward(self, ids: Any, state: Any = None) -> tuple[Tensor, Ids]:
        """ids (T, B) -> the hidden layer at each step, (T, B, H), and the state."""
        ids = as_array(ids, "FixedWindow")
        if ids.ndim != 2:
            raise ShapeError(f"FixedWindow: ids have shape {ids.shape}, expected (T, B).")
        V = self.vocabulary_size
        if ids.size and not (ids.min() >= 0 and ids.max() < V):  # V stands before a text alone
            raise IndexRangeError(
                f"FixedWindow: ids go from {ids.min()} to {ids.max()}, expected 0 to {V - 1}."
            )
        steps, rows = ids.shape
        state = self.start(rows) if state is None else np.asarray(state)
        if state.shape != (rows, self.window - 1):
            raise ShapeError(
                f"FixedWindow: a state of shape {state.shape} for ids of shape {ids.shape}, "
                f"expected the tokens before, ({rows}, {self.window - 1})."
            )
        read = np.concatenate([state.T, ids])
        windows = np.stack([read[place : place + steps] for place in range(self.window)], axis=-1)
        vectors = self.embedding(windows)  # (T, B, window, E)
        hidden: Tensor = self.activation(self.hidden(vectors.reshape(steps, rows, -1)))
        return hidden, read[steps:].T

    def loss(self, x: Any, y: Any, state: Any = None) -> tuple[Tensor, Ids, dict[str, Tensor]]:
        """The mean cross-entropy of y after x (T, B), the new state, and {"nats": ...}."""
        hidden, state = self(x, state)
        nats = self.cross_entropy(hidden, y)
        return nats, state, {"nats": nats.detach()}

    def cross_entropy(self, hidden: Tensor, y: Any, reduction: str = "mean") -> Tensor:
        """Of y (T, B), by the hidden layer (T, B, H)."""
        return cross_entropy(self.out, hidden, y, reduction=reduction)

    # ----- reading a text -----

    def start(self, rows: int = 1) -> Ids:
        """The tokens before any token: as many that stand for nothing, (rows, window - 1)."""
        rows = whole("FixedWindow.start", "rows", rows, 1)
        return np.full((rows, self.window - 1), self.vocabulary_size)

    def step(self, tokens: Any, state: Any) -> tuple[Floats, Ids]:
        """tokens (rows,) -> log-probabilities of what comes next (rows, V), and the state."""
        with evaluating(self):
            hidden, state = self(self.ids(tokens)[None], state)
            return ops.log_softmax(self.out(hidden)).numpy()[0], state

    def advance(self, ids: Any, state: Any = None) -> Ids:
        """The state after tokens, of one row."""
        read = np.append(self.start() if state is None else state, self.ids(ids))
        return read[None, len(read) - self.window + 1 :]

    def log_likelihoods(self, ids: Any, state: Any = None) -> Floats:
        """``log P(ids[t + 1] | ids[:t + 1])`` of each token but the first, (T - 1,)."""
        ids = self.ids(ids, least=1)
        with evaluating(self):
            found = [nats.numpy() for nats in losses_in_pieces(self, ids, state, _STEPS)]
        return -np.concatenate([np.zeros(0), *found])
