"""Layers that hold the weights of a loss: what they have in common."""

from typing import Any

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, array_module, to_host
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.losses.labels import Labels, labels_of
from tinygrad_rnn.losses.reducing import masked
from tinygrad_rnn.nn import Module
from tinygrad_rnn.nn.checks import check_like
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["ClassLoss", "gathered", "rows_that_count"]


class ClassLoss(Module):
    """A layer and its loss in one: -log p of the targets, for many classes.

    A subclass says what ``_losses`` of rows are, and what ``log_prob`` of all classes is.

    Args:
        in_features: D.
        classes: V.
    """

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__()
        where = type(self).__name__
        self.in_features = whole(where, "in_features", in_features, least=1)
        self.classes = whole(where, "classes", classes, least=1)

    def forward(
        self,
        h: object,
        targets: Any,
        *,
        ignore_index: int | None = -100,
        mask: Any = None,
        reduction: str = "mean",
    ) -> Tensor:
        """h (..., D), targets (...) -> the loss, -log p of the targets."""
        h = self._rows(h)
        lead = h.shape[:-1]
        labels = labels_of(
            type(self).__name__, targets, lead, self.classes, h,
            weights=None, ignore_index=ignore_index, mask=mask, reduction=reduction,
        )  # fmt: skip
        rows, ids = rows_that_count(h, labels)
        losses = self._losses(rows, to_host(ids), summed=reduction != "none")
        return gathered(losses, labels, lead, reduction)

    def _losses(self, h: Tensor, ids: Array, *, summed: bool) -> Tensor:
        """The loss of each row h (N, D) with the class ids (N); or at once their sum."""
        raise NotImplementedError

    def log_prob(self, h: object) -> Tensor:
        """The logarithm of the probability of every class: h (..., D) -> (..., V)."""
        raise NotImplementedError

    def predict(self, h: object) -> Array:
        """The most probable class of each row: h (..., D) -> (...) integers."""
        return ops.argmax(self.log_prob(h), -1)

    def _rows(self, h: object) -> Tensor:
        """h (..., D) as a tensor."""
        where = type(self).__name__
        h = as_tensor(h, where)
        if not h.ndim or h.shape[-1] != self.in_features:
            raise ShapeError(f"{where}: h has shape {h.shape}, expected (..., {self.in_features}).")
        if h.dtype.kind == "f":
            check_like(where, "h", h, next(self.parameters()))
        return h


def rows_that_count(h: Tensor, labels: Labels) -> tuple[Tensor, Array]:
    """The rows (N, D) that count, and their classes; the others cost nothing."""
    flat = h.reshape(len(labels.ids), h.shape[-1])
    if labels.kept is None:
        return flat, labels.ids
    return ops.embedding(flat, labels.kept), labels.ids[labels.kept]


def gathered(losses: Tensor, labels: Labels, lead: tuple[int, ...], reduction: str) -> Tensor:
    """Losses of the rows that count: reduced, or each in its place and 0 in the others."""
    if reduction != "none":
        total: Tensor = losses.sum() * labels.scale
        return total
    if labels.kept is None:
        return masked(labels.counts, losses).reshape(lead)
    nothing = array_module(labels.ids).zeros(labels.ids.shape, losses.dtype)
    return ops.index_update(nothing, labels.kept, losses).reshape(lead)
