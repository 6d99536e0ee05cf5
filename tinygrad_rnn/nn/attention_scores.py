"""How well queries fit keys: the scores that attention weighs by, each a small module.

A score says what to make of keys and values once (``prepare``), how queries fit such keys
(``forward``), and how the weights that follow bring values together (``combine``).
"""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import flag
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.linear import affine
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor

__all__ = ["AdditiveScore", "DotScore", "GeneralScore", "MultiHeadScore", "Score"]


class Score(Module):
    """What ``nn.Attention`` asks; also the base of scores of one's own.

    query_size, key_size and value_size are the widths that it expects, None for any.
    """

    query_size: int | None = None
    key_size: int | None = None
    value_size: int | None = None

    def prepare(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """keys (B, S, K) and values (B, S, V) in the form that the other two want."""
        return keys, values

    def forward(self, query: Tensor, keys: Tensor, seen: Array | None) -> Tensor:
        """query (B, T, Q), prepared keys -> scores (B, T, S).

        seen  booleans (B, 1 or T, S), false where the score does not matter; or None
        """
        raise NotImplementedError

    def combine(self, weights: Tensor, values: Tensor) -> Tensor:
        """weights (B, T, S), prepared values -> context (B, T, V)."""
        return weights @ values


class DotScore(Score):
    """``e = q·k``, or scaled ``e = q·k / √K``; queries are as wide as keys."""

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.scaled = flag("DotScore", "scaled", scaled)

    def forward(self, query: Tensor, keys: Tensor, seen: Array | None) -> Tensor:
        """query (B, T, K), keys (B, S, K) -> (B, T, S)."""
        if query.shape[-1] != keys.shape[-1]:
            raise ShapeError(
                f"Attention: query is {query.shape[-1]} wide and keys {keys.shape[-1]}, expected "
                'one width for the score "dot"; "general" takes any two.'
            )
        scores = query @ keys.mT
        return scores * (1 / math.sqrt(max(1, keys.shape[-1]))) if self.scaled else scores

    def single(self, query: Tensor) -> tuple[Tensor, Tensor | None]:
        """Single queries (N, K) and the vector as ``kernels.attention.attend`` takes them."""
        width = max(1, query.shape[-1])
        return (query * (1 / math.sqrt(width)) if self.scaled else query), None


class GeneralScore(Score):
    """``e = q·(k w)`` (Luong et al. 2015); w (K, Q), which keys are multiplied with once."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.query_size = check_size("GeneralScore", "query_size", query_size)
        self.key_size = check_size("GeneralScore", "key_size", key_size)
        self.w = Parameter(np.zeros((self.key_size, self.query_size), np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight anew."""
        init.xavier_uniform_(self.w)

    def prepare(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """keys (B, S, K) -> (B, S, Q)."""
        return keys @ self.w, values

    def forward(self, query: Tensor, keys: Tensor, seen: Array | None) -> Tensor:
        """query (B, T, Q), keys (B, S, Q) -> (B, T, S)."""
        return query @ keys.mT

    def single(self, query: Tensor) -> tuple[Tensor, Tensor | None]:
        """The same: keys have been multiplied."""
        return query, None


class AdditiveScore(Score):
    """``e = v·tanh(q w_q + k w_k + b)`` (Bahdanau et al. 2015), keys multiplied once.

    w_q (Q, H), w_k (K, H), b (H), v (H). The same as Luong's "concat", whose one weight of
    [q; k] is w_q above w_k.
    """

    b: Parameter | None

    def __init__(self, query_size: int, key_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.query_size = check_size("AdditiveScore", "query_size", query_size)
        self.key_size = check_size("AdditiveScore", "key_size", key_size)
        H = check_size("AdditiveScore", "hidden_size", hidden_size)
        self.w_q = Parameter(np.zeros((self.query_size, H), np.float32))
        self.w_k = Parameter(np.zeros((self.key_size, H), np.float32))
        self.b = Parameter(np.zeros(H, np.float32)) if bias else None
        self.v = Parameter(np.zeros(H, np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew; the bias is 0."""
        init.xavier_uniform_(self.w_q)
        init.xavier_uniform_(self.w_k)
        bound = 1 / math.sqrt(self.v.size)
        init.uniform_(self.v, -bound, bound)
        if self.b is not None:
            init.zeros_(self.b)

    def prepare(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """keys (B, S, K) -> (B, S, H), the bias with them."""
        return ops.linear(keys, self.w_k, self.b), values

    def forward(self, query: Tensor, keys: Tensor, seen: Array | None) -> Tensor:
        """query (B, T, Q), keys (B, S, H) -> (B, T, S)."""
        return ops.additive_scores(self._multiplied(query), keys, self.v, seen)

    def single(self, query: Tensor) -> tuple[Tensor, Tensor | None]:
        """The same, queries multiplied."""
        return self._multiplied(query), self.v

    def _multiplied(self, query: Tensor) -> Tensor:
        return affine("AdditiveScore", query, self.w_q, None)


class MultiHeadScore(Score):
    """Scaled dots in N smaller spaces at once (Vaswani et al. 2017).

        e_n = (q w_q + b_q)_n · (k w_k + b_k)_n / √(D/N)
        context = [Σ a_1 (v w_v + b_v)_1; ...; Σ a_N (v w_v + b_v)_N] w_o + b_o

    w_q (Q, D), w_k (K, D), w_v (V, D), w_o (D, Q); the subscript picks the n-th of N blocks.
    """

    def __init__(
        self,
        query_size: int,
        key_size: int,
        value_size: int,
        hidden_size: int,
        num_heads: int,
        bias: bool = True,
    ) -> None:
        super().__init__()
        where = "MultiHeadScore"
        self.query_size = Q = check_size(where, "query_size", query_size)
        self.key_size = check_size(where, "key_size", key_size)
        self.value_size = check_size(where, "value_size", value_size)
        self.num_heads = check_size(where, "num_heads", num_heads)
        D = check_size(where, "hidden_size", hidden_size)
        if D % self.num_heads:
            raise ShapeError(
                f"{where}: hidden_size is {D}, expected a multiple of num_heads, {num_heads}."
            )
        shapes = {"q": (Q, D), "k": (self.key_size, D), "v": (self.value_size, D), "o": (D, Q)}
        for name, shape in shapes.items():
            setattr(self, f"w_{name}", Parameter(np.zeros(shape, np.float32)))
        for name, shape in shapes.items():
            vector = Parameter(np.zeros(shape[1], np.float32)) if bias else None
            setattr(self, f"b_{name}", vector)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew; biases are 0."""
        for parameter in self.parameters():
            (init.xavier_uniform_ if parameter.ndim == 2 else init.zeros_)(parameter)

    def _heads(self, x: Tensor, name: str) -> Tensor:
        """x (B, S, ...) -> (B, N, S, D/N)."""
        y = ops.linear(x, getattr(self, f"w_{name}"), getattr(self, f"b_{name}"))
        B, S, D = y.shape
        return y.reshape(B, S, self.num_heads, D // self.num_heads).swapaxes(1, 2)

    def prepare(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """keys (B, S, K), values (B, S, V) -> two of (B, N, S, D/N)."""
        return self._heads(keys, "k"), self._heads(values, "v")

    def forward(self, query: Tensor, keys: Tensor, seen: Array | None) -> Tensor:
        """query (B, T, Q), keys (B, N, S, D/N) -> (B, N, T, S)."""
        return (self._heads(query, "q") * (1 / math.sqrt(keys.shape[-1]))) @ keys.mT

    def combine(self, weights: Tensor, values: Tensor) -> Tensor:
        """weights (B, N, T, S), values (B, N, S, D/N) -> (B, T, Q)."""
        heads = (weights @ values).swapaxes(1, 2)
        B, T, N, width = heads.shape
        own: Any = self
        return ops.linear(heads.reshape(B, T, N * width), own.w_o, own.b_o)
