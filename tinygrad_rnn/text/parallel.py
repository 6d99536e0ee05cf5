"""Pairs of texts: two files line by line, or the columns of one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tinygrad_rnn.arguments import flag, function_of, shape_of, shortened, whole
from tinygrad_rnn.errors import ArgumentError, FileFormatError
from tinygrad_rnn.text.reading import read

__all__ = ["Pair", "pairs"]

Place = str | os.PathLike[str]


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


def pairs(
    source: Place,
    target: Place | None = None,
    *,
    columns: tuple[int, int] = (0, 1),
    lower: bool = False,
    tokenize: Callable[[str], str] | None = None,
    longest: int | None = None,
) -> list[Pair]:
    """The pairs of two files, line by line, or of one file with tabs between columns.

        text.pairs("train.de", "train.en", lower=True)
        text.pairs("fra.txt", columns=(1, 0))               # French to English

    Files are UTF-8. Empty lines stay: they belong to a line of the other file.

    Args:
        columns: Which of one file are source and target.
        lower: Whether capitals are made small.
        tokenize: Any function of a sentence that gives one.
        longest: Leave out pairs with more words, between spaces, on either side.
    """
    lower = flag("text.pairs", "lower", lower)
    most = None if longest is None else whole("text.pairs", "longest", longest, 1)
    change = None if tokenize is None else function_of("text.pairs", "tokenize", tokenize)
    if target is None:
        found = _columns(source, columns)
    else:
        found = _side_by_side(source, target)

    def changed(sentence: str) -> str:
        sentence = sentence.lower() if lower else sentence
        return sentence if change is None else change(sentence)

    made = [Pair(changed(one), changed(other)) for one, other in found]
    if most is None:
        return made
    return [pair for pair in made if max(len(side.split()) for side in pair) <= most]


def _lines(place: Place) -> list[str]:
    if Path(place).is_dir():
        raise ArgumentError(f"text.pairs: {str(place)!r} is a folder, expected a file.")
    content = read(place)
    return content.removesuffix("\n").split("\n")


def _side_by_side(source: Place, target: Place) -> list[tuple[str, str]]:
    sources, targets = _lines(source), _lines(target)
    if len(sources) != len(targets):
        raise FileFormatError(
            f"text.pairs: {str(source)!r} has {len(sources)} lines, {str(target)!r} "
            f"{len(targets)}; expected as many, each the translation of the other."
        )
    return list(zip(sources, targets, strict=True))


def _columns(place: Place, columns: tuple[int, int]) -> list[tuple[str, str]]:
    one, other = _two(columns)
    found = []
    for number, line in enumerate(_lines(place), 1):
        cells = line.split("\t")
        if len(cells) <= max(one, other):
            raise FileFormatError(
                f"text.pairs: line {number} of {str(place)!r} has {len(cells)} columns, "
                f"{shortened(line)}, expected {max(one, other) + 1} at least, with tabs between."
            )
        found.append((cells[one], cells[other]))
    return found


def _two(columns: tuple[int, int]) -> tuple[int, ...]:
    given = shape_of("text.pairs", (columns,), "columns", least=0)
    if len(given) != 2:
        raise ArgumentError(f"text.pairs: columns is {columns}, expected two numbers.")
    return given
