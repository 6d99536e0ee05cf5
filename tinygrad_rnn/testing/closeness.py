"""Where two arrays are furthest apart."""

from typing import Any

import numpy as np

__all__ = ["worst_place"]

Array = np.ndarray[Any, Any]


def worst_place(found: Array, expected: Array, room: float) -> tuple[int, ...] | None:
    """The index at which arrays of one shape differ most, or None where ``room`` is enough.

    NaN equals NaN, and an infinity itself; beside anything else they are as far as can be.
    """
    if found.dtype.kind not in "fc":
        found = found.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(found - expected)
    wrong = ~((found == expected) | (np.isnan(found) & np.isnan(expected)) | (gap <= room))
    if not wrong.any():
        return None
    size = np.where(wrong, np.nan_to_num(gap, nan=np.inf, posinf=np.inf), -1.0)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(size)), size.shape))
