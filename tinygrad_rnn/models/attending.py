"""Attention of a decoder to what was read: scores of several kinds, windows, coverage."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import choice, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.encoder import Memory
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.tensor import Tensor

__all__ = ["ATTENTIONS", "Attending"]

ATTENTIONS = ("additive", "dot", "general", "location")


class LocationScore(nn.Score):
    """``e_s = (q w)_s``: by the query alone which place is looked at (Luong et al. 2015).

    w (Q, S_max)
    """

    def __init__(self, query_size: int, most: int) -> None:
        super().__init__()
        self.query_size = query_size
        self.most = whole("Seq2Seq", "longest", most, 1)
        self.w = nn.Parameter(np.zeros((query_size, self.most), np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight anew."""
        init.xavier_uniform_(self.w)

    def prepare(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Look that there are not too many places."""
        if keys.shape[1] > self.most:
            raise ShapeError(
                f"Seq2Seq: a sentence has {keys.shape[1]} tokens with its end, and "
                f'attention="location" weights for longest={self.most}; expected no longer ones.'
            )
        return keys, values

    def forward(self, query: Tensor, keys: Tensor, seen: Array | None) -> Tensor:
        """query (B, T, Q) -> (B, T, S)."""
        return query @ self.w[:, : keys.shape[1]]


class Attending(nn.Module):
    """``nn.Attention`` over an encoder's outputs, time first, for any number of steps.

    query (T, B, Q), memory, covered, steps (B,)  ->  context (T, B, K), weights (B, T, S), covered

    Args:
        score: "additive", "dot", "general" or "location".
        longest: The most tokens of a sentence, for "location".
    """

    def __init__(self, score: str, query: int, key: int, hidden: int, longest: int | None) -> None:
        super().__init__()
        choice("Seq2Seq", "attention", score, ATTENTIONS)
        if score == "dot" and query != key:
            raise ShapeError(
                f'Seq2Seq: attention="dot" between the decoder, {query} wide, and the encoder\'s '
                f'outputs, {key} wide; expected one width, or "general", which takes any two.'
            )
        if (score == "location") != (longest is not None):
            raise ArgumentError(
                f"Seq2Seq: attention is {score!r} and longest {longest}; expected longest= with "
                '"location", and only there.'
            )
        sizes = {"query_size": query, "key_size": key}
        options: dict[str, Any] = {
            "additive": {**sizes, "hidden_size": hidden}, "general": sizes, "dot": {},
        }.get(score, {})  # fmt: skip
        made = LocationScore(query, longest) if longest is not None else score
        self.attention = nn.Attention(made, batch_first=False, **options)
        self.coverage = False

    def prepare(self, memory: Memory) -> Prepared:
        """The work on keys, done once; rows come first in it."""
        return self.attention.prepare(memory.outputs, lengths=memory.lengths)

    def forward(
        self, query: Tensor, memory: Prepared, covered: Tensor | None, steps: Array
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """All steps at once."""
        context, weights = self.attention(query, memory)
        return context, weights, covered
