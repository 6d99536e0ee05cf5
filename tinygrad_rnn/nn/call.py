"""A call of a recurrent layer: what it is given, in the form that its cells run on, and back."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.nn.checks import batch_hint, check_dtype, check_size
from tinygrad_rnn.nn.masks import step_codes, valid_steps
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["Call", "Output"]

Output = Tensor | tuple[Tensor, Tensor]


class Call:
    """What a layer is called with, time first and with a batch; ``returned`` undoes both.

    x      (T, B, I), or None for a cell without input
    T      the number of steps
    B      the number of rows; None without a batch, which runs as one row
    codes  (T, B), what each row does at each step, or None where all of them step
    start  the states of each cell before the first step
    noise  what it is that dropout draws from, or None
    """

    def __init__(
        self, layer: "Recurrent", x: Any, state: Any, steps: int | None, lengths: Any, mask: Any
    ) -> None:
        self.layer, self.where = layer, type(layer).__name__
        x = None if x is None else as_tensor(x)
        self.T, self.B = T, B = self._extent(x, state, steps, lengths, mask)
        self.rows = 1 if B is None else B
        if x is not None:
            weight = layer.layers[0][layer.directions[0]].any_weight()
            check_dtype(self.where, "x", x, weight)
            if B is None:
                x = x.reshape(T, 1, x.shape[-1])
            elif layer.batch_first:
                x = x.swapaxes(0, 1)
        self.x = x
        self.noise: Noise | None = None
        if mask is not None:
            mask = np.asarray(as_array(mask))
            mask = mask.reshape(-1, 1) if B is None else mask.T if layer.batch_first else mask
        try:
            self.codes = step_codes(valid_steps(self.where, T, self.rows, lengths, mask))
            self.start = self._start(state)
        except ShapeError as error:
            if hint := batch_hint(layer.batch_first, T, B, state, lengths):
                raise ShapeError(f"{error}{hint}") from None
            raise

    def _extent(
        self, x: Tensor | None, state: Any, steps: int | None, lengths: Any, mask: Any
    ) -> tuple[int, int | None]:
        """T and B; B is None without a batch."""
        size, batch_first = self.layer.cells()[0].input_size, self.layer.batch_first
        if size is None:
            if x is not None or steps is None:
                fault = "steps is missing" if x is None else "x is for cells with an input"
                raise ShapeError(
                    f"{self.where}: {fault}; its cell has none, expected steps=T and no x."
                )
            steps = check_size(self.where, "steps", steps, least=0)
            return steps, self._rows_without_input(state, lengths, mask)
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

    def _rows_without_input(self, state: Any, lengths: Any, mask: Any) -> int | None:
        """B by whatever else of a call has rows, or by the call before; None without a batch."""
        if state is not None:
            return self.layer.layout.rows_of(state)
        if lengths is not None:
            return int(as_array(lengths).size)
        if mask is not None and np.ndim(as_array(mask)) == 2:
            return int(as_array(mask).shape[0 if self.layer.batch_first else 1])
        carried = self.layer.carried
        return carried[0][0].shape[0] if carried else None

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
        if not layer.initial:
            dtype = None if self.x is None else self.x.dtype
            return [cell.zero_state(rows, dtype) for cell in layer.cells()]
        return [
            [vector.expand(rows, -1) for vector in vectors.values()]
            for of_layer in layer.initial
            for vectors in of_layer.values()
        ]

    def _given(self, state: Any) -> list[list[Tensor]]:
        """The state that a call is given, for each cell."""
        states = self.layer.layout.unpack(state, () if self.B is None else (self.B,))
        for cell, rows in zip(self.layer.cells(), states, strict=True):
            for name, row in zip(cell.state_sizes, rows, strict=True):
                check_dtype(self.where, name, row, cell.any_weight())
        return states

    def _follow_weights(self, states: list[list[Tensor]]) -> list[list[Tensor]]:
        """Carried states, of the weights' type and device: ``astype`` and ``to`` change those."""
        weight, first = self.layer.cells()[0].any_weight(), states[0][0]
        if weight is None or (first.dtype == weight.dtype and first.device == weight.device):
            return states
        return [[s.to(weight.device).astype(weight.dtype) for s in each] for each in states]

    def returned(self, y: Output, finals: list[list[Tensor]]) -> tuple[Output, Any]:
        """The outputs in the axes that x came in, and the final states as they are given."""
        if isinstance(y, tuple):
            arranged: Output = (self._arranged(y[0]), self._arranged(y[1]))
        else:
            arranged = self._arranged(y)
        return arranged, self.layer.layout.pack(finals, self.B is not None)

    def _arranged(self, y: Tensor) -> Tensor:
        if self.layer.output == "last":
            return y.reshape(-1) if self.B is None else y
        if self.B is None:
            return y.reshape(y.shape[0], y.shape[2])
        return y.swapaxes(0, 1) if self.layer.batch_first else y
