"""Charts as SVG images: lines and dots over axes, names beside the lines, light and dark."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.frame import cut, escape, framed

__all__ = ["Chart", "Line", "line_chart", "page_of_charts"]

Array = NDArray[Any]

# Colours that people with any colour vision tell apart (Okabe & Ito), and lighter ones for dark.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#b0508f", "#a17800", "#3b7dd8", "#5f6b76"]
AT_NIGHT = ["#5fb4f0", "#ff8a4c", "#3fd0a4", "#e79ac9", "#e0b63c", "#8db9ff", "#a7b1bc"]
STYLE = (
    ".title{font-size:15px;font-weight:600;fill:#1d2228}"
    ".grid{stroke:#e6e8ea;stroke-width:1}.axis{stroke:#9aa3ab;stroke-width:1}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    ".dashed{stroke-width:1.5;stroke-dasharray:5 4}.name{font-weight:600}"
    + "".join(f".s{n}{{stroke:{c}}}.f{n}{{fill:{c}}}" for n, c in enumerate(COLOURS))
    + "@media(prefers-color-scheme:dark){.title{fill:#e8eaed}"
    ".grid{stroke:#262c34}.axis{stroke:#5d6670}"
    + "".join(f".s{n}{{stroke:{c}}}.f{n}{{fill:{c}}}" for n, c in enumerate(AT_NIGHT))
    + "}"
)
LEFT, RIGHT, TOP, FOOT = 62, 16, 44, 48
LETTER = 6.9  # the width of a letter of a name, on average
BESIDE = 22  # around a name


@dataclass(frozen=True)
class Line:
    """A line through points; or dots, or a dashed line for what it is compared with.

    colour  its number; lines of one colour belong together
    """

    name: str
    x: Any
    y: Any
    colour: int = 0
    dashed: bool = False
    dots: bool = False

    def __post_init__(self) -> None:
        if np.ndim(self.x) != 1 or np.shape(self.x) != np.shape(self.y):
            raise ShapeError(
                f"Line: {self.name!r} has x of shape {np.shape(self.x)} and y of "
                f"{np.shape(self.y)}, expected one number each for every point."
            )

    @property
    def hue(self) -> int:
        """The number of its colour: there are as many as can be told apart."""
        return self.colour % len(COLOURS)


@dataclass(frozen=True)
class Chart:
    """Lines over a pair of axes.

    log_x, log_y  whether an axis has a logarithmic scale; what is not above 0 is left out there
    ends          the ends of the axes, (x, y), where the numbers are not to choose them
    below         an image under the lines, as ``inspect.pixels.image`` writes it
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False
    ends: Mapping[str, tuple[float, float]] | None = None
    below: str = ""
    width: int = 620
    height: int = 380

    def svg(self) -> str:
        """The image as text."""
        return page_of_charts([self])

    def drawn(self) -> str:
        """What stands in the image, without the image's own head."""
        letters = max(1, int((self.width / 2 - BESIDE) / LETTER))  # the lines need room, too
        lines = [replace(line, name=cut(line.name, letters)) for line in self.lines]
        shown = [(line, *self._shown(line)) for line in lines]
        ends = dict(self.ends or {})
        low_x, high_x = ends.get("x") or _ends([x for _, x, _ in shown])
        low_y, high_y = ends.get("y") or _ends([y for _, _, y in shown])
        names = [line.name for line in lines if line.name]
        beside = max(map(len, names)) * LETTER + BESIDE if names else 0
        left, right = LEFT, self.width - RIGHT - beside
        top, foot = TOP, self.height - FOOT

        def across(x: Any) -> Any:
            return left + (x - low_x) / (high_x - low_x) * (right - left)

        def down(y: Any) -> Any:
            return foot - (y - low_y) / (high_y - low_y) * (foot - top)

        # Of one page all with one id are clipped by the first.
        clip = f"c{crc32(repr((self.title, left, right, top, foot)).encode())}"
        parts = [
            f'<clipPath id="{clip}"><rect x="{left}" y="{top}" width="{right - left:.1f}" '
            f'height="{foot - top}"/></clipPath>',
            f'<text class="title" x="{left}" y="24">{escape(self.title)}</text>',
            f'<svg x="{left}" y="{top}" width="{right - left:.1f}" height="{foot - top}" '
            f'viewBox="0 0 1 1" preserveAspectRatio="none">{self.below}</svg>',
        ]
        for value, label in _ticks(low_x, high_x, self.log_x, 7):
            x = across(value)
            if not self.below:
                parts.append(f'<path class="grid" d="M{x:.1f} {top}V{foot}"/>')
            parts.append(f'<text x="{x:.1f}" y="{foot + 18}" text-anchor="middle">{label}</text>')
        for value, label in _ticks(low_y, high_y, self.log_y, 6):
            y = down(value)
            if not self.below:
                parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right:.1f}"/>')
            parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<path class="axis" d="M{left} {top}V{foot}H{right:.1f}" fill="none"/>')
        drawn = [(line, across(x), down(y)) for line, x, y in shown]
        parts.append(f'<g clip-path="url(#{clip})">{"".join(map(_drawn, drawn))}</g>')
        parts += _names([d for d in drawn if d[0].name], right, top, foot)
        parts.append(
            f'<text x="{(left + right) / 2:.1f}" y="{self.height - 10}" text-anchor="middle">'
            f'{escape(self.x)}</text><text transform="translate(15 {(top + foot) / 2:.1f}) '
            f'rotate(-90)" text-anchor="middle">{escape(self.y)}</text>'
        )
        return "".join(parts)

    def _shown(self, line: Line) -> tuple[Array, Array]:
        """The points of a line on the scales of the axes."""
        x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
        fits = np.isfinite(x) & np.isfinite(y)
        fits &= (x > 0) | (not self.log_x)
        fits &= (y > 0) | (not self.log_y)
        x, y = x[fits], y[fits]
        return np.log10(x) if self.log_x else x, np.log10(y) if self.log_y else y


