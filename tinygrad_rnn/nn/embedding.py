"""Embedding: a vector for every token."""

from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of vectors, read by token id: the product of ``weight`` with a one-hot vector.

        y[...] = weight[ids[...]]

    ids (...) integers from 0 to V - 1  ->  y (..., E); weight (V, E), drawn from N(0, 1).

    Args:
        num_embeddings: V.
        embedding_dim: E.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = check_size("Embedding", "embedding_dim", embedding_dim)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = Parameter(np.zeros(shape, np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors anew."""
        init.normal_(self.weight)

    def forward(self, ids: Any) -> Tensor:
        """ids (...) -> (..., E)."""
        return ops.embedding(self.weight, ids)

    def extra_repr(self) -> str:
        """V and E."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
