"""What is left of a run besides its results: the rows of every step, as they lie in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Kept"]


@dataclass(frozen=True)
class Kept:
    """Rows of all steps, (T, B, width) each; maybe views of what backward needs: not to be written.

    before  each state that a step starts from; with resets, right where the row steps
    after   each state after the step, None where it has been overwritten: a row that is put
            back before the next step leaves its last state nowhere
    lines   lines of the program by number, right where the row steps; the rest holds anything
    """

    before: Sequence[Any]
    after: Sequence[Any] | None
    lines: Mapping[int, Any]
