"""What a gradient check found, and how it tells people."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tinygrad_rnn.testing.faults import GradientCheckError
from tinygrad_rnn.testing.numeric import Array

__all__ = ["GradientMismatch", "GradientReport"]

SHOWN = 6  # elements of an input that are printed


@dataclass(frozen=True, repr=False)
class GradientReport:
    """The outcome of a check: that all is well, or where two derivatives part.

    function, order     what was differentiated, how many times
    ok                  whether analytic and numeric derivatives agree
    along               the two along the random direction that shows the most
    error, scale        of the numeric one; S, the sum of |g_i u_i| that tolerances are measured in
    tolerance           how far apart ``along`` may be
    argument, index     the element that is furthest off, None where no single one is
    analytic, numeric   its two derivatives
    per_argument        for every input, how many elements are wrong, and how many there are
    pattern             what the wrong gradient looks like, in words
    blame               the operation whose own derivative is wrong
    reproducer          a script that fails in the same way
    """

    function: str
    order: int
    ok: bool
    method: str
    along: tuple[float, float]
    error: float
    scale: float
    tolerance: float
    names: tuple[str, ...]
    inputs: tuple[Array, ...]
    argument: str | None = None
    index: tuple[int, ...] = ()
    analytic: float = float("nan")
    numeric: float = float("nan")
    per_argument: dict[str, tuple[int, int]] = field(default_factory=dict)
    pattern: str | None = None
    blame: str | None = None
    reproducer: str | None = None

    def __repr__(self) -> str:
        return f"<{self}>" if self.ok else f"<GradientReport of {self.function}: a mismatch>"

    def __str__(self) -> str:
        if self.ok:
            return (
                f"{self.function}: derivative of order {self.order} is right.\n"
                f"  {_row('along', self._along())}"
            )
        rows = [
            ("case", ", ".join(map(_described, self.names, self.inputs))),
            ("along", self._along()),
        ]
        if self.argument is not None:
            place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
            rows.append((
                "worst element",
                f"{self.argument}{place}: analytic {self.analytic + 0.0:.12g}, "
                f"numeric {self.numeric + 0.0:.12g}",
            ))  # fmt: skip
        elif self.per_argument:
            rows.append(("worst element", "none is wrong by as much: terms cancel, and round"))
        if self.per_argument:
            counts = [f"{name} {bad} of {n}" for name, (bad, n) in self.per_argument.items()]
            rows.append(("wrong elements", ", ".join(counts)))
        if self.error > self.tolerance:
            rows.append(("in doubt", "the numeric derivative is not sure of itself: near a kink?"))
        rows += [(name, text) for name, text in (("pattern", self.pattern), ("blame", self.blame))
                 if text]  # fmt: skip
        lines = [f"{self.function}: derivative of order {self.order} is wrong."]
        lines += [f"  {_row(name, text)}" for name, text in rows]
        if self.reproducer:
            lines += ["  reproduce with", "", *self.reproducer.splitlines()]
        return "\n".join(lines)

    def _along(self) -> str:
        a, n = self.along
        if not np.isfinite(a):
            return f"a random direction: analytic {a}, numeric {n:.15g} ({self.method})"
        return (
            f"a random direction: analytic {a:.15g}, numeric {n:.15g} +- {self.error:.1g} "
            f"({self.method}); they differ by {abs(a - n):.3g}, allowed {self.tolerance:.3g} "
            f"(S = {self.scale:.3g})"
        )


class GradientMismatch(GradientCheckError):
    """An analytic derivative that differs from the numeric one; ``report`` says where and how.

    While Hypothesis makes a case smaller, the rest of the report waits until it is asked for.
    """

    def __init__(
        self, report: GradientReport, complete: Callable[[], GradientReport] | None = None
    ) -> None:
        super().__init__(str(report))
        self._report = report
        self._complete = complete

    @property
    def report(self) -> GradientReport:
        """The whole report."""
        if self._complete is not None:
            self._report, self._complete = self._complete(), None
        return self._report


def _row(name: str, text: str) -> str:
    return f"{name:15}{text}"


def _described(name: str, x: Array) -> str:
    """The name and shape of an input, and its numbers where they are few."""
    shape = "x".join(map(str, x.shape)) or "a number"
    if not x.size or not np.any(x):
        return f"{name} ({shape}{', all 0' if x.size else ''})"
    if x.size > SHOWN:
        return f"{name} ({shape})"
    return f"{name} ({shape}) = {np.array2string(x, separator=', ')}".replace("\n", "")