def line_chart(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str = "",
    x: str = "",
    y: str = "",
    log_x: bool = False,
    log_y: bool = False,
    dashed: Sequence[str] = (),
) -> str:
    """An SVG of curves, each named at its end: ``Chart`` in short.

        svg = inspect.line_chart({"loss": [(1, 4.6), (2, 4.1)]}, title="Learning", x="step")
        pathlib.Path("learning.svg").write_text(svg)

    Args:
        curves: From names to points. Points that are not finite, or not above 0 on a
            logarithmic axis, are left out.
        x, y: What the axes show.
        dashed: The names of curves that are drawn with dashes, such as bounds.
    """
    lines = [
        Line(name, [a for a, _ in points], [b for _, b in points], n, name in dashed)
        for n, (name, points) in enumerate(curves.items())
    ]
    return Chart(title, x, y, lines, log_x, log_y, width=720, height=420).svg()


def page_of_charts(charts: Iterable[Chart], columns: int = 1) -> str:
    """Charts beside and below each other, as one image."""
    charts = list(charts)
    if not charts:
        raise ArgumentError("page_of_charts: charts is empty, expected one at least.")
    columns = whole("page_of_charts", "columns", columns, least=1, too_small=ArgumentError)
    columns = min(columns, len(charts))
    wide, high = max(c.width for c in charts), max(c.height for c in charts)
    rows = -(-len(charts) // columns)
    placed = "".join(
        f'<g transform="translate({wide * (n % columns)} {high * (n // columns)})">{c.drawn()}</g>'
        for n, c in enumerate(charts)
    )
    label = "; ".join(c.title for c in charts)
    return framed(placed, wide * columns, high * rows, STYLE, label)


def _ends(values: Sequence[Array]) -> tuple[float, float]:
    """From the least to the most of them, with a little room."""
    all_values = np.concatenate([*values, np.zeros(0)])
    if not len(all_values):
        raise ArgumentError(
            "chart: the lines have no point that can be drawn, expected one at least."
        )
    low, high = float(all_values.min()), float(all_values.max())
    room = (high - low) * 0.03 or max(0.5, abs(high) * 0.03)
    return low - room, high + room


def _ticks(low: float, high: float, log: bool, about: int) -> list[tuple[float, str]]:
    """Round numbers between two ends, and how they are written."""
    if log and high - low > 2.5:
        step = max(1, round((high - low) / about))
        exponents = [n for n in range(int(np.ceil(low)), int(high // 1) + 1) if n % step == 0]
        return [(n, _power(n)) for n in exponents]
    if log:
        numbers = [m * 10.0**e for e in range(int(low // 1), int(high) + 2) for m in (1, 2, 5)]
        return [(float(np.log10(n)), _written(n)) for n in numbers if low <= np.log10(n) <= high]
    rough = (high - low) / about
    size = 10.0 ** np.floor(np.log10(rough))
    step = size * next(m for m in (1, 2, 2.5, 5, 10) if m * size >= rough * 0.999)
    first = int(np.ceil(low / step))
    numbers = [n * step for n in range(first, int(high / step // 1) + 1)]
    return [(n, _written(n)) for n in numbers]


def _written(number: float) -> str:
    """A round number: as 0.25, or as 2·10⁻⁵."""
    if not number or 1e-3 <= abs(number) < 1e5:
        return f"{number:.6g}".replace("-", "−")
    digits, exponent = f"{number:.3e}".split("e")
    digits = f"{float(digits):g}".replace("-", "−")
    return _power(int(exponent)) if digits == "1" else f"{digits}·{_power(int(exponent))}"


def _power(exponent: int) -> str:
    if exponent in (0, 1):
        return str(10**exponent)
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _drawn(line: tuple[Line, Array, Array]) -> str:
    kind, x, y = line
    places = [f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)]
    dots = [
        f'<circle class="f{kind.hue}" cx="{a:.1f}" cy="{b:.1f}" r="2.6" opacity=".75"/>'
        for a, b in zip(x, y, strict=True)
    ]
    if kind.dots:
        return "".join(dots)
    dashed = " dashed" if kind.dashed else ""
    drawn = f'<polyline class="line s{kind.hue}{dashed}" points="{" ".join(places)}"/>'
    return drawn + dots[0] if len(dots) == 1 else drawn  # of one point nothing would be seen


def _names(
    lines: Sequence[tuple[Line, Array, Array]], right: float, top: int, foot: int
) -> list[str]:
    """Names at the right ends of lines, of dots at the top, moved apart where they would meet."""
    ends = sorted(
        (top + 4.0 if line.dots else min(max(float(y[-1]), top + 4.0), foot - 4.0), n)
        for n, (line, _, y) in enumerate(lines)
        if len(y)
    )
    places: list[float] = []
    for wanted, _ in ends:
        places.append(max(wanted, places[-1] + 16) if places else wanted)
    for n in reversed(range(len(places))):  # what has been pushed out below goes up again
        most = foot + 4 if n == len(places) - 1 else places[n + 1] - 16
        places[n] = min(places[n], most)
    return [
        f'<text class="name f{lines[n][0].hue}" x="{right + 8:.1f}" y="{place + 4:.1f}">'
        f"{'● ' if lines[n][0].dots else ''}{escape(lines[n][0].name)}</text>"
        for (_, n), place in zip(ends, places, strict=True)
    ]
