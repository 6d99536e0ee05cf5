"""Recurrent layers and cells of this library as subjects of the laws of sequences."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_rnn import ops, random
from tinygrad_rnn.kernels.noise import Noise
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


def of_recurrent(given: Any, training: bool) -> SequenceSubject | None:
    """The subject of a copy of a layer or cell; None for anything else."""
    if not isinstance(given, Recurrent | Cell):
        return None
    copy = deepcopy(given).astype(np.float64).train(training)
    layer = copy if isinstance(copy, Recurrent) else Recurrent(copy)
    return _around(layer, type(given).__name__, _Place())


@dataclass(frozen=True)
class _Place:
    """Which part of a whole a layer is: what its noise is folded with is counted from there."""

    layer: int = 0
    direction: int = 0

    def part(self, layer: int, direction: int = 0) -> "_Place":
        return _Place(self.layer + layer, self.direction + direction)

    def noise(self, whole: Noise | None) -> Noise | None:
        """The noise of the whole, as the part is to be given it."""
        if whole is None:
            return None
        return _OfPart(whole.key, whole.first_step, whole.rows, self)


@dataclass(frozen=True, eq=False)
class _OfPart(Noise):
    """Noise that a part of a layer finds for itself under the numbers that it has in the whole."""

    place: _Place = field(default_factory=_Place)

    def fold(self, a: int, b: int = 0) -> Noise:
        return super().fold(self.place.layer + a, self.place.direction + b)


def _around(layer: Recurrent, title: str, place: _Place) -> SequenceSubject:
    """The subject of this layer itself, or as a part of one."""
    if layer.output != "all":
        raise Untestable(
            title, "has no output for every step", "it was made with output='last'; use 'all'"
        )
    cells = layer.cells()
    can = {"state", "lengths", "mask", "gradients"}
    one_way, plain = layer.directions == ["forward"], layer.connect is None
    many = layer.num_layers > 1
    one_cell = one_way and not many
    drops = layer.training and (layer.output_dropout > 0 or (many and layer.dropout > 0))
    forget_gate = forget_gate_of(cells[0]) if one_cell else None
    found = {
        "forward": one_way,
        "noise": drops or any(cell.draws for cell in cells),
        "layers": many and plain,
        "directions": not one_way and (plain or not many) and not drops,
        "forget_gate": forget_gate is not None,
        "saturated": one_cell and has_gates(cells[0]),
    }
    return SequenceSubject(
        title,
        _Runner(layer, place),
        cells[0].input_size or 0,
        tuple((1, width) for cell in cells for width in cell.state_sizes.values()),
        dict(layer.named_parameters()),
        frozenset(can | {name for name, true in found.items() if true}),
        layer,
        step=_Steps(cells, place) if one_way and plain and not drops else None,
        layers=lambda: [_around(_one_layer(layer, k), f"{title}, layer {k}", place.part(k))
                        for k in range(layer.num_layers)],
        directions=lambda: _directions(layer, title, place),
        merge=_MERGED[layer.merge],
        forget_gate=forget_gate,
        saturated=lambda: _saturated(layer, title, place),
        memory=memory_of(cells[0]),
    )  # fmt: skip


class _Runner:
    """Calls a layer with time first, and with the states of its cells one after the other."""

    def __init__(self, layer: Recurrent, place: _Place) -> None:
        self.layer, self.place = layer, place

    def __call__(
        self,
        x: Tensor,
        states: States | None = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        noise: Noise | None = None,
    ) -> tuple[Tensor, States]:
        layer, (T, B) = self.layer, x.shape[:2]
        noise = self.place.noise(noise)
        mask = mask.T if mask is not None and layer.batch_first else mask
        layer.reset_state()
        state = None if states is None else layer.layout.pack(self._by_cell(states), True)
        if layer.cells()[0].input_size is None:
            if lengths is None and mask is None:
                lengths = np.full(B, T)
            y, final = layer(None, state, steps=T, lengths=lengths, mask=mask, noise=noise)
        else:
            x = x.swapaxes(0, 1) if layer.batch_first else x
            y, final = layer(x, state, lengths=lengths, mask=mask, noise=noise)
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

    def __init__(self, cells: Sequence[Cell], place: _Place) -> None:
        self.cells, self.place = cells, place

    def __call__(
        self, x: Tensor, states: States, *, noise: Noise | None = None
    ) -> tuple[Tensor, States]:
        finals: States = []
        for number, cell in enumerate(self.cells):
            of_part = self.place.part(number).noise(noise)
            own = of_part and of_part.fold(0)
            count = len(cell.state_sizes)
            state = tuple(states[len(finals) : len(finals) + count])
            given = (state,) if cell.input_size is None else (x, state)
            new = cell(*given, noise=own)
            new = list(new) if isinstance(new, tuple) else [new]
            x = cell.given_out(new)
            finals += new
        return x, finals


# ----- parts of a layer, with the same parameters -----


def _one_layer(layer: Recurrent, number: int) -> Recurrent:
    """One of its layers."""
    cells = layer.layers[number]
    top = number == layer.num_layers - 1
    merge = "concat" if layer.merge == "none" and not top else layer.merge
    return _holding(
        cells, [layer.initial[number]] if layer.initial else [],
        bidirectional=layer.bidirectional, reverse=layer.reverse, merge=merge,
        output_dropout=layer.output_dropout if top else layer.dropout,
    )  # fmt: skip


def _directions(layer: Recurrent, title: str, place: _Place) -> list[tuple[SequenceSubject, bool]]:
    """Its directions as layers that run forwards, and whether each is the backward one."""
    found = []
    for number, (direction, cell) in enumerate(layer.layers[0].items()):
        initial = [{"forward": layer.initial[0][direction]}] if layer.initial else []
        one = _holding({"forward": cell}, initial)
        part = _around(one, f"{title}, {direction}", place.part(0, number))
        found.append((part, direction == "reverse"))
    return found


def _holding(cells: dict[str, Cell], initial: list[Any], **options: Any) -> Recurrent:
    """A layer around these very cells."""
    first = next(iter(cells.values()))
    with random.fork():  # the second cell that it makes is thrown away
        layer = Recurrent(first, **options)
    layer.layers = [cells]
    layer.initial = initial
    return layer.train(first.training)


def _saturated(layer: Recurrent, title: str, place: _Place) -> SequenceSubject:
    """A copy with gates that keep the memory."""
    copy = deepcopy(layer)
    close_gates(copy.cells()[0])
    return _around(copy, f"{title} with saturated gates", place)
