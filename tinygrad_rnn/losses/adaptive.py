"""Adaptive softmax: frequent classes at full width, rare ones at less."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import bounded, flag, shape_of
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.losses.layers import ClassLoss
from tinygrad_rnn.losses.linear import linear_cross_entropy
from tinygrad_rnn.nn import Linear
from tinygrad_rnn.tensor import Tensor

__all__ = ["AdaptiveSoftmax"]


class AdaptiveSoftmax(ClassLoss):
    """A softmax in two steps, for classes in the order of their frequency (Grave et al. 2017).

        log p(c) = log softmax(h head)[c]                            for c < cutoffs[0]
        log p(c) = log softmax(h head)[cutoffs[0] + i]               for c in cluster i
                   + log softmax(h tails[i][0] tails[i][1])[c - cutoffs[i]]

    Cluster i holds the classes from cutoffs[i] to before cutoffs[i + 1], the last one all that
    are left. It goes through D / div_value^(i + 1) units, one at least, and is computed only
    for rows whose target lies in it. Weights, names and numbers are those of PyTorch's
    ``AdaptiveLogSoftmaxWithLoss``, up to the transposition of weights.

    Args:
        in_features: D.
        classes: V.
        cutoffs: Where each cluster begins, ascending, between 1 and V - 1.
        div_value: By how much each cluster is narrower than the one before.
        head_bias: Whether the head's scores have a bias.
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
    ) -> None:
        super().__init__(in_features, classes)
        where = "AdaptiveSoftmax"
        cuts = shape_of(where, (cutoffs,), "cutoffs")
        if not cuts or any(b <= a for a, b in pairwise((0, *cuts, self.classes))):
            raise ArgumentError(
                f"{where}: cutoffs are {cuts}, expected ascending numbers from 1 to "
                f"{self.classes - 1}."
            )
        div_value = bounded(where, "div_value", div_value, above=0)
        head_bias = flag(where, "head_bias", head_bias)
        self.cutoffs = (*cuts, self.classes)
        self.head = Linear(self.in_features, cuts[0] + len(cuts), bias=head_bias)
        self.tails = []
        for i, (first, stop) in enumerate(pairwise(self.cutoffs)):
            width = max(1, int(self.in_features // div_value ** (i + 1)))
            down = Linear(self.in_features, width, bias=False)
            self.tails.append([down, Linear(width, stop - first, bias=False)])

    def _losses(self, h: Tensor, ids: Array, *, summed: bool) -> Tensor:
        kind = "sum" if summed else "none"
        first = self.cutoffs[0]
        cluster = np.searchsorted(self.cutoffs, ids, side="right")  # 0 for a class of the head
        losses = _loss(h, self.head, np.where(cluster, first + cluster - 1, ids), kind)
        for i, (down, out) in enumerate(self.tails):
            (own,) = np.nonzero(cluster == i + 1)
            if not len(own):
                continue
            part = _loss(down(ops.embedding(h, own)), out, ids[own] - self.cutoffs[i], kind)
            losses = losses + part if summed else ops.index_add(losses, own, part)
        return losses

    def log_prob(self, h: object) -> Tensor:
        """The logarithm of the probability of every class: h (..., D) -> (..., V)."""
        h = self._rows(h)
        head, first = ops.log_softmax(self.head(h)), self.cutoffs[0]
        parts = [head[..., :first]]
        for i, (down, out) in enumerate(self.tails):
            parts.append(ops.log_softmax(out(down(h))) + head[..., first + i : first + i + 1])
        return ops.concat(parts, axis=-1)

    def extra_repr(self) -> str:
        """D, V and the cutoffs."""
        return f"{self.in_features}, {self.classes}, cutoffs={list(self.cutoffs[:-1])}"


def _loss(h: Tensor, layer: Linear, targets: Array, reduction: str) -> Tensor:
    return linear_cross_entropy(
        h, layer.weight, targets, layer.bias, ignore_index=None, reduction=reduction
    )
