"""What ``return_trace=True`` gives: the rows of every step, by the names of the equations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.engine import wrap
from tinygrad_rnn.ops.record import Record
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["Trace", "Traces", "traces"]


class Trace(Mapping[str, Tensor]):
    """Every step of one cell, as a layer ran it: ``trace["f"]`` (T, B, H).

    Names are those of the cell's states and of the variables of its ``step``; of a variable that
    is bound more than once, it is what it held last. A state is that after the step. All axes
    are as in the layer's x: (B, T, H) with ``batch_first``, (T, H) without a batch; of a list of
    sequences (T, B, H). Where a row is held, a state is what is carried, and everything else,
    gradients included, is 0.

    Values are constants that cannot be written, as a rule views of what backward needs; its
    memory is kept for as long as the trace or one of them lives.

    ``gradient`` and the methods below it tell of the last ``backward()`` or ``grad()`` that has
    passed through the layer since the call.
    """

    def __init__(
        self, record: Record, direction: str, *, batch_first: bool = False, batched: bool = True
    ) -> None:
        self._record, self._direction = record, direction
        self._batch_first, self._batched = batch_first, batched

    @property
    def layers(self) -> list[dict[str, "Trace"]]:
        """This trace by layer and direction, as those of several layers are found."""
        return [{self._direction: self}]

    @property
    def names(self) -> tuple[str, ...]:
        """The states first, and then the other rows that the equations name."""
        return tuple(self._record.names)

    # ----- values -----

    def __getitem__(self, name: str) -> Tensor:
        return self._arranged(self._record.rows(self._known(name)))

    def __contains__(self, name: object) -> bool:
        return name in self.names  # without computing its values

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    __eq__ = object.__eq__  # a trace is no value: comparing all numbers is not meant
    __hash__ = object.__hash__

    def pre_activation(self, name: str) -> Tensor:
        """What went into the activation that gave a row, computed again."""
        return self._arranged(self._record.before_activation(self._known(name)))

    def retention(self, state: str) -> Tensor | None:
        """How much of a state each step keeps: its derivative by itself a step before.

        That is the direct way alone, past all products with weights: the forget gate of an LSTM's
        c, the update gate of a GRU's h, 0 of a vanilla RNN's, 1 where a row is held. None for a
        cell that has no program. Reset steps count from the state they were put back to.
        """
        if self._known(state) not in self._record.state_names:
            raise KeyError(
                f"trace: {state!r} is not carried, expected one of "
                f"{', '.join(self._record.state_names)}."
            )
        rows = self._record.retention(state)
        return None if rows is None else self._arranged(rows)

    # ----- gradients -----

    def gradient(self, name: str) -> Tensor:
        """The gradient of a row at every step, as whole as that of a Tensor would be.

        It comes through the layer's output, the rest of the step, and all steps that follow.
        """
        return self._arranged(self._record.gradient(self._known(name)))

    def gradient_norms(self, name: str, *, by_row: bool = False) -> Tensor:
        """The norm of that gradient at every step (T,), or at every step for each row (T, B)."""
        g = self._record.gradient(self._known(name))
        return self._arranged(_norms(g, 2)[..., None])[..., 0] if by_row else _fixed(_norms(g, 1))

    def parts(self, weight: str) -> Tensor:
        """What each step adds to the gradient of a weight, (T, *weight): their sum is the whole."""
        record, shape = self._record, self._shape(weight)
        found = record.xp.empty((record.T, *shape), record.dtype)
        for t in range(record.T):
            found[t] = record.part(weight, t)
        return _fixed(found)

    def part_norms(self, weight: str) -> Tensor:
        """The norm of each of those parts (T,), of which one at a time is held."""
        record = self._record
        self._shape(weight)
        norms = [_norms(record.part(weight, t)[None], 1) for t in range(record.T)]
        return _fixed(record.xp.concatenate(norms) if norms else record.xp.empty(0, record.dtype))

    def go_back(self, loss: Tensor) -> None:
        """Let the gradients be those of a loss: walk back from it, keep the graph and any ``grad``.

        For looking only: training calls ``backward`` anyway.
        """
        self._record.go_back(loss)

    # ----- how it is given -----

    def _known(self, name: str) -> str:
        if name not in self._record.names:
            raise KeyError(f"trace: no row is called {name!r}, expected one of {self._listed()}.")
        return name

    def _shape(self, weight: str) -> tuple[int, ...]:
        weights = self._record.weights
        if weight not in weights:
            raise KeyError(f"trace: no weight is called {weight!r}, expected {', '.join(weights)}.")
        return weights[weight].shape

    def _listed(self) -> str:
        return ", ".join(self.names)

    def _arranged(self, rows: Array) -> Tensor:
        """Rows (T, B, width) in the axes of the layer's x."""
        if not self._batched:
            return _fixed(rows[:, 0])
        return _fixed(rows.swapaxes(0, 1) if self._batch_first else rows)

    def __repr__(self) -> str:
        return f"<trace of {self._record.T} steps: {self._listed()}>"


def traces(layer: "Recurrent", records: Sequence[Record], **axes: bool) -> "Trace | Traces":
    """The trace of a call: of the layer's only cell, or of all by layer and direction."""
    following = iter(records)
    layers = [
        {direction: Trace(next(following), direction, **axes) for direction in cells}
        for cells in layer.layers
    ]
    found = [trace for cells in layers for trace in cells.values()]
    return found[0] if len(found) == 1 else Traces(layers)


class Traces:
    """The traces of several cells: ``traces.layers[1]["reverse"]["f"]``."""

    def __init__(self, layers: list[dict[str, Trace]]) -> None:
        self.layers = layers

    def _refuse(self, *given: Any, **more: Any) -> NoReturn:
        first = next(iter(self.layers[0]))
        raise TypeError(
            f"trace: there are {len(self.layers)} layers and {len(self.layers[0])} directions, "
            f"expected one of them to be asked, such as trace.layers[0][{first!r}]."
        )

    __getitem__ = __iter__ = __len__ = _refuse
    pre_activation = gradient = gradient_norms = parts = part_norms = _refuse
    names = property(_refuse)

    def __repr__(self) -> str:
        return f"<traces of {len(self.layers)} layers: {', '.join(self.layers[0])}>"


def _fixed(array: Array) -> Tensor:
    """The array as a constant that cannot be written: backward may need it."""
    view = array.view()
    if isinstance(view, np.ndarray):
        view.flags.writeable = False
    return wrap(view)


def _norms(array: Array, axes: int) -> Array:
    """The norms of what lies behind the first axes; squares of small numbers vanish in float32."""
    behind = tuple(range(axes, array.ndim))
    squares = array_module(array).square(array, dtype=np.float64).sum(axis=behind)
    return array_module(array).sqrt(squares).astype(array.dtype)
