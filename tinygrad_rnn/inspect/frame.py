"""The frame of an SVG image: paper and letters, light and dark, around what is drawn."""

import html
import re
from collections.abc import Iterable

__all__ = ["RIGHT_OR_WRONG", "cut", "escape", "framed", "stacked"]

_STYLE = (
    "text{font:12px ui-sans-serif,system-ui,Helvetica,Arial,sans-serif;fill:#3d464f}"
    ".paper{fill:#ffffff}"
    "@media(prefers-color-scheme:dark){text{fill:#b4bdc6}.paper{fill:#12151a}}"
)
# Of what was said, the classes ``right`` and ``wrong``.
RIGHT_OR_WRONG = (
    ".wrong{fill:#c2410c}.right{fill:#15803d}"
    "@media(prefers-color-scheme:dark){.wrong{fill:#ff8a5c}.right{fill:#5fd38a}}"
)
# What XML cannot hold, however it is written.
_UNFIT = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IN_ITS_PLACE = "\N{REPLACEMENT CHARACTER}"


def escape(text: str, quote: bool = True) -> str:
    """Text as an image or a page may hold it."""
    return html.escape(_UNFIT.sub(_IN_ITS_PLACE, text), quote)


def framed(drawn: str, width: int, height: int, style: str, label: str) -> str:
    """An image of what is drawn; ``style`` is CSS beside that of the frame."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"<style>{_STYLE}{style}</style>"
        f'<rect class="paper" width="100%" height="100%"/>{drawn}</svg>'
    )


def stacked(drawings: Iterable[tuple[str, tuple[str, int, int]]], style: str) -> str:
    """Several drawings, one below the other, as one image; of each its label, and what is drawn."""
    parts, labels, wide, below = [], [], 0, 0
    for label, (drawn, width, height) in drawings:
        parts.append(f'<g transform="translate(0 {below})">{drawn}</g>')
        labels.append(label)
        wide, below = max(wide, width), below + height
    return framed("".join(parts), wide, below, style, "; ".join(labels))


def cut(text: str, most: int) -> str:
    """So many letters of a text, if it has more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
