"""Telling a kink from a wrong gradient: the slopes on both sides of a point."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tinygrad_rnn.testing.numeric import Array, Line, inner, rise

__all__ = ["AROUND_IT", "AT_THE_POINT", "Kinks", "Sides", "one_sided", "units"]

# detect        a point with two slopes is given up (Hypothesis draws another)
# subgradient   there each element alone has to be right, or lie between its two slopes
# ignore        there are no kinks: whatever differs is wrong
Kinks = Literal["detect", "subgradient", "ignore"]

# How far to look: a complex step sees only a kink at the point itself, four points see beyond it.
# The nearest look tells a kink here from one close by, the farther one sees it through rounding.
AT_THE_POINT, AROUND_IT = (1e-9, 1e-6), (2e-3, 1e-6)


class Sides(NamedTuple):
    """The slopes before and after a point, and whether they are two."""

    before: float
    after: float
    differ: bool

    def allow(self, slope: float, scale: float) -> bool:
        """Whether a slope lies between the two; ``scale`` is S."""
        low, high = sorted((self.before, self.after))
        room = 1e-4 * (abs(low) + abs(high) + scale)
        return low - room <= slope <= high + room


def one_sided(
    fn: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Array],
    cotangents: Sequence[Array],
    reach: Sequence[float] = AROUND_IT,
    gap: float = 0.0,
) -> Sides:
    """The slopes of ``sum(cotangent * output)`` on either side, along the tangents.

    Where a function is smooth, the gap between them halves with the step. Where it has a kink
    within a step, the gap stays, or vanishes altogether. Only a kink that explains a good part
    of ``gap``, by how much two derivatives differ, is one.
    """
    sizes = [np.abs(w) for w in cotangents]
    sides = Sides(0.0, 0.0, False)
    with np.errstate(all="ignore"):
        for scale in reach:
            line = Line(fn, primals, tangents, scale)
            here, numbers = line.at(0), range(len(cotangents))
            gaps = {}
            for k in (1.0, 0.5):
                before = [rise(line.at(-k)[i], here[i]) / (k * line.h) for i in numbers]
                after = [rise(here[i], line.at(k)[i]) / (k * line.h) for i in numbers]
                gaps[k] = [np.asarray(b - a) for a, b in zip(before, after, strict=True)]
            pairs = zip(gaps[1.0], gaps[0.5], strict=True)
            rest = inner(sizes, [np.abs(half - whole / 2) for whole, half in pairs])
            steep = [np.abs(a) + np.abs(b) for a, b in zip(before, after, strict=True)]
            slopes = inner(sizes, steep)
            rounding = sum(inner([sizes[i]], [line.rounding(i, 0.5, steep[i])]) for i in numbers)
            sides = Sides(
                inner(cotangents, before),
                inner(cotangents, after),
                bool(rest > max(10 * scale**2 * slopes + 10 * rounding, gap / 10)),
            )
            if sides.differ:
                break
    return sides


def units(arrays: Sequence[Array]) -> Iterator[list[Array]]:
    """The directions in which one element moves."""
    for number, array in enumerate(arrays):
        for place in np.ndindex(array.shape):
            unit = [np.zeros(x.shape) for x in arrays]
            unit[number][place] = 1.0
            yield unit
