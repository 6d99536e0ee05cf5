"""A question and the image that it is about, as one vector; and what is asked after it."""

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.device import Array
from tinygrad_rnn.models.telling import Carried, Looking, Looks
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

    def start(self, seen: Tensor | None, of: Array | None) -> Carried:
        """features (B, D), and which of these each text is about."""
        if self.sees is None or seen is None:
            return Carried(None)
        size = (ops.square(seen).mean(-1, keepdims=True) + TINY) ** 0.5
        u = ops.tanh(self.sees(seen / size))
        return Carried(None, u if of is None else u[of])

    def forward(
        self, words: Tensor, carried: Carried, lengths: Array
    ) -> tuple[Tensor, None, Carried]:
        """words (T, N, E) -> ``u q``, and what goes on when these are read on."""
        _, state = self.layers(words, carried.layers, lengths=lengths)
        cells = self.layers.layout.unpack(state, (len(lengths),))
        q = ops.tanh(self.asks(ops.concat([part for cell in cells for part in cell], axis=-1)))
        joint = q if carried.beside is None else q * carried.beside
        return joint, None, carried._replace(layers=state)


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

    def start(self, seen: Tensor | None, of: Array | None) -> Carried:
        """places (B, P, D), and which of these each text is about."""
        assert seen is not None
        return self.looking.start(seen if of is None else seen[of])

    def forward(
        self, words: Tensor, carried: Carried, lengths: Array
    ) -> tuple[Tensor, Looks, Carried]:
        """words (T, N, E) -> what is found, where was looked, and what goes on."""
        features, looks, carried = self.looking(words, carried, lengths)
        last = features[lengths - 1, np.arange(len(lengths))]
        return ops.tanh(self.found(last)), looks, carried
