"""From a loss for each row or element to what was asked for: all of them, their sum, their mean."""

from typing import Any

import numpy as np

from tinygrad_rnn import modes, ops
from tinygrad_rnn.arguments import choice
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.ops.places import kept
from tinygrad_rnn.tensor import FLOATS, Tensor, as_array

__all__ = [
    "check_alike", "check_reduction", "masked", "nothing_left", "reduced", "spread_mask",
    "with_axes",
]  # fmt: skip

_REDUCTIONS = ("none", "sum", "mean")


def check_reduction(where: str, reduction: Any) -> str:
    """One of "none", "sum" and "mean"."""
    return str(choice(where, "reduction", reduction, _REDUCTIONS))


def spread_mask(where: str, mask: Any, shape: tuple[int, ...]) -> Array | None:
    """A mask of booleans, over the leading axes of what it is for, as one of the full shape."""
    if mask is None:
        return None
    mask = as_array(mask, where)
    if mask.dtype != np.bool_:
        raise DTypeError(
            f"{where}: the mask holds {mask.dtype}, expected booleans: True for what counts."
        )
    if mask.shape != shape[: mask.ndim]:
        raise ShapeError(
            f"{where}: the mask has shape {mask.shape}, expected {shape} or its leading axes."
        )
    full: Array = array_module(mask).broadcast_to(with_axes(kept(mask), len(shape)), shape)
    return full


def with_axes(array: Array, ndim: int) -> Array:
    """An array over leading axes, with as many axes of size 1 behind them as make ``ndim``."""
    return array.reshape(array.shape + (1,) * (ndim - array.ndim))


def masked(mask: Array | None, x: Tensor) -> Tensor:
    """``x``, and 0 where a mask is False: what stands there, NaN too, has no part in anything."""
    return x if mask is None else ops.where(mask, x, 0.0)


def reduced(where: str, losses: Tensor, mask: Array | None, reduction: str) -> Tensor:
    """Reduce losses, which are 0 where a mask is False; the mean is over the others."""
    if check_reduction(where, reduction) == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if mask is not None and not isinstance(mask, np.ndarray) and not modes.watched():
        share = (1.0 / mask.sum(dtype=np.float64)).astype(losses.dtype)  # of nothing it is NaN
        mean: Tensor = losses.sum() * share
        return mean
    count = losses.size if mask is None else int(mask.sum())
    if not count:
        raise nothing_left(where, f"{losses.size} losses", "masked" if losses.size else None)
    return losses.mean() if mask is None else losses.sum() * (1.0 / count)


def check_alike(where: str, name: str, x: Tensor, targets: Tensor) -> None:
    """Both sides hold floating-point numbers of one type, or one of them integers."""
    if x.dtype != targets.dtype and x.dtype in FLOATS and targets.dtype in FLOATS:
        raise DTypeError(
            f"{where}: {name} holds {x.dtype}, the targets {targets.dtype}, expected one type of "
            f"numbers: give targets.astype('{x.dtype}'); NumPy makes float64 unless told otherwise."
        )


def nothing_left(where: str, what: str, why: str | None) -> ArgumentError:
    """The error of a mean over nothing: 0 / 0, which as NaN would spread to every weight."""
    reason = "there are no losses" if why is None else f"all {what} are {why}"
    return ArgumentError(
        f"{where}: {reason}, so there is nothing to take the mean of. Leave such a batch out, or "
        'give reduction="sum", which is 0 then.'
    )
