"""The cliff chart: an SVG of the time that training takes with each option, ours and PyTorch's.

Written by hand, so that it needs nothing: GitHub shows it in its light and its dark colours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duel import short

LEFT, PANEL, GAP, RIGHT = 204, 300, 36, 32  # labels, then a panel for each kind
TOP, ROW, BETWEEN, FOOT = 100, 29, 66, 18  # head, then the rows of each size
THICK = 9.5  # of a bar
LABEL = 82  # the widest text behind a bar
# Multiples of our plain layer; the text above a line is centred, or leaves room to its neighbour.
LINES = {1: ("one", "end"), 1.2: ("goal", "middle"), 1.5: ("bound", "start")}
STYLE = """
  .card { fill: #ffffff; stroke: #d1d9e0 }
  text { font: 12px -apple-system, "Segoe UI", "Noto Sans", Helvetica, sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .panel { font-size: 13px; font-weight: 600 }
  .quiet { fill: #59636e; font-size: 11px }
  .value { font-size: 10.5px; font-variant-numeric: tabular-nums }
  .value { paint-order: stroke; stroke: #ffffff; stroke-width: 2px }
  .ours { fill: #0969da } text.ours { fill: #0550ae; font-weight: 600 }
  tspan { fill: #59636e; font-weight: 400 }
  .own { fill: #f0b48a } .loop { fill: #d9622b }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  line.one, line.goal, line.bound { stroke: #59636e; stroke-width: 1.2; stroke-dasharray: 3 3 }
  line.goal { stroke: #1a7f37 } line.bound { stroke: #cf222e } text.one { fill: #59636e }
  text.goal { fill: #1a7f37 } text.bound { fill: #cf222e }
  text.one, text.goal, text.bound { font-size: 11px }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .quiet, tspan { fill: #9198a1 }
    .ours { fill: #4493f8 } text.ours { fill: #79c0ff }
    .own { fill: #a5663f } .loop { fill: #e8743b }
    .grid { stroke: #2a313a } line.one { stroke: #9198a1 } text.one { fill: #9198a1 }
    .value { stroke: #0d1117 }
    line.goal { stroke: #3fb950 } text.goal { fill: #3fb950 }
    line.bound { stroke: #f85149 } text.bound { fill: #f85149 }
  }
"""


@dataclass(frozen=True)
class Bar:
    """Milliseconds with an option, and how often those of the same library's plain layer."""

    kind: str  # "ours"; PyTorch's "own" layer, or a "loop" over steps
    time: float
    ratio: float


def draw(panels: Mapping[tuple[str, str], Mapping[str, Sequence[Bar]]]) -> str:
    """The picture; a panel for each kind (a column) and size (a row), the plain layer first."""
    kinds = list(dict.fromkeys(kind for kind, _ in panels))
    sizes = list(dict.fromkeys(size for _, size in panels))
    rows = max(len(options) for options in panels.values())
    width = LEFT + len(kinds) * (PANEL + GAP) - GAP + RIGHT
    height = TOP + len(sizes) * (rows * ROW + BETWEEN) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img">',
        "<title>The time of training with each option of a recurrent layer</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        *_head(),
    ]
    for (kind, size), options in panels.items():
        x = LEFT + kinds.index(kind) * (PANEL + GAP)
        y = TOP + sizes.index(size) * (rows * ROW + BETWEEN) + 40
        parts += _panel(x, y, f"{kind} ({', '.join(size.split())})", list(options.values()))
        if kind == kinds[0]:
            parts += [
                _text(LEFT - 12, y + (i + 0.5) * ROW + 4, option, "", "end")
                for i, option in enumerate(options)
            ]
    below = "(steps, rows, width); float32; forward and backward with all gradients"
    parts.append(_text(width - RIGHT, height - 18, below, "quiet", "end"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head() -> list[str]:
    """The title, and what the colours mean."""
    told = (
        "bars and ms: a step of training; ×: over the same library's plain layer; "
        "lines: 1, 1.2 (goal) and 1.5 (bar) times our plain layer"
    )
    parts = [
        _text(24, 34, "What an option costs", "title"),
        _text(24, 54, told, "quiet"),
    ]
    x = 24
    for name, label in (
        ("ours", "tinygrad_rnn"),
        ("own", "PyTorch, with its own layer"),
        ("loop", "PyTorch, a loop over steps"),
    ):
        parts.append(f'<rect class="{name}" x="{x}" y="71" width="20" height="9" rx="2"/>')
        parts.append(_text(x + 27, 80, label))
        x += 60 + 6.3 * len(label)
    return parts


def _panel(x: float, y: float, title: str, options: Sequence[Sequence[Bar]]) -> list[str]:
    """One kind and size: lines at multiples of our plain layer, and the bars of each option."""
    scale = (PANEL - LABEL) / max(bar.time for bars in options for bar in bars)
    bottom = y + len(options) * ROW
    parts = [_text(x, y - 24, title, "panel"), _line(x, y - 4, bottom, "grid")]
    for ratio, (kind, anchor) in LINES.items():
        place = x + scale * ratio * options[0][0].time
        parts.append(_line(place, y - 4, bottom, kind))
        parts.append(_text(place, y - 8, f"{ratio}", kind, anchor))
    for i, bars in enumerate(options):
        for bar, top in zip(bars, (-THICK - 0.5, 0.5), strict=True):
            top += y + (i + 0.5) * ROW
            length = scale * bar.time
            parts.append(
                f'<rect class="{bar.kind}" x="{x:.1f}" y="{top:.1f}" width="{length:.1f}" '
                f'height="{THICK}" rx="1.5"/>'
            )
            label = f"{bar.ratio:.2f}×<tspan> {short(bar.time)} ms</tspan>"
            kind = "value ours" if bar.kind == "ours" else "value"
            parts.append(_text(x + length + 5, top + THICK - 0.5, label, kind))
    return parts


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _line(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
