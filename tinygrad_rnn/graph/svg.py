"""A graph as an SVG image: boxes with value and gradient, arrows along the computation."""

from html import escape

from tinygrad_rnn.graph.collect import Item, Snapshot
from tinygrad_rnn.graph.layout import Point, arrange

__all__ = ["drawn"]

_MARGIN, _LINE, _PAD = 20.0, 18.0, 10.0
_LETTER = 7.3  # the width of a letter, on average, at 13 pixels
_LONGEST = 44  # letters in a line

_COLOURS = {  # fill, border
    "leaf": ("#dbeafe", "#3b82f6"),
    "constant": ("#f3f4f6", "#9ca3af"),
    "left out": ("#ffffff", "#9ca3af"),
    "result": ("#dcfce7", "#16a34a"),
    "operation": ("#fffbeb", "#d97706"),
}
_STYLE = (
    "text{font:13px ui-sans-serif,system-ui,Helvetica,Arial,sans-serif;fill:#111827;"
    "text-anchor:middle}.name{font-weight:600}.quiet{fill:#6b7280}.gradient{fill:#b91c1c}"
    "rect{stroke-width:1.2}path{fill:none;stroke:#6b7280;stroke-width:1.3}"
)
_HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0.5 0.5 L7 4 L0.5 7.5" style="stroke-width:1.2"/></marker></defs>'
)


def drawn(snapshot: Snapshot) -> str:
    """The image as text."""
    items = snapshot.items
    number = {item.name: i for i, item in enumerate(items)}
    edges = [
        (number[name], i)
        for i, item in enumerate(items)
        for name in dict.fromkeys(item.inputs)
        if name in number
    ]
    lines = [_lines(item) for item in items]
    sizes = [
        (max(len(text) for _, text in box) * _LETTER + 2 * _PAD, len(box) * _LINE + _PAD)
        for box in lines
    ]
    drawing = arrange(sizes, edges)
    notes = [_cut(note, 110) for note in snapshot.notes]
    width = max([drawing.width, *(len(note) * 6.6 for note in notes)]) + 2 * _MARGIN
    height = drawing.height + 2 * _MARGIN + len(notes) * _LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}"><style>{_STYLE}</style>{_HEAD}'
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<g transform="translate({(width - drawing.width) / 2:.1f} {_MARGIN:.1f})">',
        *map(_arrow, drawing.arrows),
    ]
    for i, item in enumerate(items):
        kind = "result" if i == len(items) - 1 and item.inputs else item.op
        parts.append(_box(drawing.centres[i], sizes[i], lines[i], kind))
    parts.append("</g>")
    for i, note in enumerate(notes):
        y = height - _MARGIN / 2 - (len(notes) - 1 - i) * _LINE
        parts.append(f'<text class="quiet" x="{width / 2:.1f}" y="{y:.1f}">{escape(note)}</text>')
    return "\n".join([*parts, "</svg>"])


def _lines(item: Item) -> list[tuple[str, str]]:
    """The lines of a box: style and text."""
    lines = [("name", item.name)]
    if item.inputs or item.op == "left out":
        numbers = [x for x in item.inputs if _is_number(x)]
        lines = [
            ("name", f"{item.name} = {item.op}" + (f" ({', '.join(numbers)})" if numbers else ""))
        ]
    if item.shape:
        lines.append(("quiet", "×".join(map(str, item.shape))))
    if item.value:
        lines.append(("value", item.value))
    if item.gradient:
        lines.append(("gradient", f"gradient {item.gradient}"))
    return [(style, _cut(text, _LONGEST)) for style, text in lines]


def _is_number(text: str) -> bool:
    return text[:1] in "-0123456789" or text == "·"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _box(centre: Point, size: tuple[float, float], lines: list[tuple[str, str]], kind: str) -> str:
    fill, border = _COLOURS.get(kind, _COLOURS["operation"])
    (x, y), (width, height) = centre, size
    left, top = x - width / 2, y - height / 2
    texts = "".join(
        f'<text class="{style}" x="{x:.1f}" y="{top + _PAD / 2 + (i + 0.73) * _LINE:.1f}">'
        f"{escape(text)}</text>"
        for i, (style, text) in enumerate(lines)
    )
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7" '
        f'fill="{fill}" stroke="{border}"/>{texts}'
    )


def _arrow(points: list[Point]) -> str:
    """A smooth line through the points, vertical at each."""
    (x, y), *rest = points
    path = f"M{x:.1f} {y:.1f}"
    for u, v in rest:
        middle = (y + v) / 2
        path += f" C{x:.1f} {middle:.1f} {u:.1f} {middle:.1f} {u:.1f} {v:.1f}"
        x, y = u, v
    return f'<path d="{path}" marker-end="url(#head)"/>'
