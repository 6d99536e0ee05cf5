"""Layers called for nothing but what comes out, by what their Stepper has made ready."""

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.engine import wrap
from tinygrad_rnn.kernels._pool import num_threads
from tinygrad_rnn.kernels._twin import only_reference
from tinygrad_rnn.modes import recording
from tinygrad_rnn.nn.changes import CHANGES
from tinygrad_rnn.nn.recorded_layers import as_before
from tinygrad_rnn.nn.stepping import Outcome, Stepper, stacked, stepper_of, still_of
from tinygrad_rnn.tensor import Tensor, Version

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell
    from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["quickly"]


class _Answered(NamedTuple):
    """A sequence about which all has been asked: the next one like it is not asked about again.

    Around a short sequence, questions take a quarter of what Python takes.

    like     what the answers depend on, or when any of it was last changed
    layers   whose answers these are: copies may share a stepper
    cells    those of the layers, which may be exchanged where nobody sees it
    stock    where steps for it are
    """

    like: tuple[Any, ...]
    layers: "ref[Recurrent]"
    cells: list["ref[Cell]"]
    stock: list[Any]

    def holds(self, layers: "Recurrent", rows: Array) -> bool:
        """Whether a sequence is like this one."""
        same = self.like == _likeness(rows) and self.layers() is layers
        return same and still_of(self.cells, layers) is not None


def quickly(layers: "Recurrent", x: Any, state: Any) -> tuple[Tensor, Any] | None:
    """What layers return of nothing but x and maybe a state; None where they take the long way."""
    recorded = recording.get()  # True or False, or a debug session
    if recorded.__class__ is not bool or x.__class__ is not Tensor:
        return None
    if recorded:
        return as_before(layers, x, state)
    rows, batched = x._data, x._data.ndim == 3
    if not batched:
        if rows.ndim != 2:
            return None
        rows = rows[:, None]
    elif layers.batch_first:
        rows = rows.swapaxes(0, 1)
    stepper = stepper_of(layers)
    found = _again(layers, stepper, rows) if state is None else None
    if found is None:
        found = _asked(layers, stepper, rows, state, batched)
    if found is None:
        return None
    y, finals = found
    if not batched:
        y = y[:, 0]
    elif layers.batch_first:
        y = y.swapaxes(0, 1)
    return wrap(y), _packed(layers, finals, batched)


def _likeness(rows: Array) -> tuple[Any, ...]:
    """All that answers about a sequence depend on, besides what is changed in place."""
    changed = Version.latest, CHANGES.latest
    return *changed, num_threads(), only_reference(), rows.__class__, rows.dtype, rows.shape


def _again(layers: "Recurrent", stepper: Stepper, rows: Array) -> Outcome | None:
    """What comes out of a sequence like the last one; None where that has to be asked."""
    last: _Answered | None = stepper.answered
    if last is None or not last.holds(layers, rows):
        return None
    return stepper.again(last.stock, rows)


def _asked(
    layers: "Recurrent", stepper: Stepper, rows: Array, state: Any, batched: bool
) -> Outcome | None:
    """What comes out if layers and sequence are of the kind that is made ready, else None."""
    like = _likeness(rows)  # before anything is asked: it may be changed meanwhile
    cells = stacked(layers)
    if cells is None:
        return None
    states = None if state is None else _states_of(layers, state, batched)
    if states is None and state is not None:
        return None
    found, stock = stepper.sequence(cells, rows, states)
    if stock:
        stepper.answered = _Answered(like, ref(layers), list(map(ref, cells)), stock)
    return found


def _packed(layers: "Recurrent", finals: list[list[Array]], batched: bool) -> Any:
    """Final states as the layout packs them, put together before they become Tensors: quicker."""
    if not layers.layout.uniform:
        return layers.layout.pack([[wrap(s) for s in each] for each in finals], batched)
    named = zip(*finals, strict=True)
    arrays = [each[0][None] if len(each) == 1 else np.stack(each) for each in named]
    tensors = tuple(wrap(array if batched else array[:, 0]) for array in arrays)
    return tensors[0] if len(tensors) == 1 else tensors


def _states_of(layers: "Recurrent", state: Any, batched: bool) -> list[list[Array]] | None:
    """The states (B, width) of each cell, if they are given as a Tensor for each name."""
    given = state if state.__class__ is tuple else (state,)
    cells, layout = len(layers.layers), layers.layout
    if len(given) != len(layout.names) or not layout.uniform:
        return None
    for each in given:
        if each.__class__ is not Tensor or each._data.ndim != 2 + batched or len(each) != cells:
            return None
    arrays = [each._data if batched else each._data[:, None] for each in given]
    return [[array[k] for array in arrays] for k in range(cells)]
