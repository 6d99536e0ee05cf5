"""Numbers beside a text in a terminal: as colours behind it, or as bars below it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from tinygrad_rnn.arguments import whole

__all__ = ["coloured"]

# Of the 256 colours that every terminal of today has: all light enough for black letters.
WARM = (None, 223, 216, 215, 209, 208)
COLD = (None, 189, 153, 117, 111, 75)
BARS = "▁▂▃▄▅▆▇█"
PLAIN = "\x1b[0m"


def coloured(
    pieces: Sequence[str],
    shares: NDArray[Any],
    *,
    width: int | None = None,
    colour: bool | None = None,
    least: int = -1,
) -> str:
    """A text with a number from ``least`` to 1 for each piece: orange above 0, blue below.

    A piece that fits into a line is not cut.
    """
    columns = shutil.get_terminal_size().columns if width is None else width
    columns = whole("terminal", "width", columns, least=1)
    if colour is None:
        colour = not os.environ.get("NO_COLOR")
    lines = list(_lines(pieces, shares, columns))
    return "\n".join(_painted(line) if colour else _barred(line, least) for line in lines)


Line = list[tuple[str, float]]  # characters, and the number of each


def _lines(pieces: Sequence[str], shares: NDArray[Any], columns: int) -> Iterator[Line]:
    """The characters of each line that fits."""
    line: Line = []
    for piece, share in zip(pieces, shares, strict=True):
        if line and len(line) + len(piece.rstrip()) > columns - 1 >= len(piece):
            yield line
            line = []
        for character in piece:
            if character == "\n":
                yield [*line, (" ", float(share))]
                line = []
                continue
            if len(line) >= columns - 1:  # one is left for the line end
                yield line
                line = []
            line.append((character if character.isprintable() else " ", float(share)))
    if line:
        yield line


def _painted(line: Line) -> str:
    painted, before = [], None
    for character, share in line:
        code = (WARM if share > 0 else COLD)[round(abs(share) * (len(WARM) - 1))]
        if code != before:
            painted.append(PLAIN if code is None else f"\x1b[38;5;16;48;5;{code}m")
            before = code
        painted.append(character)
    return "".join(painted) + ("" if before is None else PLAIN)


def _barred(line: Line, least: int) -> str:
    bars = (BARS[round((share - least) / (1 - least) * (len(BARS) - 1))] for _, share in line)
    return "".join(character for character, _ in line) + "\n" + "".join(bars)
