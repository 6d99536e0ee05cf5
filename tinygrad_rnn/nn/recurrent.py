"""Recurrent layers: a cell run over sequences, in any number of layers and both directions."""

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import flag, written
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.nn.allowance import claim
from tinygrad_rnn.nn.call import Call
from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.cell_options import CellKeywords
from tinygrad_rnn.nn.checks import check_call, check_size, check_sizes
from tinygrad_rnn.nn.connection import Highway, Residual
from tinygrad_rnn.nn.dropping import dropped_output, noise_of
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.options import Fused, check_options
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.nn.ready_layers import quickly
from tinygrad_rnn.nn.state_layout import StateLayout
from tinygrad_rnn.nn.warning import warn
from tinygrad_rnn.tensor import Tensor

__all__ = ["Recurrent"]

Merged = Tensor | tuple[Tensor, Tensor]


class Recurrent(Module):
    """Any cell over sequences, as one fused operation a layer and direction.

        layer = nn.Recurrent(MyCell(8, 16), num_layers=2)
        y, h = layer(x, lengths=[5, 3, 0])

    x (T, B, I), or (T, I) without a batch; each state (L D, B, H)  ->  y (T, B, D H) and the
    final state: a Tensor, or a tuple of them if the cell has several states. Where layers
    have different widths, each of them is a tuple of L D tensors instead of one.

    The first layer is the given cell; others are cells of the same arguments, with the sizes
    of their own layer and weights of their own: ``layer.layers[1]["reverse"].w_x`` (I, G H) is
    a Parameter, ``layers.1.reverse.w_x`` its name in ``named_parameters()`` and the state dict,
    where I is the width of what the layer reads and G the number of blocks. A row that is
    shorter than the others is held in its last state, with outputs of 0; both directions begin
    at its own ends.

    Args:
        num_layers: L. Each layer reads the outputs of the one below.
        hidden_sizes: The width of each layer, instead of ``num_layers`` equal ones.
        bidirectional: Whether a second cell reads each sequence backwards (D = 2).
        reverse: Whether the only direction is backwards; y stays in the order of x.
        merge: How the two directions become one output: "concat", "sum", "mean", "mul", or
            "none", which gives y as a tuple of two (between layers they are concatenated).
        batch_first: Whether x, masks and y are (B, T, ...) instead.
        dropout: The share of outputs dropped between layers, not after the last.
        output_dropout: The share of the last layer's outputs that is dropped.
        connect: What a layer above the first also gets: "residual", "highway" (its input,
            added or gated), or "dense" (the layers' input and all outputs below it).
        initial_state: "zero", or "learned", one vector for each state that all rows share.
        stateful: Whether a call goes on from where the last one ended, without its graph.
        output: "all" steps, or "last": each row's output after its own last step; y (B, D H).
        recompute: Keep, for backward, only the states of every √T-th step, and run again what
            lies between; a number is that of the pieces a sequence is cut into.
        truncate: k: gradients of states stop between steps k - 1 and k, 2k - 1 and 2k, ..., as if
            the sequence were run in pieces with the state detached in between.
        fused: False runs step by step, "require" raises where a cell cannot be fused; None
            leaves it to the cell.
        of_cells: Options of the cells, each of them fused: input_dropout, recurrent_dropout,
            locked, weight_drop, zoneout, layer_norm, state_clip, activation, gate_activation,
            proj_size; see ``Cell.configure``. ``input_dropout`` is for the first layer, and
            ``locked=True`` for every dropout of the layers, too.
    """

    def __init__(
        self,
        cell: Cell,
        num_layers: int = 1,
        *,
        hidden_sizes: Sequence[int] | None = None,
        bidirectional: bool = False,
        reverse: bool = False,
        merge: Literal["concat", "sum", "mean", "mul", "none"] = "concat",
        batch_first: bool = False,
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        connect: Literal["residual", "highway", "dense"] | None = None,
        initial_state: Literal["zero", "learned"] = "zero",
        stateful: bool = False,
        output: Literal["all", "last"] = "all",
        recompute: bool | int = False,
        truncate: int | None = None,
        fused: Fused | None = None,
        **of_cells: Unpack[CellKeywords],
    ) -> None:
        super().__init__()
        self.bidirectional, self.reverse, self.stateful = bidirectional, reverse, stateful
        self.merge, self.connect, self.output = merge, connect, output
        self.dropout, self.output_dropout = dropout, output_dropout
        self.batch_first, self.recompute, self.truncate = batch_first, recompute, truncate
        given = {name: value for name, value in vars(self).items() if name[0] != "_"}
        given |= {"initial_state": initial_state, "fused": fused, **of_cells}
        check_options(type(self).__name__, given, besides=("num_layers", "hidden_sizes"))
        sizes = self._layer_sizes(cell, num_layers, hidden_sizes)
        if of_cells:
            cell.configure(**of_cells)
        self.locked = bool(cell.chosen.get("locked"))
        self.num_layers = len(sizes)
        if dropout and self.num_layers == 1:
            warn(
                f"{type(self).__name__}: dropout is {dropout}, but nothing is dropped: it stands "
                "between layers, and there is one.",
                UserWarning,
            )
        self.directions = ["reverse" if reverse else "forward"]
        self.directions += ["reverse"] if bidirectional else []
        self.layers: list[dict[str, Cell]] = []
        self.connections: dict[int, Module] = {}
        for size in sizes:
            self._add_layer(cell, size)
        cells = self.cells()
        self.layout = StateLayout(type(self).__name__, [c.state_sizes for c in cells])
        self.initial: list[dict[str, dict[str, Parameter]]] = []
        if initial_state == "learned":
            self.initial = [{d: _vectors(c) for d, c in layer.items()} for layer in self.layers]
        self.reset_state()
        if fused is not None:
            self.fused = fused
            _ = self.plan

    def _layer_sizes(
        self, cell: Any, num_layers: int, hidden_sizes: Sequence[int] | None
    ) -> list[int]:
        """The width of each layer."""
        where = type(self).__name__
        if isinstance(cell, type) and issubclass(cell, Cell):
            name = cell.__name__
            raise TypeError(
                f"{where}: cell is the class {name}, expected a Cell that is made, such as "
                f"{name}(8, 16)."
            )
        if not isinstance(cell, Cell):
            raise TypeError(f"{where}: cell is a {type(cell).__name__}, expected a Cell.")
        count = check_size(where, "num_layers", num_layers)
        claim(count)  # before there is even a list of them
        if hidden_sizes is None:
            sizes = [cell.hidden_size] * count
        else:
            sizes = check_sizes(where, "hidden_sizes", hidden_sizes)
        if sizes[0] != cell.hidden_size:
            raise ShapeError(
                f"{where}: hidden_sizes is {hidden_sizes}, expected {cell.hidden_size} as the "
                "first, the width of the given cell."
            )
        if count not in (1, len(sizes)):
            raise ShapeError(
                f"{where}: num_layers is {count}, but {sizes} are the widths of {len(sizes)} "
                "layers; expected one of the two, or as many of both."
            )
        if cell.input is None and len(sizes) > 1:
            raise ShapeError(
                f"{where}: {len(sizes)} layers of a {type(cell).__name__}, expected one: it "
                "reads no input, so nothing leads from a layer to the next."
            )
        return sizes

    def _add_layer(self, cell: Cell, size: int) -> None:
        """The cells of the next layer, and what leads around it."""
        number = len(self.layers)
        layer: dict[str, Cell] = {}
        for direction in self.directions:
            if number == 0 and not layer:
                layer[direction] = cell
            elif cell.input is None or number == 0:
                layer[direction] = cell.clone()
            else:
                layer[direction] = cell.clone(input_size=self._width(number), hidden_size=size)
            if number and cell.chosen.get("input_dropout"):
                layer[direction].configure(input_dropout=0.0)  # there is dropout between layers
        self.layers.append(layer)
        if number and self.connect in ("residual", "highway"):
            below, here = self._width(number), self._output_width(number)
            if below != here:
                raise ShapeError(
                    f"{type(self).__name__}: layer {number} is {here} wide and its input {below}, "
                    f"expected equal widths for connect={self.connect!r}."
                )
            around = Residual() if self.connect == "residual" else Highway(here)
            self.connections[number] = around

    @property
    def input_size(self) -> int | None:
        """How wide x is; None where nothing is read."""
        return self.cells()[0].input_size

    @property
    def hidden_size(self) -> int:
        """How wide the first layer's states are, unless its cell says otherwise."""
        return self.cells()[0].hidden_size

    @property
    def output_size(self) -> int:
        """How wide y is; of two that are not merged, both together."""
        return self._output_width(self.num_layers - 1)

    def _output_width(self, number: int) -> int:
        """How wide a layer's merged output is."""
        widths = [cell.output_size for cell in self.layers[number].values()]
        return sum(widths) if self.merge in ("concat", "none") else widths[0]

    def _width(self, number: int) -> int:
        """How wide the input of a layer above the first is."""
        if self.connect != "dense":
            return self._output_width(number - 1)
        below = [self._output_width(k) for k in range(number)]
        return sum(below, self.layers[0][self.directions[0]].input_size or 0)

    @property
    def fused(self) -> Fused:
        """Whether the cells are to run as kernels; setting it sets it for all of them."""
        return self.cells()[0].fused

    @fused.setter
    def fused(self, value: Fused) -> None:
        for cell in self.cells():
            cell.fused = value

    def cells(self) -> list[Cell]:
        """All cells, layer by layer, direction by direction."""
        return [cell for layer in self.layers for cell in layer.values()]

    @property
    def plan(self) -> str:
        """Whether all cells run as kernels: "fused", or else "composite"."""
        plans = [cell.plan for cell in self.cells()]
        return "composite" if "composite" in plans else "fused"

    def kernel_source(self) -> str:
        """The text of the kernels that are written for the cells; equal ones come once."""
        return "\n\n".join(dict.fromkeys(cell.kernel_source() for cell in self.cells()))

    def reset_state(self) -> None:
        """Let the next call of a stateful layer start from the initial state."""
        self.carried: list[list[Tensor]] | None = None
        self.carries_batch = True

    def passing_state(self) -> list[list[Tensor]] | None:
        """Where the next call of a stateful layer starts."""
        return self.carried

    def load_passing_state(self, state: list[list[Tensor]] | None) -> None:
        """Let the next call of a stateful layer start there."""
        self.reset_state()
        self.carried = state

    # ----- running -----

    def forward(
        self,
        x: Any = None,
        state: Any = None,
        *more: Any,
        steps: int | None = None,
        lengths: Any = None,
        mask: Any = None,
        resets: Any = None,
        row_ids: Any = None,
        noise: Noise | None = None,
        return_trace: bool = False,
        **unknown: Any,
    ) -> tuple[Any, ...]:
        """Run over x (T, B, I): the outputs y (T, B, D H) and the final state.

        x may also be a list of sequences (T_i, I), of different lengths: then y is a list of
        (T_i, D H), whatever ``batch_first`` says.

        Args:
            state: What to start from, as it is returned; None for the initial state.
            steps: T, for a cell without input.
            lengths: How many steps each row has, in any order; the rest is padding.
            mask: (T, B) booleans, true where a row steps; for gaps and padding on any side.
            resets: (T, B) booleans, true where a row starts anew before the step, from the
                layer's own initial state, zero or learned, whatever ``state`` is given; with a
                list of sequences a list of (T_i,).
            row_ids: Names of the rows, by which dropout knows them; their places, if not given.
            noise: What dropout is made of, for two calls that are to drop the same; see
                ``random.noise``. Drawn anew if it is not given.
            return_trace: Also return every state and gate of every step: a ``Trace``.
        """
        if more or unknown:
            known = (
                "x", "state", "steps", "lengths", "mask", "resets", "row_ids", "noise",
                "return_trace",
            )  # fmt: skip
            check_call(type(self).__name__, self.layout.names, known, more, unknown)
        plain = steps is lengths is mask is resets is row_ids is None
        if noise is not None:  # what draws from it takes the long way in any case
            plain = plain and noise.__class__ is Noise and noise.rows is None
        if plain and return_trace is False:
            found = quickly(self, x, state)
            if found is not None:
                return found
        call = Call(self, x, state, steps, lengths, mask, resets)
        call.noise = noise_of(self, call.rows, noise, row_ids)
        call.records = [] if flag(call.where, "return_trace", return_trace) else None
        y, finals = self._run(call)
        if self.stateful:
            self.carried = [[s.detach().clone() for s in states] for states in finals]
            self.carries_batch = call.B is not None
        return call.returned(y, finals)

    def _run(self, call: Call) -> tuple[Merged, list[list[Tensor]]]:
        """All layers."""
        x, pattern = call.x, call.pattern
        finals: list[list[Tensor]] = []
        y: Merged
        for number, layer in enumerate(self.layers):
            top = number == self.num_layers - 1
            last = top and self.output == "last"
            outputs = []
            for place, (direction, cell) in enumerate(layer.items()):
                steps = call.T if x is None else None
                back = direction == "reverse"
                given, restart = call.states(len(finals))
                noise = call.noise and call.noise.fold(number, place)
                out, final = cell.sequence(
                    x, given, steps=steps, mask=pattern.flags(back), reverse=back, noise=noise,
                    restart=restart, recompute=self.recompute, record=call.record(cell),
                )  # fmt: skip
                finals.append(final)
                outputs.append(cell.given_out(final) if last else out)
            y = self._merged(outputs, top)
            if number in self.connections:
                assert x is not None
                around = pattern.last_steps(x, self.reverse) if last else x
                y = self.connections[number](around, y)
            if call.noise is not None:
                rate = self.output_dropout if top else self.dropout
                y = dropped_output(y, rate, call.noise.fold(number, 2), self.locked)
            if not top:
                assert isinstance(y, Tensor)
                x = y if self.connect != "dense" or x is None else ops.concat([x, y], axis=-1)
        return y, finals

    def _merged(self, outputs: list[Tensor], top: bool) -> Merged:
        """The outputs of both directions as one."""
        if len(outputs) == 1:
            return outputs[0]
        a, b = outputs
        if self.merge == "none" and top:
            return a, b
        if self.merge in ("concat", "none"):
            return ops.concat([a, b], axis=-1)
        if self.merge == "mul":
            return a * b
        return a + b if self.merge == "sum" else (a + b) * 0.5

    def extra_repr(self) -> str:
        """The options that are not the default."""
        kept = {
            "num_layers": (self.num_layers, 1), "bidirectional": (self.bidirectional, False),
            "reverse": (self.reverse, False), "merge": (self.merge, "concat"),
            "batch_first": (self.batch_first, False), "dropout": (self.dropout, 0.0),
            "output_dropout": (self.output_dropout, 0.0),
            "connect": (self.connect, None), "stateful": (self.stateful, False),
            "output": (self.output, "all"), "recompute": (self.recompute, False),
            "truncate": (self.truncate, None),
        }  # fmt: skip
        return ", ".join(f"{name}={written(v)}" for name, (v, usual) in kept.items() if v != usual)


def _vectors(cell: Cell) -> dict[str, Parameter]:
    """An initial state to be learned, of zeros at first."""
    return {name: Parameter(np.zeros(n, np.float32)) for name, n in cell.state_sizes.items()}
