"""Losses of numbers against numbers, element by element.

Everywhere ``x`` and ``targets`` have one shape, ``mask`` (booleans, of that shape or of its
leading axes) says what counts, and ``reduction`` is "none", "sum" or "mean" over what counts.
Gradients go to both sides.
"""

from typing import Any

import numpy as np

from tinygrad_rnn import modes, ops
from tinygrad_rnn.arguments import bounded
from tinygrad_rnn.device import Array, beside, to_host, where_it_is
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.losses.reducing import check_alike, masked, reduced, spread_mask
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

__all__ = ["bce_with_logits", "huber", "l1", "mse"]


def _pair(where: str, x: object, targets: object, mask: Any) -> tuple[Tensor, Tensor, Array | None]:
    """Both sides as tensors of one shape, 0 where they do not count."""
    x, targets = as_tensor(x, where), as_tensor(targets, where)
    if x.shape != targets.shape:
        raise ShapeError(
            f"{where}: x has shape {x.shape}, targets {targets.shape}; expected equal shapes: "
            "nothing is broadcast, which would average over what nobody meant."
        )
    check_alike(where, "x", x, targets)
    mask = spread_mask(where, mask, x.shape)
    return masked(mask, x), masked(mask, targets), mask


@where_it_is
def mse(x: object, targets: object, *, mask: Any = None, reduction: str = "mean") -> Tensor:
    """Squared error, ``(x - y)^2``."""
    x, y, mask = _pair("mse", x, targets, mask)
    return reduced("mse", ops.square(x - y), mask, reduction)


@where_it_is
def l1(x: object, targets: object, *, mask: Any = None, reduction: str = "mean") -> Tensor:
    """Absolute error, ``|x - y|``; its slope where they are equal is 0."""
    x, y, mask = _pair("l1", x, targets, mask)
    return reduced("l1", ops.abs(x - y), mask, reduction)


@where_it_is
def huber(
    x: object, targets: object, *, delta: float = 1.0, mask: Any = None, reduction: str = "mean"
) -> Tensor:
    """With d = x - y: ``d^2 / 2`` where |d| <= delta, else ``delta (|d| - delta / 2)``.

    Divided by delta this is what others call the smooth L1 loss.
    """
    delta = bounded("huber", "delta", delta, above=0)
    x, y, mask = _pair("huber", x, targets, mask)
    d = x - y
    near = ops.clip(d, -delta, delta)  # d while it is near, else delta with the sign of d
    return reduced("huber", near * (d - near * 0.5), mask, reduction)


@where_it_is
def bce_with_logits(
    scores: object,
    targets: object,
    *,
    pos_weight: Any = None,
    mask: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of two classes, ``-w y log σ(s) - (1 - y) log(1 - σ(s))``, y from 0 to 1.

    Computed as ``w y log(1 + exp(-s)) + (1 - y) log(1 + exp(s))``: neither part overflows, and
    a loss that is nearly 0, of a sure yes or a sure no, keeps all of its digits.

    Args:
        pos_weight: w, how much a positive counts: a number, or an array that broadcasts.
    """
    where = "bce_with_logits"
    s, y, mask = _pair(where, scores, targets, mask)
    if y.dtype.kind in "biu":  # else 1.0 - y would be float32 whatever the scores are
        y = y.astype(s.dtype)
    if isinstance(y._data, np.ndarray) or modes.watched():
        given = to_host(y._data).real
        lowest, highest = given.min(initial=0), given.max(initial=1)
        if not (lowest >= 0 and highest <= 1):
            bad = highest if lowest >= 0 else lowest
            raise ArgumentError(f"{where}: the targets hold {bad}, expected 0 to 1.")
    positive = y * ops.softplus(-s)
    if pos_weight is not None:
        weight = pos_weight
        if not isinstance(weight, Tensor):
            weight = Tensor(beside(where, as_array(weight, where, exact=True), s._data))
        looked_at = isinstance(weight._data, np.ndarray) or modes.watched()
        if looked_at and not (weight._data.real >= 0).all():
            raise ArgumentError(
                f"{where}: pos_weight holds {weight._data.min()}, expected numbers from 0 up."
            )
        positive = weight.astype(s.dtype) * positive
    losses = positive + (1.0 - y) * ops.softplus(s)
    if losses.shape != s.shape:
        raise ShapeError(
            f"{where}: pos_weight has shape {weight.shape}, expected one that broadcasts to "
            f"{s.shape}."
        )
    return reduced(where, masked(mask, losses), mask, reduction)
