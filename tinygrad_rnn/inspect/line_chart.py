"""Curves as an SVG that needs nothing else, in the light and the dark colours of its reader."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tinygrad_rnn.errors import ArgumentError

__all__ = ["line_chart"]

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 68, 150, 62, 52  # around the field; names stand on the right
BETWEEN = 16  # lines of text that are not to overlap
STYLE = """
  .card { fill: #ffffff; stroke: #d1d9e0 }
  text { font: 12px -apple-system, "Segoe UI", "Noto Sans", Helvetica, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .quiet { fill: #59636e; font-size: 11px; font-variant-numeric: tabular-nums }
  .grid { stroke: #d1d9e0 }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
  .c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #1a7f37 } .c3 { stroke: #8250df }
  .c4 { stroke: #9a6700 } .c5 { stroke: #bf3989 } .c6 { stroke: #57606a } .c7 { stroke: #0a7d86 }
  text.c0 { fill: #0969da } text.c1 { fill: #bc4c00 } text.c2 { fill: #1a7f37 }
  text.c3 { fill: #8250df } text.c4 { fill: #9a6700 } text.c5 { fill: #bf3989 }
  text.c6 { fill: #57606a } text.c7 { fill: #0a7d86 }
  text { stroke: none } .name { font-weight: 600 } .dashed { stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc } .quiet { fill: #9198a1 } .grid { stroke: #2a313a }
    .c0 { stroke: #4493f8 } .c1 { stroke: #f0883e } .c2 { stroke: #3fb950 } .c3 { stroke: #ab7df8 }
    .c4 { stroke: #d29922 } .c5 { stroke: #db61a2 } .c6 { stroke: #9198a1 } .c7 { stroke: #39c5cf }
    text.c0 { fill: #4493f8 } text.c1 { fill: #f0883e } text.c2 { fill: #3fb950 }
    text.c3 { fill: #ab7df8 } text.c4 { fill: #d29922 } text.c5 { fill: #db61a2 }
    text.c6 { fill: #9198a1 } text.c7 { fill: #39c5cf }
  }
"""
COLOURS = 8


@dataclass(frozen=True)
class Axis:
    """From numbers to places, and the numbers that are written beside it."""

    low: float
    high: float
    start: float  # the place of ``low``, and of ``high``
    end: float
    log: bool

    @classmethod
    def of(cls, numbers: Sequence[float], start: float, end: float, log: bool) -> "Axis":
        """Wide enough for all of them."""
        low, high = min(numbers), max(numbers)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        return cls(low, high, start, end, log)

    def place(self, number: float) -> float:
        """Where a number stands."""
        low, high, at = (math.log(n) if self.log else n for n in (self.low, self.high, number))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers, some five of them."""
        if self.log:
            whole = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(whole) <= 3 else (1,)
            every = max(1, len(whole) // 7)
            found = [m * 10.0**n for n in whole[::every] for m in steps]
        else:
            rough = (self.high - self.low) / 5
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough)
            count = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
            found = [n * step for n in count]
        return [tick for tick in found if self.low <= tick <= self.high]


def line_chart(
    curves: Mapping[str, Points],
    *,
    title: str = "",
    x: str = "",
    y: str = "",
    log_x: bool = False,
    log_y: bool = False,
    dashed: Sequence[str] = (),
) -> str:
    """An SVG of curves, each named at its end.

        svg = inspect.line_chart({"loss": [(1, 4.6), (2, 4.1)]}, title="Learning", x="step")
        pathlib.Path("learning.svg").write_text(svg)

    Args:
        curves: From names to points. Points that are not finite, or not above 0 on a
            logarithmic axis, are left out.
        x, y: What the axes show.
        dashed: The names of curves that are drawn with dashes, such as bounds.
    """
    shown = {name: _drawable(points, log_x, log_y) for name, points in curves.items()}
    numbers = [point for points in shown.values() for point in points]
    if not numbers:
        raise ArgumentError(
            "line_chart: the curves have no point that can be drawn, expected one at least."
        )
    across = Axis.of([p[0] for p in numbers], LEFT, WIDTH - RIGHT, log_x)
    up = Axis.of([p[1] for p in numbers], HEIGHT - BOTTOM, TOP, log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        f'<text class="title" x="20" y="32">{escape(title)}</text>',
        *_grid(across, up),
        f'<text class="quiet" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" '
        f'text-anchor="middle">{escape(x)}</text>',
        f'<text class="quiet" x="20" y="{TOP - 12}">{escape(y)}</text>',
    ]
    for number, (name, points) in enumerate(shown.items()):
        path = " ".join(f"{across.place(a):.1f},{up.place(b):.1f}" for a, b in points)
        kind = f"curve c{number % COLOURS}{' dashed' if name in dashed else ''}"
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
    parts += _names(shown, up.place)
    return "\n".join([*parts, "</svg>\n"])


def _drawable(points: Points, log_x: bool, log_y: bool) -> list[tuple[float, float]]:
    return [
        (float(a), float(b))
        for a, b in points
        if math.isfinite(a) and math.isfinite(b) and (a > 0 or not log_x) and (b > 0 or not log_y)
    ]


def _grid(across: Axis, up: Axis) -> list[str]:
    lines = []
    for tick in up.ticks():
        place = up.place(tick)
        lines += [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place:.1f}" '
            f'y2="{place:.1f}"/>',
            f'<text class="quiet" x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">'
            f"{tick:.4g}</text>",
        ]
    for tick in across.ticks():
        place = across.place(tick)
        lines += [
            f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{HEIGHT - BOTTOM}" '
            f'y2="{HEIGHT - BOTTOM + 5}"/>',
            f'<text class="quiet" x="{place:.1f}" y="{HEIGHT - BOTTOM + 19}" '
            f'text-anchor="middle">{tick:.4g}</text>',
        ]
    return lines


def _names(shown: Mapping[str, Points], place: Callable[[float], float]) -> list[str]:
    """The name of each curve at the height of its end, moved down where another one stands."""
    ends = [
        (place(points[-1][1]), number, name)
        for number, (name, points) in enumerate(shown.items())
        if points
    ]
    found, lowest = [], -math.inf
    for height, number, name in sorted(ends):
        lowest = max(height, lowest + BETWEEN)
        found.append((lowest, number, name))
    too_low = max(0.0, lowest - (HEIGHT - BOTTOM))
    return [
        f'<text class="name c{number % COLOURS}" x="{WIDTH - RIGHT + 10}" '
        f'y="{height - too_low + 4:.1f}">{escape(name)}</text>'
        for height, number, name in found
    ]
