"""Attention of a decoder to what was read: scores of several kinds, windows, coverage."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import choice, flag, whole
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.encoder import Memory
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.tensor import Tensor, constant

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

    Local attention (Luong et al. 2015) sees ``window`` places, D, on either side of a place p_t:

    | local      | p_t                                    | weights are multiplied with     |
    |------------|----------------------------------------|---------------------------------|
    | monotonic  | t, or the last place                   | 1                               |
    | predictive | (S - 1) sigmoid(tanh(q w + b) v + c)   | exp(-(s - p_t)² / (2 (D/2)²))   |

    With coverage a key moves by how much attention its place has had (See et al. 2017), so that
    steps follow one another:

        key_s = key_s + u Σ_{t' < t} α_t's

    Args:
        score: "additive", "dot", "general" or "location".
        hidden: The width of what additive scores are made of.
        longest: The most tokens of a sentence, for "location".
    """

    def __init__(
        self,
        score: str,
        query: int,
        key: int,
        hidden: int,
        *,
        longest: int | None = None,
        local: str | None = None,
        window: int = 10,
        coverage: bool = False,
    ) -> None:
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
        self.local = choice("Seq2Seq", "local", local, (None, "monotonic", "predictive"))
        self.window = whole("Seq2Seq", "window", window, 1)
        if local == "predictive":
            self.ahead, self.centre = nn.Linear(query, query), nn.Linear(query, 1)
        self.coverage = flag("Seq2Seq", "coverage", coverage)
        if coverage and score == "location":
            raise ArgumentError(
                'Seq2Seq: coverage with attention="location", expected one that looks at keys.'
            )
        if coverage:
            width = {"additive": hidden, "general": query, "dot": key}[score]
            self.u = nn.Parameter(np.zeros(width, np.float32))
            init.uniform_(self.u, -0.1, 0.1)

    def prepare(self, memory: Memory) -> Prepared:
        """The work on keys, done once; rows come first in it."""
        return self.attention.prepare(memory.outputs, lengths=memory.lengths)

    def forward(
        self, query: Tensor, memory: Prepared, covered: Tensor | None, steps: Array
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """All steps at once, unless each has to know where those before it have looked."""
        if covered is not None or self.local is not None:
            memory = memory.apart()
        if covered is None:
            return *self._look(query, memory, steps), None
        contexts, weights = [], []
        for t in range(len(query)):
            moved = memory.keys + covered.unsqueeze(2) * self.u
            seen = memory._replace(keys=moved)
            context, looked = self._look(query[t : t + 1], seen, steps + t)
            covered = covered + looked.squeeze(1)
            contexts.append(context)
            weights.append(looked)
        return ops.concat(contexts), ops.concat(weights, axis=1), covered

    def _look(self, query: Tensor, memory: Prepared, steps: Array) -> tuple[Tensor, Tensor]:
        if self.local is None:
            return self._seen(query, memory)
        assert memory.mask is not None
        places = np.arange(memory.mask.shape[2])
        last = memory.mask.sum(axis=2) - 1  # (B, 1)
        if self.local == "monotonic":
            centre = np.minimum(steps[:, None] + np.arange(len(query)), last)[..., None]
            near = memory.mask & (np.abs(places - centre) <= self.window)
            return self._seen(query, memory._replace(mask=near))
        share = ops.sigmoid(self.centre(ops.tanh(self.ahead(query)))).swapaxes(0, 1)  # (B, T, 1)
        away = constant(places, share) - share * constant(last[..., None], share)
        seen = array_module(away._data).asarray(memory.mask)
        near = seen & (abs(away.data) <= self.window)
        _, weights = self._seen(query, memory._replace(mask=near))
        weights = weights * ops.exp(away * away * (-2 / self.window**2))
        context: Tensor = self.attention.score.combine(weights, memory.values)
        return context.swapaxes(0, 1), weights

    def _seen(self, query: Tensor, memory: Prepared) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.attention(query, memory)
        return found
