"""What is to be found in rows of scores: the class of each row, and how much the row counts.

Targets of the CPU are checked and counted there, and sent to the scores' GPU after that. Those
that are on the GPU stay there, and nothing waits for them: a class that there is not makes the
loss NaN, as does a mean over nothing, and ``tg.debug()`` says what it was.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import (
    Array,
    array_module,
    beside,
    device_of,
    on_gpu,
    there,
    to_device,
    to_host,
)
from tinygrad_rnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.losses.reducing import check_reduction, nothing_left, spread_mask
from tinygrad_rnn.ops.places import within
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["Labels", "beside_weights", "check_weights", "labels_of"]


@dataclass(frozen=True, slots=True)
class Labels:
    """The class of each row and its part in the result, in one flat axis of rows.

    ids (N,)       0 for a row that does not count
    parts (N,)     0 for a row that does not count, else scale times the weight of its class
    scale          1, for a mean divided by the sum of the weights of all rows that count
    counts (N,)    which rows count; None: all
    kept           where those rows are, if some do not count and it is known without waiting
    """

    ids: Array
    parts: Array
    scale: Any
    counts: Array | None
    kept: Array | None = None


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
    ids: Array = _ids(where, targets, shape)
    counts = spread_mask(where, mask, shape)
    known = modes.watched() or not any(map(on_gpu, (ids, counts, weights)))
    if not known:
        with there(like._data):
            return _on_gpu(where, ids, counts, weights, classes, like, ignore_index, reduction)
    ids = to_host(ids)
    counts, weights = (x if x is None else to_host(x) for x in (counts, weights))
    why = [] if counts is None else ["masked"]
    if ignore_index is not None:
        ignored: Array = ids == whole(where, "ignore_index", ignore_index)
        if ignored.any():
            counts = ~ignored if counts is None else counts & ~ignored
            why.append(f"ignored (ignore_index is {ignore_index})")
    if counts is not None:
        counts = counts.reshape(-1)
        ids = np.where(counts, ids.reshape(-1), 0)
    ids = ids.reshape(-1)
    _check_range(where, ids, classes)
    dtype = like._data.real.dtype
    parts = np.ones(ids.shape, dtype) if weights is None else weights[ids]
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
    kept = None if counts is None or counts.all() else np.flatnonzero(counts)
    home = device_of(like._data)
    arrays = [x if x is None else to_device(x, home) for x in (ids, parts, counts, kept)]
    return Labels(arrays[0], arrays[1], scale, arrays[2], arrays[3])


def _on_gpu(
    where: str,
    ids: Array,
    counts: Array | None,
    weights: Array | None,
    classes: int,
    like: Tensor,
    ignore_index: Any,
    reduction: str,
) -> Labels:
    """The same for targets on a GPU, without waiting for them."""
    home, dtype = like._data, like._data.real.dtype
    ids = beside(where, ids, home).reshape(-1)
    if counts is not None:
        counts = beside(where, counts, home).reshape(-1)
    if ignore_index is not None:
        others = ids != whole(where, "ignore_index", ignore_index)
        counts = others if counts is None else counts & others
    if counts is not None:
        ids = np.where(counts, ids, 0)
    ids, poison = within(ids, classes, dtype)
    parts = array_module(home).ones(ids.shape, dtype)
    if weights is not None:
        parts = beside(where, weights, home)[ids]
    if counts is not None:
        parts = parts * counts
    scale: Any = 1.0
    if reduction == "mean":
        scale = (1.0 / parts.sum(dtype=np.float64)).astype(dtype)
        parts = parts * scale
    return Labels(ids, (parts + poison).astype(dtype, copy=False), scale, counts)


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
    with there(ids):
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
    looked_at = isinstance(array, np.ndarray) or modes.watched()
    if array.dtype.kind not in "iuf" or (looked_at and not (array >= 0).all()):
        raise ArgumentError(f"{where}: weights hold {array.min()}, expected numbers from 0 up.")
    return array.astype(like._data.real.dtype)


def beside_weights(where: str, weights: Array | None, like: Tensor) -> Array | None:
    """Weights where the scores are."""
    return None if weights is None else beside(where, weights, like._data)
