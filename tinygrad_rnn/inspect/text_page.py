"""A text coloured by what units of a network do while they read it, as a page and in a terminal."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.files import replacing
from tinygrad_rnn.inspect.activations import Activations, Row
from tinygrad_rnn.inspect.cells import FoundCell, find_cells
from tinygrad_rnn.inspect.frame import escape
from tinygrad_rnn.inspect.terminal import coloured
from tinygrad_rnn.inspect.text_features import text_features

__all__ = ["TextPage", "text_page"]

Array = NDArray[Any]
LEVELS = 16  # shades of each colour


@dataclass(frozen=True)
class Shown:
    """A unit on a page.

    values  (T,) what it does; shades of colour reach from 0 to ``scale``
    truth   (T,) what its feature is, or None
    """

    row: Row
    unit: int
    found: FoundCell | None
    values: Array
    scale: float
    truth: Array | None

    @property
    def shares(self) -> Array:
        """The values as shares of the scale, from -1 to 1."""
        return np.clip(self.values / self.scale, -1.0, 1.0)

    @property
    def feature(self) -> str:
        """The name of its feature in words."""
        return self.found.feature.replace("_", " ") if self.found else "unit"

    @property
    def title(self) -> str:
        """What it is called."""
        return self.feature if self.found else f"{self.row}[{self.unit}]"

    @property
    def marks(self) -> bool:
        """Whether its feature is true or false, and can be underlined."""
        return self.truth is not None and self.truth.dtype == bool

    @property
    def sequential(self) -> bool:
        """Whether it is never below 0, as a gate."""
        return bool(self.values.min() >= 0)


class TextPage:
    """A text coloured by units to choose from: ``html()``, ``save(path)``, ``terminal()``."""

    def __init__(
        self, title: str, note: str, pieces: list[str], start: int, cells: list[Shown],
        figures: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.title, self.note, self.pieces, self.start = title, note, pieces, start
        self.cells, self.figures = cells, dict(figures)

    def html(self) -> str:
        """The page; all it needs is within it."""
        data = {
            "levels": LEVELS,
            "start": self.start,
            "pieces": self.pieces,
            "cells": [_data(cell) for cell in self.cells],
        }
        # What would end the script is written so that it does not.
        written = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        written = written.replace("<", "\\u003c")
        parts = files("tinygrad_rnn.inspect")
        return _PAGE.format(
            title=escape(self.title),
            note=escape(self.note),
            style=parts.joinpath("page.css").read_text("utf-8") + _shades(),
            script=parts.joinpath("page.js").read_text("utf-8"),
            data=written,
            cells="\n".join(_card(cell, n == 0) for n, cell in enumerate(self.cells)),
            text=_text(self.pieces, self.cells[0]),
            figures="\n".join(
                f"<figure><figcaption>{escape(name)}</figcaption><div>{svg}</div></figure>"
                for name, svg in self.figures.items()
            ),
        )

    _repr_html_ = html  # what notebooks show

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all."""
        with replacing(path, "TextPage.save") as file:
            file.write(self.html().encode())

    def terminal(
        self, cell: int = 0, *, width: int | None = None, colour: bool | None = None
    ) -> str:
        """The text coloured for a terminal by one of the cells, the first if not said.

        Args:
            width: Columns of a line; those of the terminal, if not given.
            colour: Whether to use colours; without, bars stand below the text. If not given,
                colours are used unless the environment says NO_COLOR.
        """
        number = whole("terminal", "cell", cell)
        if not -len(self.cells) <= number < len(self.cells):
            raise ArgumentError(
                f"terminal: cell is {number}, expected one of {len(self.cells)} cells."
            )
        shown = self.cells[number]
        head = str(shown.found) if shown.found else shown.title
        return f"{head}\n{coloured(self.pieces, shown.shares, width=width, colour=colour)}"

    def __repr__(self) -> str:
        return f"<page of {len(self.pieces)} pieces of text and {len(self.cells)} cells>"


def text_page(
    activations: Activations,
    cells: Any = None,
    *,
    features: Mapping[str, Any] | None = None,
    title: str = "What single units follow",
    start: int = 0,
    limit: int = 4000,
    figures: Mapping[str, str] | None = None,
) -> TextPage:
    """A page that shows a text, coloured by what units do while they read it.

        found = inspect.activations(model, text)
        inspect.text_page(found).save("cells.html")

    Orange is above 0, blue below; full colour is the 98th percentile of the unit's size. What
    has been read when a unit takes a value is the text up to there, that piece included.

    Args:
        cells: What ``find_cells`` gave, or a list of found cells, or of ((layer, name), unit).
            If not given, the best unit of each feature.
        features: As ``find_cells`` takes them, to be underlined; ``text_features`` of the text,
            if not given.
        start: The first step that is shown, of at most ``limit`` steps.
        figures: Drawings (SVG) by their captions, to stand below the text.
    """
    if activations.pieces is None:
        raise ArgumentError(
            "text_page: the activations have no text, expected those of a text, or "
            "activations(..., text=...) with a character for each step."
        )
    part = activations.part("text_page", start, limit)
    known = text_features(activations.text) if features is None else features
    chosen = _chosen(find_cells(activations, known, k=1) if cells is None else cells)
    if not chosen:
        raise ArgumentError("text_page: there are no cells to show: no feature changes, no unit.")
    shown = [_shown(activations, cell, known, part) for cell in chosen]
    pieces = activations.pieces[part]
    of = f" of {activations.steps:,}" if len(pieces) < activations.steps else ""
    note = (
        f"{len(pieces):,}{of} steps of text, coloured by what one unit does as it reads: orange is "
        "above zero, blue below."
    )
    if any(cell.found for cell in shown):
        note += (
            " A card draws a unit and, in grey, the feature that it follows: r is their "
            "correlation, F1 how well a threshold on the unit tells where the feature is true."
        )
    return TextPage(title, note, pieces, part.start, shown, figures or {})


