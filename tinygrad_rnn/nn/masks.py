"""Lengths and masks, lowered to what a row does at each step: one byte."""

from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.kernels.recurrence.reference import HOLD, STEP
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["last_steps", "mask_of_lengths", "step_codes", "valid_steps"]


def mask_of_lengths(where: str, lengths: Any, T: int, B: int) -> Array:
    """(T, B), true in the first ``lengths[b]`` steps of row b."""
    lengths = np.asarray(as_array(lengths))
    if lengths.size and lengths.dtype.kind not in "iu":
        raise DTypeError(f"{where}: lengths are {lengths.dtype}, expected whole numbers.")
    if lengths.shape != (B,):
        raise ShapeError(
            f"{where}: lengths has shape {lengths.shape}, expected {(B,)}: one for each row of x."
        )
    if B and not (lengths.min() >= 0 and lengths.max() <= T):
        raise IndexRangeError(
            f"{where}: lengths go from {lengths.min()} to {lengths.max()}, expected 0 to {T}, the "
            "number of steps."
        )
    return np.arange(T)[:, None] < lengths


def valid_steps(where: str, T: int, B: int, lengths: Any, mask: Any) -> Array | None:
    """(T, B), true where a row steps; None where all do."""
    if lengths is not None and mask is not None:
        raise TypeError(f"{where}: given lengths and a mask, expected one of them.")
    if lengths is not None:
        return mask_of_lengths(where, lengths, T, B)
    if mask is None:
        return None
    array = np.asarray(as_array(mask))
    if array.dtype != np.bool_:
        raise DTypeError(
            f"{where}: mask holds {array.dtype}, expected booleans, true where a row steps."
        )
    if array.shape != (T, B):
        raise ShapeError(
            f"{where}: mask is for {array.shape[:2]} steps and rows, expected {(T, B)}, as x has."
        )
    return array


def step_codes(valid: Array | None) -> Array | None:
    """(T, B), STEP or HOLD; None where every row steps every time, which needs no mask."""
    if valid is None or valid.all():
        return None
    return np.where(valid, STEP, HOLD).astype(np.uint8)


def last_steps(x: Tensor, codes: Any, reverse: bool) -> Tensor:
    """What each row reads in the last of its steps (T, B, I) -> (B, I); zeros if it has none."""
    T, B = x.shape[:2]
    valid = np.ones((T, B), np.bool_) if codes is None else np.asarray(codes != 0)
    if T == 0:
        return Tensor(np.zeros(x.shape[1:], x.dtype))
    place = np.argmax(valid, axis=0) if reverse else T - 1 - np.argmax(valid[::-1], axis=0)
    picked = x[place, np.arange(B)]
    return ops.where(valid.any(axis=0, keepdims=True).T, picked, 0.0)
