"""What models are trained towards: classes as numbers or as vectors, numbers, yes and no.

Numbers and vectors go where the outputs are. Classes stay: a loss looks at them and moves them.
"""

from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import to_host
from tinygrad_rnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.tensor import Tensor, as_array, constant

__all__ = ["as_classes", "as_numbers", "as_probabilities", "to_categorical"]

Array = np.ndarray[Any, Any]


def to_categorical(y: Any, num_classes: int | None = None) -> Array:
    """Classes (...) as vectors (..., num_classes) with a 1 in the place of the class.

    Args:
        num_classes: As many as there are up to the largest unless given.
    """
    ids = to_host(as_array(y, "to_categorical"))
    if ids.ndim > 1 and ids.shape[-1] == 1:
        ids = ids[..., 0]
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"to_categorical: y holds {ids.dtype}, expected whole numbers.")
    count = int(ids.max(initial=-1)) + 1
    classes = count if num_classes is None else whole("to_categorical", "num_classes", num_classes)
    if count > classes or ids.min(initial=0) < 0:
        raise IndexRangeError(
            f"to_categorical: y holds {ids.min()} to {ids.max()}, expected 0 to {classes - 1}."
        )
    return np.asarray(np.eye(classes, dtype=np.float32)[ids])


def as_classes(where: str, y: Any, outputs: Tensor) -> Any:
    """y (...) or (..., 1) as the class of each row of outputs (..., V)."""
    ids = as_array(y, where)
    if ids.shape == outputs.shape and ids.ndim > 1 and outputs.shape[-1] > 1:
        raise ShapeError(
            f"{where}: y has shape {ids.shape}, as the output of the model has: that is a vector "
            "for each row. Expected its class, a whole number; for vectors there is "
            "loss='categorical_crossentropy'."
        )
    if ids.shape == (*outputs.shape[:-1], 1):
        ids = ids[..., 0]
    if ids.dtype.kind == "b" or (ids.dtype.kind == "f" and (ids == np.floor(ids)).all()):
        ids = ids.astype(np.int64)  # as they are read from a table, or come of a comparison
    return _fitting(where, ids, outputs.shape[:-1], outputs)


def as_probabilities(where: str, y: Any, outputs: Tensor) -> Any:
    """y (..., V): the probability of each class, most often a 1 in the place of one."""
    vectors = as_array(y, where)
    if vectors.dtype.kind in "iu" and vectors.shape in (
        outputs.shape[:-1],
        (*outputs.shape[:-1], 1),
    ):
        raise ShapeError(
            f"{where}: y has shape {vectors.shape} and holds whole numbers, expected "
            f"{outputs.shape}, a vector for each row. For classes there is "
            "loss='sparse_categorical_crossentropy', or make vectors of them: "
            "training.to_categorical(y)."
        )
    return constant(_fitting(where, vectors, outputs.shape, outputs), outputs)._data


def as_numbers(where: str, y: Any, outputs: Tensor) -> Any:
    """y of the shape of outputs, or without a last axis of 1."""
    numbers = as_array(y, where)
    if (*numbers.shape, 1) == outputs.shape:
        numbers = numbers[..., None]
    return constant(_fitting(where, numbers, outputs.shape, outputs), outputs)._data


def _fitting(where: str, y: Any, shape: tuple[int, ...], outputs: Tensor) -> Any:
    if y.dtype.kind not in "biuf":
        raise ArgumentError(f"{where}: y holds {y.dtype}, expected numbers.")
    if y.shape != shape:
        raise ShapeError(
            f"{where}: y has shape {y.shape}, expected {shape} for an output of {outputs.shape}."
        )
    return y
