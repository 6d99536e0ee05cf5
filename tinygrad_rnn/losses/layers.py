"""What layers that hold the weights of a loss have in common."""

from tinygrad_rnn import ops
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.losses.labels import Labels
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["check_rows", "gathered", "rows_that_count"]


def check_rows(where: str, h: object, width: int) -> Tensor:
    """h (..., D) as a tensor."""
    h = as_tensor(h, where)
    if not h.ndim or h.shape[-1] != width:
        raise ShapeError(f"{where}: h has shape {h.shape}, expected (..., {width}).")
    return h


def rows_that_count(h: Tensor, labels: Labels) -> tuple[Tensor, Array]:
    """The rows (N, D) that count, and their classes; the others cost nothing."""
    flat = h.reshape(-1, h.shape[-1])
    if labels.counts is None or labels.counts.all():
        return flat, labels.ids
    kept = array_module(labels.ids).flatnonzero(labels.counts)
    return ops.embedding(flat, kept), labels.ids[kept]


def gathered(losses: Tensor, labels: Labels, lead: tuple[int, ...], reduction: str) -> Tensor:
    """Losses of the rows that count: reduced, or each in its place and 0 in the others."""
    if reduction != "none":
        return losses.sum() * labels.scale
    if labels.counts is None or labels.counts.all():
        return losses.reshape(lead)
    xp = array_module(labels.ids)
    kept = xp.flatnonzero(labels.counts)
    nothing = xp.zeros(labels.ids.shape, losses.dtype)
    return ops.index_update(nothing, kept, losses).reshape(lead)
