"""Recurrent layers and cells of this library as subjects of the laws of sequences."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from tinygrad_rnn import ops, random
from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.recurrent import Recurrent
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.faults import Untestable
from tinygrad_rnn.testing.gates import close_gates, forget_gate_of, has_gates, memory_of
from tinygrad_rnn.testing.sequence_subject import SequenceSubject, States

__all__ = ["of_recurrent"]

_MERGED = {
    "concat": lambda parts: ops.concat(parts, axis=-1),
    "none": lambda parts: ops.concat(parts, axis=-1),
    "sum": lambda parts: parts[0] + parts[1],
    "mean": lambda parts: (parts[0] + parts[1]) * 0.5,
    "mul": lambda parts: parts[0] * parts[1],
}


def of_recurrent(given: Any) -> SequenceSubject | None:
    """The subject of a copy of a layer or cell; None for anything else."""
    if not isinstance(given, Recurrent | Cell):
        return None
    copy = deepcopy(given).astype(np.float64).eval()
    layer = copy if isinstance(copy, Recurrent) else Recurrent(copy)
    return _around(layer, type(given).__name__)


def _around(layer: Recurrent, title: str) -> SequenceSubject:
    """The subject of this layer itself."""
    if layer.output != "all":
        raise Untestable(
            title, "has no output for every step", "it was made with output='last'; use 'all'"
        )
    cells = layer.cells()
    can = {"state", "lengths", "mask", "gradients"}
    one_way, plain = layer.directions == ["forward"], layer.connect is None
    many = layer.num_layers > 1
    one_cell = one_way and not many
    forget_gate = forget_gate_of(cells[0]) if one_cell else None
    found = {
        "forward": one_way,
        "layers": many and plain,
        "directions": not one_way and (plain or not many),
        "forget_gate": forget_gate is not None,
        "saturated": one_cell and has_gates(cells[0]),
    }
    return SequenceSubject(
        title,
        _Runner(layer),
        cells[0].input_size or 0,
        tuple((1, width) for cell in cells for width in cell.state_sizes.values()),
        dict(layer.named_parameters()),
        frozenset(can | {name for name, true in found.items() if true}),
        layer,
        step=_Steps(cells) if one_way and plain else None,
        layers=lambda: [_around(_one_layer(layer, k), f"{title}, layer {k}")
                        for k in range(layer.num_layers)],
        directions=lambda: _directions(layer, title),
        merge=_MERGED[layer.merge],
        forget_gate=forget_gate,
        saturated=lambda: _saturated(layer, title),
        memory=memory_of(cells[0]),
    )  # fmt: skip


class _Runner:
    """Calls a layer with time first, and with the states of its cells one after the other."""

    def __init__(self, layer: Recurrent) -> None:
        self.layer = layer

    def __call__(
        self, x: Tensor, states: States | None = None, *, lengths: Any = None, mask: Any = None
    ) -> tuple[Tensor, States]:
        layer, (T, B) = self.layer, x.shape[:2]
        layer.reset_state()
        state = None if states is None else layer.layout.pack(self._by_cell(states), True)
        if layer.cells()[0].input_size is None:
            if lengths is None and mask is None:
                lengths = np.full(B, T)
            mask = mask.T if mask is not None and layer.batch_first else mask
            y, final = layer(None, state, steps=T, lengths=lengths, mask=mask)
        elif layer.batch_first:
            mask = None if mask is None else mask.T
            y, final = layer(x.swapaxes(0, 1), state, lengths=lengths, mask=mask)
        else:
            y, final = layer(x, state, lengths=lengths, mask=mask)
        parts = [y] if isinstance(y, Tensor) else list(y)
        if layer.batch_first:
            parts = [part.swapaxes(0, 1) for part in parts]
        finals = [s for cell in layer.layout.unpack(final, (B,)) for s in cell]
        return parts[0] if len(parts) == 1 else ops.concat(parts, axis=-1), finals

    def _by_cell(self, states: States) -> list[States]:
        count = len(self.layer.layout.names)
        return [states[i : i + count] for i in range(0, len(states), count)]


class _Steps:
    """One step of one cell after the other: each reads the output of the one below."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells

    def __call__(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        finals: States = []
        for cell in self.cells:
            count = len(cell.state_sizes)
            state = tuple(states[len(finals) : len(finals) + count])
            new = cell(state) if cell.input_size is None else cell(x, state)
            new = list(new) if isinstance(new, tuple) else [new]
            x = cell.output(*new)
            finals += new
        return x, finals


# ----- parts of a layer, with the same parameters -----


def _one_layer(layer: Recurrent, number: int) -> Recurrent:
    """One of its layers."""
    cells = layer.layers[number]
    merge = layer.merge
    return _holding(
        cells, [layer.initial[number]] if layer.initial else [],
        bidirectional=layer.bidirectional, reverse=layer.reverse, merge=merge,
    )  # fmt: skip


def _directions(layer: Recurrent, title: str) -> list[tuple[SequenceSubject, bool]]:
    """Its directions as layers that run forwards, and whether each is the backward one."""
    found = []
    for direction, cell in layer.layers[0].items():
        initial = [{"forward": layer.initial[0][direction]}] if layer.initial else []
        one = _holding({"forward": cell}, initial)
        found.append((_around(one, f"{title}, {direction}"), direction == "reverse"))
    return found


def _holding(cells: dict[str, Cell], initial: list[Any], **options: Any) -> Recurrent:
    """A layer around these very cells."""
    with random.fork():  # the second cell that it makes is thrown away
        layer = Recurrent(next(iter(cells.values())), **options)
    layer.layers = [cells]
    layer.initial = initial
    return layer.eval()


def _saturated(layer: Recurrent, title: str) -> SequenceSubject:
    """A copy with gates that keep the memory."""
    copy = deepcopy(layer)
    close_gates(copy.cells()[0])
    return _around(copy, f"{title} with saturated gates")
