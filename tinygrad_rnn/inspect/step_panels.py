"""States and gates of one layer, drawn step by step above the text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.inspect.activations import Activations, Row
from tinygrad_rnn.inspect.frame import escape, framed
from tinygrad_rnn.inspect.gates import memory
from tinygrad_rnn.inspect.pixels import COLD, WARM, image

__all__ = ["draw_steps"]

Array = NDArray[Any]

STEP, LEFT, TOP, GAP = 12, 54, 30, 30
MOST = 32  # units that are drawn if none are asked for
STYLE = (
    ".row{font-weight:600;font-size:13px;fill:#1d2228}"
    ".letter{font:12px ui-monospace,Menlo,Consolas,monospace;text-anchor:middle;fill:#1d2228}"
    ".quiet{fill:#6b747d}.edge{fill:none;stroke:#dfe2e5}.zero{stroke:#b9bfc5;stroke-width:1}"
    f".warm{{fill:rgb{WARM}}}.cold{{fill:rgb{COLD}}}"
    "@media(prefers-color-scheme:dark){.quiet{fill:#9aa4b0}.row,.letter{fill:#e8eaed}"
    ".edge{stroke:#2c323b}.zero{stroke:#4a535e}.warm{fill:#ff7a29}"
    ".cold{fill:#4d9dff}}"
)


def draw_steps(
    activations: Activations,
    layer: int = 0,
    direction: str = "forward",
    *,
    rows: Sequence[str] | None = None,
    units: Sequence[int] | None = None,
    start: int = 0,
    limit: int = 80,
) -> str:
    """An SVG image of a layer's states and gates: a panel for each, steps across, units down.

        open("steps.svg", "w").write(inspect.draw_steps(found, units=[3]))

    Orange is above 0, blue below; each unit of a state in shares of its largest size here, gates
    from 0 to 1. One unit alone is drawn as its course, several as rows of pixels.

    Args:
        rows: Names of what to draw, in this order; all states and gates, if not given.
        units: Which units; if not given, up to 32 of those that change most in the last state as
            wide as the row, the one that remembers longest (``memory``) below.
        start: The first step that is shown, of at most ``limit`` steps.
    """
    part = activations.part("draw_steps", start, limit)
    here = [row for row in activations if row[:2] == (layer, direction)]
    kinds = (*activations.states, *activations.gates)
    names = [row.name for row in here if row in kinds] if rows is None else list(rows)
    places = [activations.row((layer, direction, name)) for name in names]
    if not places:
        raise ArgumentError(f"draw_steps: there is no layer {layer}, direction {direction!r}.")
    states = {activations[row].shape[1]: row for row in activations.states if row in here}
    telling = {width: _most_telling(activations, row) for width, row in states.items()}
    width = LEFT + STEP * (part.stop - part.start) + 20
    parts, y = [], TOP
    for row in places:
        wide = activations[row].shape[1]
        chosen = telling.get(wide, range(wide)[:MOST]) if units is None else units
        chosen = [int(n) for n in chosen]
        tall = 62 if len(chosen) == 1 else max(40, min(9 * len(chosen), 200))
        parts.append(_panel(activations, row, chosen, part, y, tall))
        y += tall + GAP
    letters = activations.pieces[part] if activations.pieces else []
    for n, piece in enumerate(letters):
        shown = {"\n": "↵", " ": "·", "\t": "→"}.get(piece, piece)
        quiet = ' fill-opacity=".45"' if shown in "↵·→" else ""
        x = LEFT + STEP * (n + 0.5)
        parts.append(f'<text class="letter" x="{x}" y="{y - 8}"{quiet}>{escape(shown)}</text>')
    height = y + (8 if letters else -16)
    label = f"states and gates of {places[0].place}"
    return framed("".join(parts), width, height, STYLE, label)


def _most_telling(activations: Activations, state: Row) -> list[int]:
    """Units that change most, the longest memory last."""
    values = activations[state]
    changing = np.argsort(-values.std(axis=0), kind="stable")[:MOST]
    lags = np.nan_to_num(memory(activations)[state].lag)
    return [int(n) for n in changing[np.argsort(lags[changing], kind="stable")]]


def _panel(
    activations: Activations, row: Row, units: list[int], part: slice, top: int, tall: int
) -> str:
    """One state or gate."""
    whole_row = activations[row]
    if not units or not all(0 <= n < whole_row.shape[1] for n in units):
        raise ArgumentError(
            f"draw_steps: units are {units}, expected some of the {whole_row.shape[1]} of {row}."
        )
    values = whole_row[part, units].T.astype(np.float64)
    gate = row in activations.gates
    largest = np.ones(len(units)) if gate else np.abs(values).max(axis=1)
    shares = values / np.where(largest > 0, largest, 1.0)[:, None]
    width = STEP * values.shape[1]
    head = f"{row.name}[{units[0]}]" if len(units) == 1 else row.name
    kind = f"state, up to {largest[0]:.2g}" if len(units) == 1 else "state, each unit in its range"
    kind = "gate, 0 to 1" if gate else kind
    body = (
        _course(shares[0], bool(values.min() < 0), top, tall)
        if len(units) == 1
        else f'<svg x="{LEFT}" y="{top}" width="{width}" height="{tall}" viewBox="0 0 1 1" '
        f'preserveAspectRatio="none">{image(shares)}</svg>'
    )
    return (
        f'<text class="row" x="{LEFT - 10}" y="{top + tall / 2 + 4}" text-anchor="end">'
        f'{escape(head)}</text><text class="quiet" x="{LEFT}" y="{top - 6}">{kind}</text>{body}'
        f'<rect class="edge" x="{LEFT}" y="{top}" width="{width}" height="{tall}"/>'
    )


def _course(shares: Array, signed: bool, top: int, tall: int) -> str:
    """The steps of one unit as bars on a line of zero."""
    zero, reach = (top + tall / 2, tall / 2) if signed else (top + tall, tall)
    bars: dict[str, list[str]] = {"warm": [], "cold": []}
    for n, share in enumerate(shares):
        y = zero - max(share, 0) * reach
        bars["warm" if share > 0 else "cold"].append(
            f"M{LEFT + STEP * n + 1} {y:.1f}h{STEP - 2}v{abs(share) * reach:.1f}h-{STEP - 2}z"
        )
    paths = "".join(f'<path class="{name}" d="{"".join(d)}"/>' for name, d in bars.items())
    return f'{paths}<path class="zero" d="M{LEFT} {zero}h{STEP * len(shares)}"/>'