def _chosen(cells: Any) -> list[tuple[Any, int, FoundCell | None]]:
    """Rows and units; of several found for each feature all the first ones come first."""
    if isinstance(cells, Mapping):
        ranks = max((len(found) for found in cells.values()), default=0)
        cells = [
            cell
            for rank in range(ranks)
            for cell in sorted(
                (found[rank] for found in cells.values() if len(found) > rank),
                key=lambda cell: -abs(cell.correlation),
            )
        ]
    try:
        return [
            (c.row, c.unit, c) if isinstance(c, FoundCell) else (c[0], int(c[1]), None)
            for c in cells
        ]
    except (TypeError, IndexError, ValueError):
        raise ArgumentError(
            f"text_page: cells is {shortened(cells)}, expected what find_cells gives, or a list of "
            "((layer, name), unit)."
        ) from None


def _shown(
    activations: Activations,
    cell: tuple[Any, int, FoundCell | None],
    features: Mapping[str, Any],
    part: slice,
) -> Shown:
    key, unit, found = cell
    row = activations.row(key)
    values = activations[row]
    if not 0 <= unit < values.shape[1]:
        raise ArgumentError(
            f"text_page: unit is {unit}, expected one of the {values.shape[1]} of {row}."
        )
    column = values[:, unit].astype(np.float64)
    scale = float(np.percentile(np.abs(column), 98)) or float(np.abs(column).max()) or 1.0
    truth = None
    if found and found.feature in features:
        truth = activations.by_step(found.feature, features[found.feature])[part]
    return Shown(row, unit, found, column[part], scale, truth)


# ----- the parts of the page -----


def _data(cell: Shown) -> dict[str, Any]:
    def coded(numbers: Array) -> str:
        return base64.b64encode(np.clip(numbers, -127, 127).astype(np.int8).tobytes()).decode()

    return {
        "feature": cell.feature,
        "values": coded(np.round(cell.shares * 127)),
        "scale": round(cell.scale, 4),
        "sequential": cell.sequential,
        "marks": cell.marks,
        "truth": None if cell.truth is None else coded(cell.truth),
    }


def _shades() -> str:
    """Classes p1 to p16 for what is above 0, n1 to n16 for what is below."""
    return "\n".join(
        f".{sign}{n} {{ background: rgb(var(--{name}) / calc({n / LEVELS:.4f} * var(--most))); }}"
        for sign, name in (("p", "warm"), ("n", "cold"))
        for n in range(1, LEVELS + 1)
    )


def _text(pieces: Sequence[str], cell: Shown) -> str:
    """The text as the first cell colours it: that is there without any script."""
    found = []
    truth = cell.truth if cell.truth is not None and cell.marks else np.zeros(len(pieces), bool)
    levels = np.round(cell.shares * LEVELS).astype(int)
    for piece, level, true in zip(pieces, levels, truth, strict=True):
        names = ["end"] if piece.endswith("\n") else []
        names += [f"{'p' if level > 0 else 'n'}{abs(level)}"] if level else []
        names += ["true"] if true else []
        found.append(f'<i class="{" ".join(names)}">{escape(piece, quote=False)}</i>')
    return "".join(found)


def _card(cell: Shown, first: bool) -> str:
    """What is clicked to choose a cell: what it follows, how closely, where it is, its course."""
    found = cell.found
    close = f"r {found.correlation:+.2f}".replace("-", "−") if found else ""
    detects = f"F1 {found.f1:.2f}" if found and found.f1 is not None else ""
    return (
        f'<label class="cell"><input type="radio" name="cell"{" checked" if first else ""}>'
        f"<b>{escape(cell.title)}<span>{close}</span></b>"
        f"<small><span>{escape(str(cell.row))}[{cell.unit}]</span><span>{detects}</span></small>"
        f"{_spark(cell)}</label>"
    )


def _spark(cell: Shown, columns: int = 200) -> str:
    """The course of a unit as a small drawing, and that of its feature below it."""
    places = np.array_split(np.arange(len(cell.values)), min(columns, len(cell.values)))
    width = columns / len(places)

    def bars(heights: Array, foot: float) -> str:
        return "".join(
            f"M{n * width:.1f} {foot - max(height, 0):.1f}"
            f"h{width:.2f}v{abs(height):.1f}h-{width:.2f}z"
            for n, height in enumerate(heights)
            if abs(height) > 0.05
        )

    means = 12 * np.array([cell.shares[place].mean() for place in places])
    drawn = [("warm", bars(np.maximum(means, 0), 13)), ("cold", bars(np.minimum(means, 0), 13))]
    if cell.truth is not None:
        truth = np.array([cell.truth[place].mean() for place in places])
        drawn.append(("true", bars(6 * truth / (truth.max() or 1), 33)))
    paths = "".join(f'<path class="spark-{name}" d="{path}"/>' for name, path in drawn)
    return (
        f'<svg viewBox="0 0 {columns} 34" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="spark-axis" d="M0 13h{columns}"/>{paths}</svg>'
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header><h1>{title}</h1><p>{note}</p></header>
<main>
<fieldset><legend>Cells</legend>
{cells}
</fieldset>
<section>
<div class="bar">
<span class="scale"><span></span><i></i><span></span></span>
<label><input type="checkbox" id="mark"><span>underline the feature</span></label>
<output></output>
</div>
<pre tabindex="0">{text}</pre>
</section>
</main>
<section class="figures">{figures}</section>
<script type="application/json" id="data">{data}</script>
<script>
{script}
</script>
</body>
</html>
"""
