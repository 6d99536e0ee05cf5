"""Films drawn as strips of their frames, with what is said of them, and what of each frame."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.inspect.frame import RIGHT_OR_WRONG, cut, escape, framed, stacked
from tinygrad_rnn.inspect.gallery import gallery
from tinygrad_rnn.inspect.pixels import source_of

__all__ = ["FilmStrip", "page_of_films", "picture_of_films"]

Array = NDArray[Any]

SIDE, GAP, EDGE = 58, 4, 15  # of a frame, between two, and of the strip above and below them
LINE, LETTER, MARGIN = 21, 7.2, 14
LETTERS = 90  # of what is said below a film that is shorter; all of it is in the label
STYLE = (
    ".strip{fill:#23262b}.hole{fill:#f2efe9}.part{fill:#0c6ac9;opacity:.14}"
    ".told{font-size:11px}.said{font-size:13px}.who{font-size:13px;opacity:.65}"
    "@media(prefers-color-scheme:dark){.part{fill:#6fb1ff;opacity:.25}.strip{fill:#000}}"
    f"{RIGHT_OR_WRONG}"
)


@dataclass(frozen=True, eq=False)
class FilmStrip:
    """A film, what is said of it, and what is going on in each frame.

        strip = inspect.FilmStrip(frames, {"S2VT": "the red ball bounces and then stops"})
        pathlib.Path("ball.svg").write_text(strip.svg())

    frames (T, H, W, 3)  bytes of red, green and blue
    said    what each of some says of it, by who says it
    right   whether what these say is true, where that is known
    labels  of each frame; none, or T
    """

    frames: Array
    said: Mapping[str, str] = field(default_factory=dict)
    right: Mapping[str, bool] = field(default_factory=dict)
    labels: Sequence[str] = ()

    def __post_init__(self) -> None:
        shape = np.shape(self.frames)
        if len(shape) != 4 or shape[3] != 3 or 0 in shape or self.frames.dtype != np.uint8:
            raise ShapeError(
                f"FilmStrip: frames hold {self.frames.dtype} of shape {shape}, expected bytes "
                "(T, H, W, 3), one frame or more."
            )
        if len(self.labels) not in (0, shape[0]):
            raise ShapeError(
                f"FilmStrip: {len(self.labels)} labels of {shape[0]} frames, expected none, or one "
                "for each."
            )

    def svg(self) -> str:
        """The strip as an image."""
        drawn, width, height = self.drawn()
        return framed(drawn, width, height, STYLE, self.label())

    def drawn(self) -> tuple[str, int, int]:
        """The parts of the image, its width and its height."""
        T = len(self.frames)
        film = T * (SIDE + GAP) + GAP
        bottom = MARGIN + SIDE + 2 * EDGE
        parts = [
            f'<rect class="strip" x="{MARGIN}" y="{MARGIN}" width="{film}" '
            f'height="{SIDE + 2 * EDGE}" rx="4"/>'
        ]
        for t, frame in enumerate(self.frames):
            x = MARGIN + GAP + t * (SIDE + GAP)
            parts.append(
                f'<image x="{x}" y="{MARGIN + EDGE}" width="{SIDE}" height="{SIDE}" '
                f'href="{source_of(frame)}"/>'
            )
            for hole in range(4):
                left = x + (hole + 0.5) * SIDE / 4 - 3.5
                for y in (MARGIN + 4.5, bottom - EDGE + 4.5):
                    parts.append(
                        f'<rect class="hole" x="{left:.1f}" y="{y}" width="7" height="6" rx="1.5"/>'
                    )
        bottom += self._labels(parts, bottom + 5) if self.labels else 0
        most = max(LETTERS, int((film - self._indent()) / LETTER))
        for number, (who, text) in enumerate(self.said.items()):
            parts.append(self._line(who, cut(text, most), bottom + LINE * (number + 1)))
        longest = min(most, max((len(text) for text in self.said.values()), default=0))
        text_width = round(self._indent() + LETTER * longest + 2 * MARGIN + 20)
        height = round(bottom + LINE * len(self.said) + MARGIN)
        return "".join(parts), max(film + 2 * MARGIN, text_width), height

    def _labels(self, parts: list[str], y: float) -> int:
        """Draw what is going on below the frames in which it is, and say how high that is."""
        begin = 0
        for name, group in groupby(self.labels):
            count = len(list(group))
            x, width = MARGIN + GAP + begin * (SIDE + GAP), count * (SIDE + GAP) - GAP
            parts.append(
                f'<rect class="part" x="{x}" y="{y}" width="{width}" height="17" rx="3"/>'
                f"<title>{escape(name)}</title>"
            )
            shown = cut(name, max(3, int(width / 6)))
            parts.append(
                f'<text class="told" x="{x + width / 2}" y="{y + 12.5}" text-anchor="middle">'
                f"{escape(shown)}</text>"
            )
            begin += count
        return 22

    def _indent(self) -> float:
        return MARGIN + max((len(who) for who in self.said), default=0) * LETTER + 14

    def _line(self, who: str, text: str, y: float) -> str:
        mark, kind = "", ""
        if who in self.right:
            mark, kind = ("✓ ", " right") if self.right[who] else ("✗ ", " wrong")
        return (
            f'<text class="who" x="{MARGIN}" y="{y}">{escape(who)}</text>'
            f'<text class="said{kind}" x="{self._indent():.0f}" y="{y}">{mark}{escape(text)}</text>'
        )

    def label(self) -> str:
        """What a reader hears who does not see the image."""
        return "; ".join(f"{who}: {text}" for who, text in self.said.items())


def page_of_films(
    strips: Iterable[FilmStrip],
    *,
    title: str = "What happens",
    note: str = "",
    figures: Mapping[str, str] | None = None,
) -> str:
    """A page in HTML that holds all it needs: strips, then figures with their names."""
    return gallery((strip.svg() for strip in strips), title, note, figures)


def picture_of_films(strips: Iterable[FilmStrip]) -> str:
    """Several strips, one below the other, as one image."""
    return stacked(((one.label(), one.drawn()) for one in strips), STYLE)
