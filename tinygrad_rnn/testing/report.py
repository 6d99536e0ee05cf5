"""What a failed gradient check says."""

from dataclasses import dataclass
from typing import Any

__all__ = ["GradientMismatch", "GradientReport"]


@dataclass(frozen=True)
class GradientReport:
    """Where an analytic and a numeric derivative part.

    function, order     what was differentiated, how many times
    argument, index     the element that is furthest off, None where no single one is
    analytic, numeric   its two derivatives
    along               the two derivatives along the random direction, which differ by too much
    scale               S, the sum of |g_i u_i| that tolerances are measured in
    tolerance           how far apart ``along`` may be; ``error`` is the numeric one's own
    wrong               for every argument, how many elements are wrong, and how many there are
    """

    function: str
    order: int
    method: str
    argument: int | None
    index: tuple[int, ...]
    analytic: float
    numeric: float
    along: tuple[float, float]
    error: float
    scale: float
    tolerance: float
    names: tuple[str, ...]
    wrong: tuple[tuple[int, int], ...]
    inputs: tuple[Any, ...]

    def __str__(self) -> str:
        a, n = self.along
        lines = [
            f"{self.function}: derivative of order {self.order} is wrong.",
            f"  along a random direction: analytic {a:.15g}, numeric {n:.15g} +- {self.error:.1g} "
            f"({self.method})",
            f"  they differ by {abs(a - n):.3g}, allowed {self.tolerance:.3g} "
            f"(S = {self.scale:.3g})",
        ]
        if self.argument is None:
            lines.append(
                "  no single element is wrong by as much: terms cancel, and their rounding shows."
            )
        else:
            name = self.names[self.argument]
            where = f"[{', '.join(map(str, self.index))}]" if self.index else ""
            lines.append(
                f"  worst element: {name}{where}: analytic {self.analytic:.12g}, "
                f"numeric {self.numeric:.12g}"
            )
            lines.append(
                "  wrong elements: "
                + ", ".join(
                    f"{name} {bad} of {size}"
                    for name, (bad, size) in zip(self.names, self.wrong, strict=True)
                )
            )
        if self.error > self.tolerance:
            lines.append(
                "  the numeric derivative is not sure of itself: is the point near a kink?"
            )
        lines += [
            f"  {name} = {value!r}" for name, value in zip(self.names, self.inputs, strict=True)
        ]
        return "\n".join(lines)


class GradientMismatch(AssertionError):
    """An analytic derivative that differs from the numeric one; ``report`` says where."""

    def __init__(self, report: GradientReport) -> None:
        super().__init__(str(report))
        self.report = report
