"""A question and the image that it is about, as one vector."""

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.device import Array
from tinygrad_rnn.models.telling import Looking, Looks
from tinygrad_rnn.tensor import Tensor

__all__ = ["Multiplied", "ReadWhileLooking"]

TINY = 1e-12  # so that an image of zeros is one


class Multiplied(nn.Module):
    """``u q``, both (N, J): what an image shows, and what is asked (Antol et al. 2015).

        u = tanh(√D z / |z| W_z + b_z)
        q = tanh([h_T; c_T; ...] W_q + b_q)      the last states of all layers

    Args:
        layers: What reads questions.
        width: D; None: there is no image, and q takes the place of u q.
    """

    def __init__(self, layers: nn.Recurrent, width: int | None, joint: int) -> None:
        super().__init__()
        self.layers = layers
        self.asks = nn.Linear(sum(sum(sizes.values()) for sizes in layers.layout.sizes), joint)
        self.sees = None if width is None else nn.Linear(width, joint)

    def forward(
        self, words: Tensor, lengths: Array, seen: Tensor | None, of: Array | None
    ) -> tuple[Tensor, None]:
        """words (T, N, E), features (B, D), and which of these each question is about."""
        q = ops.tanh(self.asks(last_states(self.layers, words, lengths)))
        if self.sees is None or seen is None:
            return q, None
        size = (ops.square(seen).mean(-1, keepdims=True) + TINY) ** 0.5
        u = ops.tanh(self.sees(seen / size))
        return q * (u if of is None else u[of]), None


class ReadWhileLooking(nn.Module):
    """Layers that look at places before each word of a question (Zhu et al. 2016).

        tanh([h_T; c_T; e_T] W_j + b_j)      (N, J), of the last step: all of the question is read

    Args:
        looking: The layers; see ``Looking``.
    """

    def __init__(self, looking: Looking, joint: int) -> None:
        super().__init__()
        self.looking = looking
        self.found = nn.Linear(looking.width, joint)

    def forward(
        self, words: Tensor, lengths: Array, seen: Tensor, of: Array | None
    ) -> tuple[Tensor, Looks]:
        """words (T, N, E), places (B, P, D), and which of these each question is about."""
        carried = self.looking.start(seen if of is None else seen[of])
        features, looks, _ = self.looking(words, carried)
        last = features[lengths - 1, np.arange(len(lengths))]
        return ops.tanh(self.found(last)), looks


def last_states(layers: nn.Recurrent, words: Tensor, lengths: Array) -> Tensor:
    """All states of all layers behind the last word of each row, side by side (N, ...)."""
    _, state = layers(words, lengths=lengths)
    cells = layers.layout.unpack(state, (len(lengths),))
    return ops.concat([part for cell in cells for part in cell], axis=-1)
