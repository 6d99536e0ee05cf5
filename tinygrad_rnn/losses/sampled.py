"""Losses over a few sampled classes instead of all: for training, where V is large.

    s[n, c] = h[n] · weight[c] + bias[c]       weight (V, D), bias (V)

y[n] is the target of row n, and c_1 ... c_k are classes that each call draws for all of its
rows; q is the probability that the sampler gives to a class. A drawn class that is the target of
a row is no wrong one there, except in NCE. ``log_prob`` is that of the whole softmax, always.
"""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import flag, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.losses.classification import cross_entropy
from tinygrad_rnn.losses.layers import ClassLoss
from tinygrad_rnn.losses.reducing import masked
from tinygrad_rnn.losses.samplers import LogUniformSampler, Sampler
from tinygrad_rnn.nn import Parameter, init
from tinygrad_rnn.tensor import Tensor, constant

__all__ = ["NCE", "NegativeSampling", "SampledSoftmax"]


class _Sampled(ClassLoss):
    """A table of class vectors, a sampler, and a loss of what both give.

    Args:
        in_features: D.
        classes: V.
        samples: k.
        sampler: Where classes are drawn from; by default the log-uniform one, for classes
            that are numbered from the most frequent one on.
        bias: Whether the scores have one.
    """

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        classes: int,
        samples: int,
        sampler: Sampler | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(in_features, classes)
        name = type(self).__name__
        self.samples = whole(name, "samples", samples, least=1)
        self.sampler = LogUniformSampler(self.classes) if sampler is None else sampler
        if not isinstance(self.sampler, Sampler):
            raise ArgumentError(f"{name}: sampler is {sampler!r}, expected a losses.Sampler.")
        if self.sampler.classes != self.classes:
            raise ArgumentError(
                f"{name}: the sampler draws from {self.sampler.classes} classes, expected "
                f"{self.classes}."
            )
        self.weight = Parameter(np.zeros((self.classes, self.in_features), np.float32))
        has_bias = flag(name, "bias", bias)
        self.bias = Parameter(np.zeros(self.classes, np.float32)) if has_bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors evenly from -1/√D to 1/√D; biases start at 0."""
        bound = 1.0 / math.sqrt(self.in_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _losses(self, h: Tensor, ids: Array, *, summed: bool) -> Tensor:
        drawn = self.sampler.sample(self.samples)  # anew by each call, for all of its rows
        own = (h * ops.embedding(self.weight, ids)).sum(-1)
        others = h @ ops.embedding(self.weight, drawn).T
        if self.bias is not None:
            own = own + ops.embedding(self.bias, ids)
            others = others + ops.embedding(self.bias, drawn)
        losses = self._contrast(own, others, ids, drawn)
        return losses.sum() if summed else losses

    def _contrast(self, own: Tensor, others: Tensor, ids: Any, drawn: Any) -> Tensor:
        """The loss of rows, own (N) the scores of the targets and others (N, k) those drawn."""
        raise NotImplementedError

    def _expected(self, classes: Any, like: Tensor) -> Tensor:
        """How often classes are drawn in a call, on average: log(k q)."""
        return constant(math.log(self.samples) + self.sampler.log_q[classes], like)

    def scores(self, h: object) -> Tensor:
        """The scores of all classes: h (..., D) -> (..., V)."""
        return ops.linear(self._rows(h), self.weight.T, self.bias)

    def log_prob(self, h: object) -> Tensor:
        """The logarithm of the softmax over all classes: h (..., D) -> (..., V)."""
        return ops.log_softmax(self.scores(h))

    def extra_repr(self) -> str:
        """D, V and k."""
        return f"{self.in_features}, {self.classes}, samples={self.samples}"


class SampledSoftmax(_Sampled):
    """Cross-entropy over the target and a few classes that are drawn (Bengio & Senécal 2003).

        Z = exp(s[y]) + Σ_i exp(s[c_i]) / (k q[c_i])        over the c_i that are not y
        loss = log Z - s[y]

    Dividing by k q, how often a class is drawn on average, makes Z an estimate of the sum over
    all classes that is right on average; the more are drawn, the closer.
    """

    def _contrast(self, own: Tensor, others: Tensor, ids: Any, drawn: Any) -> Tensor:
        others = others - self._expected(drawn, own)
        others = ops.masked_fill(others, drawn == ids[:, None], -math.inf)
        scores = ops.concat([own.reshape(-1, 1), others], axis=1)
        return cross_entropy(scores, np.zeros(len(ids), np.int64), reduction="none")


class NCE(_Sampled):
    """Noise-contrastive estimation (Gutmann & Hyvärinen 2010; Mnih & Teh 2012): true or drawn?

        loss = -log σ(s[y] - log(k q[y])) - Σ_i log σ(log(k q[c_i]) - s[c_i])

    Its minimum has exp(s) for probabilities without dividing by their sum: scores of a trained
    model are about normalised, so that one class can be scored alone. Every drawn class counts,
    the target too, as the derivation has it.
    """

    def _contrast(self, own: Tensor, others: Tensor, ids: Any, drawn: Any) -> Tensor:
        true = own - self._expected(ids, own)
        noise = others - self._expected(drawn, own)
        return ops.softplus(-true) + ops.softplus(noise).sum(-1)


class NegativeSampling(_Sampled):
    """The simplified form of NCE for learning vectors (Mikolov et al. 2013).

        loss = -log σ(s[y]) - Σ_i log σ(-s[c_i])

    It learns no probabilities: its scores tend to log(p / (k q)), so ``log_prob`` ranks rare
    classes too high.
    """

    def _contrast(self, own: Tensor, others: Tensor, ids: Any, drawn: Any) -> Tensor:
        others = masked(drawn != ids[:, None], ops.softplus(others))
        return ops.softplus(-own) + others.sum(-1)
