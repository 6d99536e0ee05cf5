"""Losses of classes. Scores, probabilities and their logarithms stand along the last axis, as
everywhere in this library; PyTorch has them along the second.

    scores (..., V)  with targets (...): the class of each row, an integer from 0 to V - 1
                     or targets (..., V): the probability of each class

A row counts unless its target is ``ignore_index`` or ``mask`` (..., booleans) is False there.
"""

from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import bounded
from tinygrad_rnn.device import Array, array_module, beside, where_it_is
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels import softmax as kernel
from tinygrad_rnn.losses.labels import Labels, beside_weights, check_weights, labels_of
from tinygrad_rnn.losses.reducing import check_alike, masked, reduced, spread_mask
from tinygrad_rnn.primitive import RowWise, fused
from tinygrad_rnn.tensor import FLOATS, Tensor, as_array, as_tensor

__all__ = [
    "composite",
    "cross_entropy",
    "factors_of",
    "kl_divergence",
    "nll",
    "row_losses",
    "row_slopes",
]

# ----- rows of scores against classes: one fused operation -----
#
#     loss = hard (L - s[id]) + even Σ_c weights[c] (L - s[c]),  L = log Σ_c exp(s[c])
#
# with ids, hard, even (N,) and weights (V,); even and weights are None but for smoothed labels.


def row_losses(
    scores: Array, ids: Array, hard: Array, even: Array | None, weights: Array | None
) -> tuple[Array, tuple[Array, Array]]:
    """The loss of each row, and what its slopes need: (top, total)."""
    top, total, lean = kernel.row_sums(scores, weights)
    with np.errstate(all="ignore"):
        log_total = np.log(total)
        losses = hard * (top - _own(scores, ids) + log_total)
        idle = hard == 0
        if even is not None and weights is not None:
            losses += even * (weights.sum() * log_total - lean)
            idle &= even == 0
    losses[idle] = 0
    return losses, (top, total)


def row_slopes(
    g: Any,
    sums: tuple[Array, Array],
    scores: Array,
    ids: Array,
    hard: Array,
    even: Array | None,
    weights: Array | None,
    out: Array | None = None,
) -> Array:
    """The gradient of the scores, g (N,) or () that of the losses; ``out`` may be the scores."""
    hard = g * hard
    if even is None or weights is None:
        slopes = kernel.row_slopes(scores, *sums, hard, out=out)
    else:
        even = g * even
        slopes = kernel.row_slopes(scores, *sums, hard + even * weights.sum(), even, weights, out)
    slopes[array_module(ids).arange(len(ids)), ids] -= hard
    return slopes


def _own(scores: Any, ids: Array) -> Any:
    return scores[array_module(ids).arange(len(ids)), ids]


def _backward(sums: Any, gs: list[Any], _needs: Any, scores: Array, **how: Any) -> tuple[Array]:
    return (row_slopes(gs[0], sums, scores, **how),)


def composite(
    scores: Tensor, ids: Array, hard: Array, even: Array | None, weights: Array | None
) -> Tensor:
    """The loss of each row, made of primitives."""
    idle = hard == 0 if even is None else (hard == 0) & (even == 0)
    log_p = ops.log_softmax(ops.where(idle[:, None], 0.0, scores))
    losses: Tensor = _own(log_p, ids) * -hard
    if even is None or weights is None:
        return losses
    spread: Tensor = (log_p * weights).sum(-1) * even
    return losses - spread


_rows = fused(
    "cross_entropy", row_losses, _backward, composite,
    rows=RowWise(lambda _inputs, **_how: ([0], [0]), _backward),
)  # fmt: skip


def factors_of(labels: Labels, smoothing: float, weights: Array | None, classes: int) -> Any:
    """``hard``, ``even`` and ``weights`` of the operation: labels of which a share is spread."""
    dtype = labels.parts.dtype
    if not smoothing:
        return {"hard": labels.parts, "even": None, "weights": None}
    xp = array_module(labels.ids)
    even = xp.full(labels.ids.shape, labels.scale * smoothing / classes, dtype)
    return {
        "hard": labels.parts * dtype.type(1 - smoothing),
        "even": even if labels.counts is None else even * labels.counts,
        "weights": xp.ones(classes, dtype) if weights is None else weights,
    }


# ----- what users call -----


