"""Lengths, masks and resets, lowered to what a row does at each step: flags in one byte.

They are looked at here, so they are NumPy arrays, wherever the numbers of a call are; what is
given on a GPU is fetched once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.device import Array, array_module, to_host
from tinygrad_rnn.errors import DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.kernels.recurrence.reference import CUT, HOLD, RESET, STEP
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["Pattern", "mask_of_lengths", "pattern_of"]


@dataclass(frozen=True)
class Pattern:
    """What the rows of a call do at its steps; nothing of it has a direction.

    extent           T and B
    stepping (T, B)  true where a row steps; None where all of them do
    before (T, B)    RESET and CUT, at the boundary between a step and the one before it; or None
    """

    extent: tuple[int, int]
    stepping: Array | None = None
    before: Array | None = None

    def flags(self, reverse: bool) -> Array | None:
        """(T, B), as ``ops.recurrence`` takes them; None where every row only steps."""
        if self.stepping is None and self.before is None:
            return None
        flags = np.full(self.extent, STEP, np.uint8)
        if self.stepping is not None:
            flags[~self.stepping] = HOLD
        if self.before is not None and reverse:  # the boundary comes before the earlier step
            flags[:-1] |= self.before[1:]
        elif self.before is not None:
            flags |= self.before
        return flags

    def last_steps(self, x: Tensor, reverse: bool) -> Tensor:
        """What each row reads in the last of its steps, (T, B, I) -> (B, I); 0 if it has none."""
        T, B = self.extent
        if T == 0:
            return Tensor(array_module(x._data).zeros(x.shape[1:], x.dtype))
        valid = np.ones((T, B), np.bool_) if self.stepping is None else self.stepping
        place = np.argmax(valid, axis=0) if reverse else T - 1 - np.argmax(valid[::-1], axis=0)
        picked = x[place, np.arange(B)]
        return ops.where(valid.any(axis=0, keepdims=True).T, picked, 0.0)


def pattern_of(
    where: str, T: int, B: int, *, lengths: Any, mask: Any, resets: Any, truncate: int | None
) -> Pattern:
    """The pattern of what a layer is called with, (T, B) each, or raise."""
    if lengths is mask is resets is truncate is None:
        return Pattern((T, B))
    if lengths is not None and mask is not None:
        raise TypeError(f"{where}: given lengths and a mask, expected one of them.")
    stepping = None
    if lengths is not None:
        stepping = mask_of_lengths(where, lengths, T, B)
    elif mask is not None:
        stepping = _booleans(where, "mask", mask, (T, B), "steps")
    before = np.zeros((T, B), np.uint8)
    if resets is not None:
        before[_booleans(where, "resets", resets, (T, B), "starts anew before the step")] = RESET
        if lengths is not None:  # what lies behind a row's end is padding
            before[~stepping] = 0  # type: ignore[operator]
    if truncate is not None:
        later = before[truncate::truncate]
        later[later == 0] = CUT  # a state that is put back does not come from earlier steps
    if stepping is not None and stepping.all():
        stepping = None
    return Pattern((T, B), stepping, before if before.any() else None)


def mask_of_lengths(where: str, lengths: Any, T: int, B: int) -> Array:
    """(T, B), true in the first ``lengths[b]`` steps of row b."""
    lengths = to_host(as_array(lengths))
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


def _booleans(where: str, name: str, given: Any, extent: tuple[int, int], true: str) -> Array:
    """Booleans (T, B)."""
    array = to_host(as_array(given))
    if array.dtype != np.bool_:
        raise DTypeError(
            f"{where}: {name} holds {array.dtype}, expected booleans, true where a row {true}."
        )
    if array.shape != extent:
        raise ShapeError(
            f"{where}: {name} is for {array.shape} steps and rows, expected {extent}, as x has."
        )
    return array
