"""Layers that are recorded, called like the time before: what was asked then is not asked again.

Around a short sequence checks take as long as its kernels. Where they must find the same, only
the operation of each cell is left.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels._twin import only_reference
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.nn.changes import CHANGES
from tinygrad_rnn.nn.step_mark import goes_its_own_way
from tinygrad_rnn.nn.stepping import stacked, stepper_of, still_of
from tinygrad_rnn.ops.recurrence import obstacle, recurrence_as_before
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell
    from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["as_before"]

_MOST = 32  # kinds of calls that answers are kept for


class _AboutCell(NamedTuple):
    """What has been asked about a cell.

    zeros  what it starts from, where it is given no state
    """

    program: Program
    settings: dict[str, float] | None
    zeros: list[Tensor]

    def weights_of(self, cell: "Cell", dtype: Any) -> list[Tensor] | None:
        """The cell's weights now; None unless they are of the same kind."""
        found = [getattr(cell, name) for name in self.program.weights]
        for weight in found:
            if weight._data.__class__ is not np.ndarray or weight._data.dtype != dtype:
                return None
        return found


class _About(NamedTuple):
    """What has been asked about layers; copies of them may share a stepper."""

    layers: "ref[Recurrent]"
    cells: list["ref[Cell]"]
    about: list[_AboutCell]

    def weights_of(self, layers: "Recurrent", dtype: Any) -> list[list[Tensor]] | None:
        """The weights of each cell, if all is as it was; what was set since has been noticed."""
        cells = still_of(self.cells, layers) if self.layers() is layers else None
        if cells is None:
            return None
        found = []
        for about, cell in zip(self.about, cells, strict=True):
            weights = about.weights_of(cell, dtype)
            if weights is None:
                return None
            found.append(weights)
        return found


_NEVER = "never"  # in place of answers, where there are none; None: called once, not asked yet


def as_before(layers: "Recurrent", x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
    """What layers return, if they were called like this before; None for the long way."""
    known = _known(layers, x._data)
    if known is None:
        return None
    found, weights = known
    x = x.swapaxes(0, 1) if layers.batch_first else x
    starts = _starts(layers, found, x, state)
    if starts is None:
        return None
    finals = []
    for about, start, given in zip(found.about, starts, weights, strict=True):
        x, final = recurrence_as_before(about.program, x, start, given, about.settings)
        finals.append(final)
    y = x.swapaxes(0, 1) if layers.batch_first else x
    return y, layers.layout.pack(finals, batched=True)


def _known(layers: "Recurrent", rows: Array) -> tuple[_About, list[list[Tensor]]] | None:
    """What was asked about layers for calls like this, and their weights now.

    It is asked the second time, for many calls have none, and again when weights are others.
    """
    answers, like = _answers(layers, rows)
    if like not in answers:
        if len(answers) >= _MOST:
            answers.clear()
        answers[like] = None
        return None
    found = answers.get(like)
    if found is _NEVER:
        return None
    weights = None if found is None else found.weights_of(layers, rows.dtype)
    if weights is None:
        found = _asked(layers, rows)
        answers[like] = found or _NEVER
        weights = found and found.weights_of(layers, rows.dtype)
    return None if found is None or weights is None else (found, weights)


def _answers(layers: "Recurrent", rows: Array) -> tuple[dict[Any, Any], Any]:
    """What was asked since anything was last set, and what answers to this call depend on."""
    stepper = stepper_of(layers)
    changed, answers = stepper.answered_recorded  # both at once: other threads may change them
    if changed != CHANGES.latest:
        answers = {}
        stepper.answered_recorded = CHANGES.latest, answers  # before anything is asked
    return answers, (only_reference(), rows.__class__, rows.dtype, rows.shape)


def _starts(
    layers: "Recurrent", found: _About, x: Tensor, state: Any
) -> Sequence[Sequence[Tensor]] | None:
    """What each cell starts from; None where it is for the long way to raise an error."""
    if state is None:
        return [about.zeros for about in found.about]
    rows = x._data
    try:
        starts = layers.layout.unpack(state, rows.shape[1:2])
    except ShapeError:
        return None
    for start in starts:
        for s in start:
            if s._data.__class__ is not np.ndarray or s._data.dtype != rows.dtype:
                return None
    return starts


def _asked(layers: "Recurrent", rows: Array) -> _About | None:
    """What is to be known of layers for calls like this, if they do nothing else in them."""
    cells = stacked(layers)
    if cells is None or layers.recompute is not False or not _reads(cells[0], rows):
        return None
    B = rows.shape[0 if layers.batch_first else 1]
    about = [found for cell in cells if (found := _asked_of(cell, rows, B))]
    return _About(ref(layers), list(map(ref, cells)), about) if len(about) == len(cells) else None


def _reads(cell: "Cell", rows: Array) -> bool:
    """Whether these are the rows of a batch of some steps that a cell reads."""
    plain = rows.__class__ is np.ndarray and rows.ndim == 3 and rows.size > 0
    return plain and rows.shape[2] == cell.input_size


def _asked_of(cell: "Cell", rows: Array, B: int) -> _AboutCell | None:
    """What is to be known of a cell, if its sequences are nothing but its operation."""
    program = cell._trace()
    if not isinstance(program, Program) or not cell.fused or cell.draws:
        return None
    if goes_its_own_way(cell) or obstacle(program, rows):
        return None
    settings = None
    if cell.options:
        settings = cell.options.settings()
    about = _AboutCell(program, settings, cell.zero_state(B, rows.dtype))
    return about if about.weights_of(cell, rows.dtype) is not None else None