@where_it_is
def cross_entropy(
    scores: object,
    targets: Any,
    *,
    weights: Any = None,
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
    mask: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative logarithm of the probability that scores give to the targets.

        loss = -Σ_c q[c] weights[c] log softmax(scores)[c]

    q is 1 at the target, or the target itself where probabilities are given. The mean is that
    over rows that count, each as much as the weight of its class (for probabilities: all alike).

    Args:
        weights: (V,), how much each class counts.
        ignore_index: Rows with this class do not count.
        label_smoothing: The share ε of q that goes to all classes alike: (1 - ε) q + ε / V.
        mask: Rows where it is False do not count, whatever they hold.
    """
    where = "cross_entropy"
    scores = _rows_of(where, "scores", scores)
    classes = scores.shape[-1]
    smoothing = bounded(where, "label_smoothing", label_smoothing, least=0, most=1)
    weights = check_weights(where, weights, classes, scores)
    if getattr(targets, "dtype", None) in FLOATS or _has_fractions(targets):
        return _soft(scores, targets, weights, smoothing, mask, reduction)
    labels = labels_of(
        where, targets, scores.shape[:-1], classes, scores,
        weights=weights, ignore_index=ignore_index, mask=mask, reduction=reduction,
    )  # fmt: skip
    how = factors_of(labels, smoothing, beside_weights(where, weights, scores), classes)
    losses: Tensor = _rows(scores.reshape(-1, classes), ids=labels.ids, **how)
    return losses.reshape(scores.shape[:-1]) if reduction == "none" else losses.sum()


def _has_fractions(targets: Any) -> bool:
    array = as_array(targets, "cross_entropy")
    return bool(array.size and array.dtype.kind == "f")


def _soft(
    scores: Tensor, targets: Any, weights: Any, smoothing: float, mask: Any, reduction: str
) -> Tensor:
    """Against probabilities, which may want a gradient themselves."""
    where, targets = "cross_entropy", as_tensor(targets, "cross_entropy")
    if targets.shape != scores.shape:
        expected = f"{scores.shape} for probabilities, or {scores.shape[:-1]} and integers"
        raise ShapeError(
            f"{where}: the targets hold {targets.dtype} and have shape {targets.shape}, expected "
            f"{expected} for classes."
        )
    check_alike(where, "scores", scores, targets)
    mask = spread_mask(where, mask, scores.shape[:-1])
    if mask is not None:
        scores, targets = masked(mask[..., None], scores), masked(mask[..., None], targets)
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / scores.shape[-1]
    weights = beside_weights(where, weights, scores)
    terms = targets * ops.log_softmax(scores)
    losses = -(terms if weights is None else terms * weights).sum(-1)
    return reduced(where, masked(mask, losses), mask, reduction)


@where_it_is
def nll(
    log_probs: object,
    targets: Any,
    *,
    weights: Any = None,
    ignore_index: int | None = -100,
    mask: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """``-weights[y] log_probs[y]``: cross-entropy of what is a logarithm of probabilities already.

    Arguments and mean are those of ``cross_entropy``.
    """
    log_probs = _rows_of("nll", "log_probs", log_probs)
    lead, classes = log_probs.shape[:-1], log_probs.shape[-1]
    labels = labels_of(
        "nll", targets, lead, classes, log_probs,
        weights=check_weights("nll", weights, classes, log_probs),
        ignore_index=ignore_index, mask=mask, reduction=reduction,
    )  # fmt: skip
    losses: Tensor = (
        masked(labels.counts, _own(log_probs.reshape(-1, classes), labels.ids)) * -labels.parts
    )
    return losses.reshape(lead) if reduction == "none" else losses.sum()


@where_it_is
def kl_divergence(
    log_probs: object, targets: object, *, mask: Any = None, reduction: str = "mean"
) -> Tensor:
    """``Σ_c p[c] (log p[c] - log_probs[c])``: what it costs to take q for p, from 0 up.

    One number a row, and the mean is over rows: PyTorch's "batchmean", not its "mean", which
    divides by the number of classes as well. A class with p = 0 costs nothing. Gradients go to
    both sides.

    Args:
        log_probs: log q (..., V).
        targets: p (..., V), probabilities.
    """
    where = "kl_divergence"
    log_q, p = _rows_of(where, "log_probs", log_probs), as_tensor(targets, where)
    if p.shape != log_q.shape:
        raise ShapeError(
            f"{where}: log_probs has shape {log_q.shape}, targets {p.shape}; expected equal shapes."
        )
    if p.dtype not in FLOATS and p.dtype.kind != "c":
        raise DTypeError(f"{where}: the targets hold {p.dtype}, expected probabilities.")
    check_alike(where, "log_probs", log_q, p)
    mask = spread_mask(where, mask, p.shape[:-1])
    counts = p._data.real != 0
    if mask is not None:
        counts = counts & beside(where, mask, counts)[..., None]
    p, log_q = masked(counts, p), masked(counts, log_q)
    losses = (p * (ops.log(ops.where(counts, p, 1.0)) - log_q)).sum(-1)
    return reduced(where, losses, mask, reduction)


def _rows_of(where: str, name: str, scores: object) -> Tensor:
    """Scores: floating-point numbers along a last axis of one class or more."""
    scores = as_tensor(scores, where)
    if scores.dtype not in FLOATS and scores.dtype.kind != "c":
        raise DTypeError(f"{where}: {name} holds {scores.dtype}, expected floating-point numbers.")
    if not scores.ndim or not scores.shape[-1]:
        raise ShapeError(
            f"{where}: {name} has shape {scores.shape}, expected (..., V) with one class or more."
        )
    return scores
