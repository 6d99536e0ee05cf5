"""What laws share: their type, and comparing arrays."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.testing.faults import LawViolation
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.subject import Subject

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["Draw", "Law", "expect_close", "expect_same"]

Draw = Callable[["SearchStrategy[Any]"], Any]
Law = Callable[[Subject, Draw], None]


def expect_same(law: str, subject: Subject, what: str, found: Array, expected: Array) -> None:
    """Raise LawViolation unless two arrays are equal to the bit; NaN equals NaN."""
    expect_close(law, subject, what, found, expected, 0.0)


def expect_close(
    law: str, subject: Subject, what: str, found: Array, expected: Array, room: float
) -> None:
    """Raise LawViolation where elements are further apart than ``room``."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise LawViolation(
            law, subject.title, f"{what} is {found.dtype} of shape {found.shape}",
            f"{expected.dtype} of shape {expected.shape}",
        )  # fmt: skip
    with np.errstate(invalid="ignore"):
        apart = np.abs(found - expected)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    wrong = ~same & ~(apart <= room)
    if not wrong.any():
        return
    gaps = np.where(wrong, np.nan_to_num(apart, nan=np.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gaps)), gaps.shape))
    place = list(index) if index else ""
    allowed = f" to within {room:.3g}" if room else ""
    raise LawViolation(
        law, subject.title, f"{what}{place} is {float(found[index]):.12g}",
        f"{float(expected[index]):.12g}{allowed}",
    )  # fmt: skip
