"""A call of a recurrent layer: what it is given, in the form that its cells run on, and back."""

from typing import TYPE_CHECKING, Any

from tinygrad_rnn.device import to_host
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.nn.checks import batch_hint, check_like, check_size
from tinygrad_rnn.nn.masks import pattern_of
from tinygrad_rnn.nn.own_record import record_of
from tinygrad_rnn.nn.ragged import is_ragged, lengths_of, padded, padded_booleans, unpadded
from tinygrad_rnn.nn.trace import traces
from tinygrad_rnn.ops.record import Record
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell
    from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["Call", "Output"]

Part = Tensor | list[Tensor]
Output = Part | tuple[Part, Part]


class Call:
    """What a layer is called with, time first and with a batch; ``returned`` undoes both.

    x        (T, B, I), or None for a cell without input
    T        the number of steps
    B        the number of rows; None without a batch, which runs as one row
    lengths  of the sequences, if x is a list of them
    pattern  what rows do at each step
    start    the states of each cell before the first step
    restart  the states that resets put those of each cell back to; None: the same
    noise    what it is that dropout draws from, or None
    records  what sees each cell run, if a trace is to be returned
    """

    def __init__(
        self, layer: "Recurrent", x: Any, state: Any, steps: int | None,
        lengths: Any, mask: Any, resets: Any,
    ) -> None:  # fmt: skip
        self.layer, self.where = layer, type(layer).__name__
        self.lengths: list[int] | None = None
        self.time_first = not layer.batch_first
        if is_ragged(x):
            x, resets = self._side_by_side(x, lengths, mask, resets)
            lengths = self.lengths
        x = None if x is None else as_tensor(x)
        self.T, self.B = T, B = self._extent(x, state, steps, [lengths, mask, resets])
        self.rows = 1 if B is None else B
        if x is not None:
            check_like(self.where, "x", x, self._weight())
            if B is None:
                x = x.reshape(T, 1, x.shape[-1])
            elif not self.time_first:
                x = x.swapaxes(0, 1)
        self.x = x
        self.noise: Noise | None = None
        self.records: list[Record] | None = None
        try:
            self.pattern = pattern_of(
                self.where, T, self.rows, lengths=lengths, mask=self._in_time(mask),
                resets=self._in_time(resets), truncate=layer.truncate,
            )  # fmt: skip
            self.start = self._start(state)
        except ShapeError as error:
            if hint := batch_hint(not self.time_first, T, B, state, lengths):
                raise ShapeError(f"{error}{hint}") from None
            raise
        own = resets is not None and (state is not None or layer.carried is not None)
        self.restart = self._initial(self.start[0][0].dtype) if own else None

    def _weight(self) -> Tensor | None:
        return self.layer.layers[0][self.layer.directions[0]].any_weight()

    def _side_by_side(self, x: Any, lengths: Any, mask: Any, resets: Any) -> tuple[Any, Any]:
        """A list of sequences as a padded batch, time first; and its resets."""
        for name, given in (("lengths", lengths), ("mask", mask)):
            if given is not None:
                raise TypeError(
                    f"{self.where}: given {name} and a list of sequences, which have lengths of "
                    "their own; expected one of them."
                )
        size = self.layer.cells()[0].input_size
        self.lengths = lengths_of(self.where, x, size)
        self.time_first = True
        if resets is not None:
            resets = padded_booleans(self.where, "resets", resets, self.lengths)
        return padded(x, self.lengths, self._weight(), size or 0), resets

    def _in_time(self, given: Any) -> Any:
        """A mask or resets with time first and with a batch."""
        if given is None:
            return None
        array = to_host(as_array(given))
        return array.reshape(-1, 1) if self.B is None else array if self.time_first else array.T

    def _extent(
        self, x: Tensor | None, state: Any, steps: int | None, of_rows: list[Any]
    ) -> tuple[int, int | None]:
        """T and B; B is None without a batch."""
        size, batch_first = self.layer.cells()[0].input_size, not self.time_first
        if size is None:
            if x is not None or steps is None:
                fault = "steps is missing" if x is None else "x is for cells with an input"
                raise ShapeError(
                    f"{self.where}: {fault}; its cell has none, expected steps=T and no x."
                )
            steps = check_size(self.where, "steps", steps, least=0)
            return steps, self._rows_without_input(state, *of_rows)
        axes = "(B, T, I)" if batch_first else "(T, B, I)"
        if x is None or x.ndim not in (2, 3) or x.shape[-1] != size:
            raise ShapeError(
                f"{self.where}: x is {'missing' if x is None else f'{x.shape}'}, expected {axes}, "
                f"or (T, I) without a batch, with I = {size}."
            )
        if steps is not None:
            raise ShapeError(
                f"{self.where}: steps is for cells without input; x has steps of its own."
            )
        if x.ndim == 2:
            return x.shape[0], None
        B, T = x.shape[:2] if batch_first else (x.shape[1], x.shape[0])
        return T, B

    def _rows_without_input(self, state: Any, lengths: Any, mask: Any, resets: Any) -> int | None:
        """B by whatever else of a call has rows, or by the call before; None without a batch."""
        if state is not None:
            return self.layer.layout.rows_of(state)
        if lengths is not None:
            return int(as_array(lengths).size)
        for given in (mask, resets):
            if given is not None and as_array(given).ndim == 2:
                return int(as_array(given).shape[1 if self.time_first else 0])
        carried = self.layer.carried
        return carried[0][0].shape[0] if carried and self.layer.carries_batch else None

    def _start(self, state: Any) -> list[list[Tensor]]:
        """What each cell starts from."""
        layer, rows = self.layer, self.rows
        if state is not None:
            return self._given(state)
        if layer.carried is not None:
            before = layer.carried[0][0].shape[0]
            if before != rows:
                raise ShapeError(
                    f"{self.where}: x has {rows} rows, the state that is carried from the last "
                    f"call {before}; expected as many, or reset_state() before."
                )
            return self._follow_weights(layer.carried)
        return self._initial(None if self.x is None else self.x.dtype)

    def _initial(self, dtype: Any) -> list[list[Tensor]]:
        """The layer's own initial state, zero (of a type) or learned, for each cell."""
        if not self.layer.initial:
            return [cell.zero_state(self.rows, dtype) for cell in self.layer.cells()]
        return [
            [vector.expand(self.rows, -1) for vector in vectors.values()]
            for of_layer in self.layer.initial
            for vectors in of_layer.values()
        ]

    def states(self, cell: int) -> tuple[list[Tensor], list[Tensor] | None]:
        """What a cell starts from, and what resets put it back to; None for the same."""
        return self.start[cell], None if self.restart is None else self.restart[cell]

    def _given(self, state: Any) -> list[list[Tensor]]:
        """The state that a call is given, for each cell."""
        states = self.layer.layout.unpack(state, () if self.B is None else (self.B,))
        for cell, rows in zip(self.layer.cells(), states, strict=True):
            for name, row in zip(cell.state_sizes, rows, strict=True):
                check_like(self.where, name, row, cell.any_weight())
        return states

    def _follow_weights(self, states: list[list[Tensor]]) -> list[list[Tensor]]:
        """Carried states, of the weights' type and device: ``astype`` and ``to`` change those."""
        weight, first = self.layer.cells()[0].any_weight(), states[0][0]
        if weight is None or (first.dtype == weight.dtype and first.device == weight.device):
            return states
        return [[s.to(weight.device).astype(weight.dtype) for s in each] for each in states]

    def record(self, cell: "Cell") -> Record | None:
        """What is to see the next cell run, if a trace is to be returned."""
        if self.records is None:
            return None
        self.records.append(record_of(cell))
        return self.records[-1]

    def returned(
        self, y: Tensor | tuple[Tensor, Tensor], finals: list[list[Tensor]]
    ) -> tuple[Any, ...]:
        """The outputs in the axes that x came in, the final states as they are given, the trace."""
        if isinstance(y, tuple):
            arranged: Output = (self._arranged(y[0]), self._arranged(y[1]))
        else:
            arranged = self._arranged(y)
        state = self.layer.layout.pack(finals, self.B is not None)
        if self.records is None:
            return arranged, state
        axes = {"batch_first": not self.time_first, "batched": self.B is not None}
        return arranged, state, traces(self.layer, self.records, **axes)

    def _arranged(self, y: Tensor) -> Part:
        if self.layer.output == "last":
            return y.reshape(-1) if self.B is None else y
        if self.lengths is not None:
            return unpadded(y, self.lengths)
        if self.B is None:
            return y.reshape(y.shape[0], y.shape[2])
        return y if self.time_first else y.swapaxes(0, 1)
