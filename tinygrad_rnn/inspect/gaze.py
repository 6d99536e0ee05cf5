"""Where a captioner looks: an image, and for each word of its caption the same image, lit there."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.frame import RIGHT_OR_WRONG, cut, escape, framed, stacked
from tinygrad_rnn.inspect.gallery import gallery
from tinygrad_rnn.inspect.pixels import check_picture, of_most, source_of

__all__ = ["Gaze", "gaze", "page_of_gazes", "picture_of_gazes"]

Array = NDArray[Any]

TILE, GAP, MARGIN, LINE = 92, 10, 16, 22  # pixels
LETTERS = 108  # of what is said that are as wide as all that is below them
COLUMNS = 7  # of words, beside an image that is as high as two rows of them
FINE = 48  # pixels of a veil, on each side
VEIL, DARKEST = (14, 16, 24), 0.86  # what lies over where nobody looks
SHADES = "·░▒▓█"  # of a terminal, in equal steps from 0 to the most
STYLE = (
    ".word{font-size:13px}.said{font-size:15px;font-weight:600}.told{font-size:13px;opacity:.65}"
    f"{RIGHT_OR_WRONG}"
)


@dataclass(frozen=True, eq=False)
class Gaze:
    """An image, the words that were said of it, and how much each place was looked at for each.

    picture (H, W, 3)  bytes of red, green and blue
    words              T of them
    weights (T, h, w)  how much each place was looked at
    right              whether what was said is true, where that is known
    """

    picture: Array
    words: list[str]
    weights: Array
    right: bool | None = None

    def __post_init__(self) -> None:
        check_picture("Gaze", self.picture)
        if np.ndim(self.weights) != 3 or len(self.weights) != len(self.words):
            raise ShapeError(
                f"Gaze: weights have shape {np.shape(self.weights)}, expected "
                f"({len(self.words)}, h, w): how much is looked at each place for each word."
            )

    def text(self) -> str:
        """The maps for a terminal, word by word; the darker, the more it is looked at."""
        blocks = []
        for word, weights in zip(self.words, self.weights, strict=True):
            share = of_most(weights) * (len(SHADES) - 1)
            rows = ["".join(SHADES[level] for level in row) for row in np.rint(share).astype(int)]
            width = max(len(word), len(rows[0]))
            blocks.append([line.ljust(width) for line in (word, *rows)])
        lines = []
        for begin in range(0, len(blocks), COLUMNS):
            several = zip(*blocks[begin : begin + COLUMNS], strict=True)
            lines += ["  ".join(parts).rstrip() for parts in several] + [""]
        return "\n".join(lines[:-1])

    def svg(self) -> str:
        """The image, and a tile for each word."""
        drawn, width, height = self.drawn()
        return framed(drawn, width, height, STYLE, _joined(self.words))

    def drawn(self) -> tuple[str, int, int]:
        """The parts of the drawing, its width and its height."""
        rows = max(2, -(-len(self.words) // COLUMNS))
        side, source = 2 * TILE + LINE, source_of(self.picture)
        name = f"seen{crc32(source.encode()):08x}"  # the picture is in the page once
        mark, kind = {None: ("", ""), True: ("✓ ", " right"), False: ("✗ ", " wrong")}[self.right]
        top, left = MARGIN + LINE + 6, MARGIN + side + 2 * GAP
        parts = [
            f'<text class="said{kind}" x="{MARGIN}" y="{MARGIN + 14}">{mark}'
            f"{escape(cut(_joined(self.words) or 'nothing is said', LETTERS))}</text>",
            f'<g transform="translate({MARGIN} {top})"><g id="{name}">'
            f"{_image(source, 0, 0, side)}</g></g>",
        ]
        for number, (word, weights) in enumerate(zip(self.words, self.weights, strict=True)):
            x = left + number % COLUMNS * (TILE + GAP)
            y = top + number // COLUMNS * (TILE + LINE)
            parts += [
                f"<g><title>{escape(word)}: {weights.max():.0%} at one place</title>",
                f'<use href="#{name}" transform="translate({x} {y}) scale({TILE / side:.4f})"/>',
                _image(source_of(_veil(weights)), x, y, TILE),
                f'<text class="word" x="{x + TILE / 2}" y="{y + TILE + 15}" '
                f'text-anchor="middle">{escape(word)}</text></g>',
            ]
        width = left + COLUMNS * (TILE + GAP) - GAP + MARGIN
        return "".join(parts), width, top + rows * (TILE + LINE) + MARGIN


def gaze(
    model: Any,
    image: Any,
    caption: str | None = None,
    picture: Any = None,
    right: bool | None = None,
    **how: Any,
) -> Gaze:
    """Where a captioner looks in an image while it speaks of it, or an answerer while it reads.

        found = inspect.gaze(model, image)
        found = inspect.gaze(answerer, image, "what colour is the ball?")
        pathlib.Path("looks.svg").write_text(found.svg())

    The last place of a question is that of the answer, looked for when all of it has been read.

    Args:
        model: A ``models.Captioner`` or ``models.Answerer`` with attention and a vocabulary.
        image: One image, or its features, as the model takes them.
        caption: What it is to say; None: what it says, as by ``caption(..., **how)``. Or the
            question.
        picture: What is drawn: bytes (H, W, 3), of any size; None: the image itself.
        right: Whether the caption, or the answer, is true, if that is known.
    """
    vocabulary = getattr(model, "vocabulary", None)
    asks = hasattr(model, "answers")
    if vocabulary is None or not (asks or hasattr(model, "captioned")):
        raise ArgumentError(
            f"gaze: model is {shortened(model)}, expected one that describes images or answers "
            "questions, with a vocabulary, such as a models.Captioner."
        )
    if asks and caption is None:
        raise ArgumentError("gaze: there is no question, which a models.Answerer needs.")
    image = np.asarray(image)
    if caption is None:
        said = model.captioned(image[None], **how)[0]
    else:
        said = vocabulary.encode(caption)
    (weights,) = model.attention(image[None], [said])
    if picture is None:
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ShapeError(
                f"gaze: image has shape {image.shape}, which is no picture (3, H, W); expected "
                "one as picture, bytes (H, W, 3), where the model sees features."
            )
        picture = image if image.dtype == np.uint8 else np.clip(np.rint(image * 255), 0, 255)
        picture = np.moveaxis(picture.astype(np.uint8), 0, -1)
        picture = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
    words = [vocabulary.piece(int(token)) for token in said]
    if asks:
        words.append(f"→ {model.answers(image[None], [said])[0]}")
    return Gaze(np.asarray(picture), words, weights[: len(words)], right)


def page_of_gazes(
    gazes: Iterable[Gaze],
    *,
    title: str = "Where it looks",
    note: str = "",
    figures: Mapping[str, str] | None = None,
) -> str:
    """A page in HTML that holds all it needs: images word by word, then figures with names."""
    return gallery((one.svg() for one in gazes), title, note, figures)


def picture_of_gazes(gazes: Iterable[Gaze]) -> str:
    """Several of them, one below the other, as one image."""
    return stacked(((_joined(one.words), one.drawn()) for one in gazes), STYLE)


def _joined(words: Sequence[str]) -> str:
    """What is said, with no space before marks."""
    return re.sub(r" (?=[,.;:?!]( |$))", "", " ".join(words))


def _image(source: str, x: float, y: float, side: float) -> str:
    return (
        f'<image x="{x}" y="{y}" width="{side}" height="{side}" preserveAspectRatio="none" '
        f'href="{source}"/>'
    )


def _veil(weights: Array) -> Array:
    """Weights (h, w) as darkness (FINE, FINE, 4): none where most is looked at, soft between."""
    share = of_most(weights)
    for axis in range(2):
        share = _finer(share, axis)
    veil = np.empty((FINE, FINE, 4), np.uint8)
    veil[..., :3] = VEIL
    veil[..., 3] = np.rint(255 * DARKEST * (1 - np.clip(of_most(share), 0, 1)) ** 1.5)
    return veil


def _finer(x: Array, axis: int) -> Array:
    """An axis of FINE numbers in place of a few, which run into each other as bells do."""
    n = x.shape[axis]
    middles = (np.arange(FINE) + 0.5) * n / FINE - 0.5
    bells = np.exp(-(((middles[:, None] - np.arange(n)) / 0.75) ** 2))
    bells /= bells.sum(axis=1, keepdims=True)
    return np.moveaxis((bells @ np.moveaxis(x, axis, 0).reshape(n, -1)).reshape(
        FINE, *np.delete(x.shape, axis)), 0, axis)  # fmt: skip
