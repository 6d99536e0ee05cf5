"""What a translator looks at: a map of weights, links between words, and both on a page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.frame import escape, framed
from tinygrad_rnn.inspect.gallery import gallery

__all__ = ["Alignment", "alignment", "page_of_alignments"]

Array = NDArray[Any]

END = "⏎"  # what stands for the end of a sentence
SHADES = "·░▒▓█"  # of a terminal, in equal steps from 0 to 1
CELL, LETTER, LEAST = 26, 7.6, 0.08  # pixels; a weaker link is not drawn
STYLE = (
    ".hot{fill:#e85d04}.cell{stroke:#9aa3ab;stroke-width:.25}.word{font-size:13px}"
    ".link{fill:none;stroke:#e85d04;stroke-linecap:round}"
)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Words that were read, words that were said, and how much each of these looked at each.

    weights (T, S)
    """

    source: list[str]
    target: list[str]
    weights: Array

    def __post_init__(self) -> None:
        if np.shape(self.weights) != (len(self.target), len(self.source)):
            raise ShapeError(
                f"Alignment: weights have shape {np.shape(self.weights)}, expected "
                f"{len(self.target)} words that were said by {len(self.source)} that were read."
            )

    def text(self) -> str:
        """The map for a terminal: a row for each word that was said, the darker the more."""
        margin = max(map(len, self.target), default=0)
        lines = [" " * margin + "  " + " ".join(self.source)]
        for word, row in zip(self.target, np.nan_to_num(self.weights), strict=True):
            levels = np.clip(np.rint(row * (len(SHADES) - 1)), 0, len(SHADES) - 1).astype(int)
            marks = [
                (SHADES[level] * (len(of) if level else 1)).ljust(len(of))
                for level, of in zip(levels, self.source, strict=True)
            ]
            lines.append(f"{word:>{margin}}  {' '.join(marks)}".rstrip())
        return "\n".join(lines)

    def svg(self) -> str:
        """The map as an image, what was read above and what was said on the left."""
        left = 20 + round(max(map(len, self.target), default=0) * LETTER)
        top = 20 + round(max(map(len, self.source), default=0) * LETTER * 0.8)
        width, height = left + CELL * len(self.source) + top, top + CELL * len(self.target) + 12
        parts = []
        for s, word in enumerate(self.source):
            x = left + CELL * (s + 0.5)
            parts.append(
                f'<text class="word" transform="translate({x + 4:.1f} {top - 8}) rotate(-55)">'
                f"{escape(word)}</text>"
            )
        for t, word in enumerate(self.target):
            y = top + CELL * t
            parts.append(
                f'<text class="word" x="{left - 8}" y="{y + CELL / 2 + 4:.1f}" '
                f'text-anchor="end">{escape(word)}</text>'
            )
            for s, weight in enumerate(self.weights[t]):
                heat = np.nan_to_num(weight)
                parts.append(
                    f'<rect class="hot cell" x="{left + CELL * s}" y="{y}" width="{CELL}" '
                    f'height="{CELL}" fill-opacity="{heat:.3f}"><title>{escape(word)} · '
                    f"{escape(self.source[s])}: {weight:.0%}</title></rect>"
                )
        return framed("".join(parts), width, height, STYLE, self._label())

    def links(self) -> str:
        """Both sentences as an image, with a line from word to word, the thicker the more."""
        above, below = _places(self.source), _places(self.target)
        width = round(max(above[-1][1], below[-1][1]) + 16) if above and below else 32
        parts = []
        for row, (begin, end) in zip(self.weights, below, strict=True):
            for weight, (left, right) in zip(row, above, strict=True):
                if weight >= LEAST:
                    a, b = (left + right) / 2, (begin + end) / 2
                    parts.append(
                        f'<path class="link" d="M{a:.1f} 34C{a:.1f} 70 {b:.1f} 70 {b:.1f} 106" '
                        f'stroke-width="{1 + 4 * weight:.1f}" opacity="{weight:.2f}"/>'
                    )
        for words, places, y in ((self.source, above, 26), (self.target, below, 122)):
            for word, (left, right) in zip(words, places, strict=True):
                parts.append(
                    f'<text class="word" x="{(left + right) / 2:.1f}" y="{y}" '
                    f'text-anchor="middle">{escape(word)}</text>'
                )
        return framed("".join(parts), width, 138, STYLE, self._label())

    def _label(self) -> str:
        return f"{' '.join(self.source)} → {' '.join(self.target)}"


def alignment(model: Any, text: str, translation: str | None = None, **how: Any) -> Alignment:
    """What a translator looks at while it says something.

        found = inspect.alignment(model, "the black cats sleep")
        print(found.text())
        pathlib.Path("cats.svg").write_text(found.svg())

    Args:
        model: A ``models.Seq2Seq`` with attention and two vocabularies.
        text: What it reads.
        translation: What it is to say; None: what it says, as by ``translate(..., **how)``.
    """
    source = getattr(model, "source_vocabulary", None)
    target = getattr(model, "target_vocabulary", None)
    if source is None or target is None:
        raise ArgumentError(
            f"alignment: model is {shortened(model)}, expected one that translates texts, with "
            "vocabularies of both sides, such as a models.Seq2Seq."
        )
    read = source.encode(text)
    if translation is None:
        said = model.translated([read], **how)[0]
    else:
        said = target.encode(translation)
    (weights,) = model.alignment([read], [said])
    return Alignment(
        [*(source.piece(int(token)) for token in read), END],
        [*(target.piece(int(token)) for token in said), END],
        weights,
    )


def page_of_alignments(
    alignments: Iterable[Alignment],
    *,
    title: str = "What it looks at",
    note: str = "",
    figures: Mapping[str, str] | None = None,
) -> str:
    """A page in HTML that holds all it needs: links and maps, then figures with their names."""
    return gallery((f"{one.links()}{one.svg()}" for one in alignments), title, note, figures)


def _places(words: list[str]) -> list[tuple[float, float]]:
    """From where to where each word of a line reaches."""
    ends = 16 + np.cumsum([0.0, *(len(word) * LETTER + 18 for word in words)])
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
