"""What is to be found in rows of scores: the class of each row, and how much the row counts."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.losses.reducing import check_reduction, nothing_left, spread_mask
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["Labels", "check_weights", "labels_of"]


@dataclass(frozen=True, slots=True)
class Labels:
    """The class of each row and its part in the result, in one flat axis of rows.

    ids (N,)       0 for a row that does not count
    parts (N,)     0 for a row that does not count, else scale times the weight of its class
    scale          1, for a mean divided by the sum of the weights of all rows that count
    counts (N,)    which rows count; None: all
    """

    ids: Array
    parts: Array
    scale: float
    counts: Array | None


def labels_of(
    where: str,
    targets: Any,
    shape: tuple[int, ...],
    classes: int,
    like: Tensor,
    *,
    weights: Array | None,
    ignore_index: Any,
    mask: Any,
    reduction: str,
) -> Labels:
    """Check the targets of rows in ``shape``, and find out which count and how much."""
    check_reduction(where, reduction)
    ids = _ids(where, targets, shape)
    counts = spread_mask(where, mask, shape)
    why = [] if counts is None else ["masked"]
    if ignore_index is not None:
        ignored = ids == whole(where, "ignore_index", ignore_index)
        if ignored.any():
            counts = ~ignored if counts is None else counts & ~ignored
            why.append(f"ignored (ignore_index is {ignore_index})")
    if counts is not None:
        counts = counts.reshape(-1)
        ids = array_module(ids).where(counts, ids.reshape(-1), 0)
    ids = ids.reshape(-1)
    _check_range(where, ids, classes)
    dtype = like._data.real.dtype
    parts = array_module(ids).ones(ids.shape, dtype) if weights is None else weights[ids]
    parts = parts if counts is None else parts * counts.astype(dtype)
    scale = 1.0
    if reduction == "mean":
        total = float(parts.sum(dtype=np.float64))
        if not total:
            if why or not ids.size:
                raise nothing_left(where, f"{ids.size} targets", " or ".join(why) or None)
            raise nothing_left(where, f"{ids.size} targets", "of classes with the weight 0")
        scale = 1.0 / total
        parts = parts * dtype.type(scale)
    return Labels(ids, parts, scale, counts)


def _ids(where: str, targets: Any, shape: tuple[int, ...]) -> Array:
    """Class ids of the shape of the rows."""
    ids = as_array(targets, where)
    if ids.dtype.kind not in "iu" and ids.size:
        raise DTypeError(
            f"{where}: the targets hold {ids.dtype}, expected integers: the class of each row."
        )
    if ids.shape != shape:
        hint = ""
        if ids.shape[:-1] == shape and ids.shape[-1] > 1:
            hint = " Vectors, such as one-hot ones, are probabilities: .astype('float32')."
        elif ids.ndim and ids.size and len(shape) == ids.ndim and ids.shape[0] == shape[0]:
            hint = (
                " PyTorch has the classes in the second axis, this library in the last: "
                "swap them with .swapaxes(1, -1) if they come from there."
            )
        raise ShapeError(
            f"{where}: the targets have shape {ids.shape}, expected {shape}, one for each row of "
            f"scores.{hint}"
        )
    return ids.astype(np.int64)


def _check_range(where: str, ids: Array, classes: int) -> None:
    if ids.size and (ids.min() < 0 or ids.max() >= classes):
        bad = ids.max() if ids.max() >= classes else ids.min()
        raise IndexRangeError(
            f"{where}: class {bad} among {ids.size} targets, expected 0 to {classes - 1}: there "
            f"are scores of {classes} classes."
        )


def check_weights(where: str, weights: Any, classes: int, like: Tensor) -> Array | None:
    """How much each class counts, as an array of the type of the scores."""
    if weights is None:
        return None
    if isinstance(weights, Tensor) and weights.requires_grad:
        raise ArgumentError(f"{where}: weights requires a gradient, expected constants.")
    array = as_array(weights, where, exact=True)
    if array.shape != (classes,):
        raise ShapeError(
            f"{where}: weights has shape {array.shape}, expected {(classes,)}, one for each class."
        )
    if array.dtype.kind not in "iuf" or not (array >= 0).all():
        raise ArgumentError(f"{where}: weights hold {array.min()}, expected numbers from 0 up.")
    return array.astype(like._data.real.dtype)
