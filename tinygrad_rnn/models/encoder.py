"""The encoder of a translation: it reads a whole sentence before anything is said."""

from typing import Any, NamedTuple

from tinygrad_rnn import nn
from tinygrad_rnn.device import Array
from tinygrad_rnn.tensor import Tensor

__all__ = ["Encoder", "Memory"]


class Memory(NamedTuple):
    """What an encoder makes of sentences.

    outputs (S, B, K)  of the last layer for every token; 0 behind the end of a sentence
    lengths (B,)       how many tokens each sentence has
    final              the state of each cell behind the last token, by layer, direction and name
    """

    outputs: Tensor
    lengths: Array
    final: list[list[Tensor]]


class Encoder(nn.Module):
    """Vectors of tokens, and layers that read them, as a rule in both directions.

        e_s = E[x_s]
        h_1 ... h_S, final = layers(e_1 ... e_S)

    ids (S, B), lengths (B,)  ->  Memory

    Args:
        embedding: What makes vectors of tokens; ``nn.Identity()`` where vectors are given.
        dropout: The share of vectors that is dropped.
        memory_dropout: The share of h that is; not of the final states.
    """

    def __init__(
        self,
        embedding: nn.Module,
        layers: nn.Recurrent,
        dropout: float = 0.0,
        memory_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout, self.memory_dropout = nn.Dropout(dropout), nn.Dropout(memory_dropout)
        self.layers = layers
        self.width = layers.output_size

    def forward(self, ids: Any, lengths: Array) -> Memory:
        """Read sentences side by side; padding is not read."""
        outputs, final = self.layers(self.dropout(self.embedding(ids)), lengths=lengths)
        outputs = self.memory_dropout(outputs)
        return Memory(outputs, lengths, self.layers.layout.unpack(final, (len(lengths),)))
