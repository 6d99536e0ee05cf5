"""Which words of a text a label comes from: what is looked at, and what is missed if it is gone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.frame import RIGHT_OR_WRONG, escape, framed, stacked
from tinygrad_rnn.inspect.gallery import gallery
from tinygrad_rnn.inspect.pixels import of_most
from tinygrad_rnn.inspect.terminal import coloured

__all__ = ["Emphasis", "emphasis", "page_of_emphases", "picture_of_emphases"]

Array = NDArray[Any]

GAP, WIDE, MARGIN, LINE, BAR = 9, 940, 16, 52, 16  # pixels
STYLE = (
    ".word{font-size:15px}.looked{fill:#0c6ac9}.for{fill:#e85d04}.against{fill:#8a949e}"
    ".said{font-size:13px;font-weight:600}"
    "@media(prefers-color-scheme:dark){.looked{fill:#6fb1ff}.for{fill:#ff8a4c}}"
    f"{RIGHT_OR_WRONG}"
)


@dataclass(frozen=True, eq=False)
class Emphasis:
    """The words of a text, how much each was looked at, and what each makes of the label.

        found = inspect.emphasis(model, "not bad at all")
        pathlib.Path("not_bad.svg").write_text(found.svg())

    words         T of them
    weights (T,)  how much each was looked at: shares of 1
    changes (T,)  how much less likely the label is without the word, from -1 to 1
    said          the label
    share         how likely it is
    right         whether it is true, where that is known
    """

    words: list[str]
    weights: Array
    changes: Array
    said: str
    share: float
    right: bool | None = None

    def __post_init__(self) -> None:
        T = len(self.words)
        if not T or np.shape(self.weights) != (T,) or np.shape(self.changes) != (T,):
            raise ShapeError(
                f"Emphasis: weights have shape {np.shape(self.weights)}, changes "
                f"{np.shape(self.changes)}, expected ({T},) for {T} words, one at least."
            )

    def text(self, *, width: int | None = None, colour: bool | None = None) -> str:
        """For a terminal: what is said, and the words, the darker the more they are looked at."""
        pieces = [f"{word} " for word in self.words]
        shares = of_most(self.weights)
        lit = coloured(pieces, shares, width=width, colour=colour, least=0)
        return f"{self._head()}\n{lit}"

    def svg(self) -> str:
        """The text as an image."""
        drawn, width, height = self.drawn()
        return framed(drawn, width, height, STYLE, self.label())

    def drawn(self) -> tuple[str, int, int]:
        """The parts of the image, its width and its height."""
        kind = {None: "", True: " right", False: " wrong"}[self.right]
        parts = [
            f'<text class="said{kind}" x="{MARGIN}" y="{MARGIN + 12}">{escape(self._head())}</text>'
        ]
        x, y = float(MARGIN), MARGIN + 26
        rows = zip(self.words, self.weights, of_most(self.weights), self.changes, strict=True)
        for word, weight, share, change in rows:
            width = _width(word)
            if x + width > WIDE - MARGIN and x > MARGIN:
                x, y = float(MARGIN), y + LINE
            parts.append(_word(word, weight, 0.6 * share, change, x, y, width))
            x += width + GAP
        return "".join(parts), WIDE, y + LINE

    def _head(self) -> str:
        mark = {None: "", True: "✓ ", False: "✗ "}[self.right]
        return f"{mark}{self.said}, {self.share:.0%}"

    def label(self) -> str:
        """What a reader hears who does not see the image."""
        return f"{' '.join(self.words)}: {self._head()}"


def _word(
    word: str, weight: float, lit: float, change: float, x: float, y: float, width: float
) -> str:
    """A word, lit as it is looked at, on a bar of what it changes."""
    high = BAR * abs(float(np.nan_to_num(change)))
    kind = "for" if change > 0 else "against"
    return (
        f"<g><title>{escape(word)}: looked at with {weight:.0%}; without it the label is "
        f"{abs(change):.0%} {'less' if change > 0 else 'more'} likely</title>"
        f'<rect class="looked" x="{x - 3:.1f}" y="{y}" width="{width + 6:.1f}" height="23" '
        f'rx="4" fill-opacity="{lit:.3f}"/>'
        f'<text class="word" x="{x:.1f}" y="{y + 16.5}" textLength="{width:.1f}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(word)}</text>'
        f'<rect class="{kind}" x="{x:.1f}" y="{y + 27}" width="{width:.1f}" '
        f'height="{high:.1f}" rx="2"/></g>'
    )


def _width(word: str) -> float:
    """About how wide a word is, in pixels; it is then drawn as wide."""
    return sum(
        5.0 if letter in "fijlrtI.,:;'!|" else 13 if letter in "mwMW" else 8.6 for letter in word
    )


def emphasis(model: Any, text: str, true: str | None = None) -> Emphasis:
    """What a model that labels texts makes of a text, word by word.

    Each word is left out once, and the label asked for again: what is looked at is not always what
    counts, as states of layers that read both ways know the words around them.

    Args:
        model: A ``models.TextLabels`` of texts, with attention and a vocabulary.
        true: The true label, where it is known.
    """
    vocabulary = getattr(model, "vocabulary", None)
    if vocabulary is None or not hasattr(model, "probabilities"):
        raise ArgumentError(
            f"emphasis: model is {shortened(model)}, expected one that labels texts, with a "
            "vocabulary, such as a models.TextLabels."
        )
    ids = vocabulary.encode(text)
    (weights,) = model.attention([ids])
    (likely,) = model.probabilities([ids])
    best = int(likely.argmax())
    without = [np.delete(ids, t) for t in range(len(ids))] if len(ids) > 1 else []
    left = [float(one[best]) for one in model.probabilities(without)] if without else [0.0]
    words = vocabulary.cut(text) if hasattr(vocabulary, "cut") else list(map(vocabulary.piece, ids))
    said, share = model.names[best], float(likely[best])
    return Emphasis(
        words, weights, share - np.array(left), said, share, None if true is None else said == true
    )


def page_of_emphases(
    texts: Iterable[Emphasis],
    *,
    title: str = "What it makes of words",
    note: str = "",
    figures: Mapping[str, str] | None = None,
) -> str:
    """A page in HTML that holds all it needs: texts word by word, then figures with names."""
    return gallery((one.svg() for one in texts), title, note, figures)


def picture_of_emphases(texts: Iterable[Emphasis]) -> str:
    """Several of them, one below the other, as one image."""
    return stacked(((one.label(), one.drawn()) for one in texts), STYLE)
