"""Embedding: a vector for every token; and the output layer that shares its table."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from tinygrad_rnn import modes, ops, random
from tinygrad_rnn.arguments import bounded, flag, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.dropping import dropped
from tinygrad_rnn.nn.linear import affine
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["Embedding", "TiedLinear"]


class Embedding(Module):
    """A table of vectors, read by token id: the product of ``weight`` with a one-hot vector.

        y[...] = weight[ids[...]]

    ids (...) integers from 0 to V - 1  ->  y (..., E); weight (V, E), drawn from N(0, 1).

    Args:
        num_embeddings: V.
        embedding_dim: E.
        padding_id: The token whose vector is 0 and stays so: it has no gradient.
        word_dropout: The share of words whose vectors are 0 in a call while training, wherever
            they stand in it; the others are grown to make up for it (Gal & Ghahramani 2016).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_id: int | None = None,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_embeddings = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = check_size("Embedding", "embedding_dim", embedding_dim)
        self.padding_id = self._row("padding_id", padding_id)
        self.word_dropout = bounded("Embedding", "word_dropout", word_dropout, least=0, below=1)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = Parameter(np.zeros(shape, np.float32))
        self.reset_parameters()

    @classmethod
    def from_pretrained(cls, vectors: Any, freeze: bool = True, **options: Any) -> Self:
        """A table of vectors (V, E) that are there already, frozen unless told otherwise."""
        array = as_array(vectors, "Embedding.from_pretrained")
        if array.ndim != 2 or array.dtype.kind != "f":
            raise ShapeError(
                f"Embedding.from_pretrained: vectors are {array.dtype} of shape {array.shape}, "
                "expected floating-point numbers (V, E)."
            )
        with random.fork():  # what is drawn here is written over
            made = cls(*array.shape, **options)
        made.weight = Parameter(array, requires_grad=not flag(cls.__name__, "freeze", freeze))
        made._clear_padding()
        return made

    def load_vectors(self, vectors: Mapping[str, Any], tokens: Sequence[str]) -> list[str]:
        """Write the vectors of words into the rows of the same words; the others stay as drawn.

        Args:
            vectors: From a word to its vector (E), as ``read_vectors`` gives them.
            tokens: The word of every row, in the order of ids.

        Returns the words that ``vectors`` has not.
        """
        if len(tokens) != self.num_embeddings:
            raise ShapeError(
                f"Embedding.load_vectors: tokens has {len(tokens)} words, expected "
                f"{self.num_embeddings}: one for each row."
            )
        table, missing = self.weight.numpy().copy(), []
        for row, token in enumerate(tokens):
            if token not in vectors:
                missing.append(token)
                continue
            vector = as_array(vectors[token], "Embedding.load_vectors")
            if vector.shape != (self.embedding_dim,):
                raise ShapeError(
                    f"Embedding.load_vectors: the vector of {token!r} has shape {vector.shape}, "
                    f"expected {(self.embedding_dim,)}."
                )
            table[row] = vector
        self.weight.assign_(table)
        self._clear_padding()
        return missing

    def reset_parameters(self) -> None:
        """Draw the vectors anew."""
        init.normal_(self.weight)
        self._clear_padding()

    def forward(self, ids: Any) -> Tensor:
        """ids (...) -> (..., E)."""
        ids = as_array(ids, "Embedding")
        y = ops.embedding(self.weight, ids)
        if self.word_dropout and self.training:
            y = dropped(y, self.word_dropout, self._numbers(ids))
        if self.padding_id is not None:
            y = ops.where((ids != self.padding_id)[..., None], y, 0.0)
        return y

    def _numbers(self, ids: Array) -> Array:
        """A random number (..., 1) for each token: the same for all of a word."""
        flat = ids.reshape(-1)
        numbers = random.noise(rows=flat).at(0, [0], len(flat), 1, self.weight._data)
        return numbers.reshape(*ids.shape, 1)

    def _row(self, name: str, row: Any) -> int | None:
        if row is None:
            return None
        found = whole("Embedding", name, row)
        if not 0 <= found < self.num_embeddings:
            raise IndexRangeError(
                f"Embedding: {name} is {found}, expected 0 to {self.num_embeddings - 1}."
            )
        return found

    def _clear_padding(self) -> None:
        if self.padding_id is not None:
            with modes.no_grad():
                self.weight.assign_(ops.index_update(self.weight, self.padding_id, 0.0))

    def extra_repr(self) -> str:
        """V, E and options."""
        given = {"padding_id": self.padding_id, "word_dropout": self.word_dropout or None}
        options = [f"{name}={value}" for name, value in given.items() if value is not None]
        return ", ".join([str(self.num_embeddings), str(self.embedding_dim), *options])


class TiedLinear(Module):
    """Scores for every token by the table that they are read from (Press & Wolf 2017).

        y = x weightᵀ + bias

    x (..., E)  ->  y (..., V); weight is the embedding's own Parameter, bias (V) starts at 0.

    Args:
        embedding: Whose table it is.
        bias: Whether anything is added.
    """

    bias: Parameter | None

    def __init__(self, embedding: Embedding, bias: bool = True) -> None:
        super().__init__()
        if not isinstance(embedding, Embedding):
            raise ArgumentError(
                f"TiedLinear: embedding is a {type(embedding).__name__}, expected an Embedding."
            )
        self.weight = embedding.weight
        with_bias = flag("TiedLinear", "bias", bias)
        V = self.weight.shape[0]
        self.bias = Parameter(np.zeros(V, self.weight.dtype)) if with_bias else None

    def forward(self, x: Any) -> Tensor:
        """x (..., E) -> (..., V)."""
        return affine("TiedLinear", x, self.weight, self.bias, "E", turned=True)

    def extra_repr(self) -> str:
        """E, V and whether there is a bias."""
        V, E = self.weight.shape
        return f"{E}, {V}, bias={self.bias is not None}"
