"""From a mismatch to a report: which elements, what pattern, whose fault."""

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.testing.blame import blame
from tinygrad_rnn.testing.comparison import Mismatch
from tinygrad_rnn.testing.faults import searching
from tinygrad_rnn.testing.numeric import Array, numeric_gradient
from tinygrad_rnn.testing.pattern import guess
from tinygrad_rnn.testing.report import GradientMismatch, GradientReport
from tinygrad_rnn.testing.reproducer import reproducer

__all__ = ["diagnosed"]

SMALL = 2048  # elements: beyond, the whole numeric gradient takes too long for patterns


def diagnosed(mismatch: Mismatch, options: Mapping[str, Any]) -> GradientMismatch:
    """The failure with its report: short while Hypothesis is still making the case smaller."""
    comparison, result = mismatch.comparison, mismatch.result
    subject = comparison.subject
    short = GradientReport(
        subject.title, comparison.order, False, result.method, (result.analytic, result.numeric),
        result.error, result.scale, result.tolerance, subject.names, subject.primals,
    )  # fmt: skip

    def complete() -> GradientReport:
        details = _Elements(mismatch)
        return replace(
            short,
            **details.worst(),
            per_argument=details.counts(),
            pattern=details.pattern(),
            blame=blame(subject, details.wrong_names()) if comparison.order == 1 else None,
            reproducer=reproducer(subject, options),
        )

    return GradientMismatch(short, complete) if searching() else GradientMismatch(complete())


class _Elements:
    """The two gradients element by element."""

    def __init__(self, mismatch: Mismatch) -> None:
        self.mismatch = mismatch
        self.names = mismatch.comparison.subject.names
        self.analytic = mismatch.gradients
        self.numeric = [
            self._numeric(argument, mismatch.cotangents) for argument in range(len(self.names))
        ]
        result = mismatch.result
        finite = np.isfinite(result.tolerance)
        tolerance = result.tolerance if finite else 1e-8
        # S is 0 where the gradient is: then it is no measure of what is right.
        size = max(result.scale, abs(result.numeric), 1e-300)
        relative = tolerance / size if finite else 1e-8
        self.close = []
        self.wrong = []
        for a, n in zip(self.analytic, self.numeric, strict=True):
            size = max(_largest(a), _largest(n))
            self.close.append(max(relative * size, tolerance / max(a.size, 1)))
            gap = np.array(np.abs(a - n))
            gap[np.isfinite(a) != np.isfinite(n)] = np.inf
            self.wrong.append(np.where(gap > self.close[-1], gap, 0.0))

    def _numeric(self, argument: int, cotangents: list[Array]) -> Array:
        comparison = self.mismatch.comparison
        return numeric_gradient(
            comparison.numeric, comparison.subject.constants(), cotangents, argument,
            method=self.mismatch.result.method, eps=comparison.eps,
        )  # fmt: skip

    def counts(self) -> dict[str, tuple[int, int]]:
        """For every input, how many elements are wrong, and how many there are."""
        pairs = zip(self.names, self.wrong, strict=True)
        return {name: (int(np.count_nonzero(gap)), gap.size) for name, gap in pairs}

    def wrong_names(self) -> list[str]:
        """The inputs whose gradient is wrong anywhere."""
        return [name for name, (bad, _) in self.counts().items() if bad]

    def worst(self) -> dict[str, Any]:
        """The element that is furthest off."""
        largest = [float(gap.max(initial=0)) for gap in self.wrong]
        if not largest or max(largest) == 0:
            return {}
        argument = int(np.argmax(largest))
        gap = self.wrong[argument]
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
        return {
            "argument": self.names[argument],
            "index": index,
            "analytic": float(self.analytic[argument][index]),
            "numeric": float(self.numeric[argument][index]),
        }

    def pattern(self) -> str | None:
        """What the wrong gradients look like; the same words once for all inputs."""
        said: dict[str, list[str]] = {}
        for argument, name in enumerate(self.names):
            if not self.wrong[argument].any() or self.wrong[argument].size > SMALL:
                continue
            found = guess(
                self.analytic[argument],
                self.numeric[argument],
                self.close[argument],
                [np.shape(w) for w in self.mismatch.cotangents],
                functools.partial(self._alone, argument),
            )
            if found:
                said.setdefault(found, []).append(name)
        return "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items()) or None

    def _alone(self, argument: int, output: int, axis: int, index: int) -> Array:
        """The right gradient with cotangents kept in one row only.

        In the other results the row is that of the first axis of the same length, if there is
        one: a batch is as long in all of them.
        """
        length = self.mismatch.cotangents[output].shape[axis]
        kept = []
        for number, w in enumerate(self.mismatch.cotangents):
            where = axis if number == output else _first_of_length(w.shape, length)
            if where is not None:
                place = (slice(None),) * where + (index,)
                w, whole = np.zeros_like(w), w
                w[place] = whole[place]
            kept.append(w)
        return self._numeric(argument, kept)


def _first_of_length(shape: tuple[int, ...], length: int) -> int | None:
    return shape.index(length) if length in shape else None


def _largest(x: Array) -> float:
    return float(np.abs(x[np.isfinite(x)]).max(initial=0))
