"""The gates of the library's cells: which of them forgets, and how to make them keep a memory."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.cells import GRUCell, LSTMCell, LSTMWithoutForgetCell, MGUCell, RHNCell
from tinygrad_rnn.nn.cells_lstm import PeepholeLSTMCell
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.numeric import Array

__all__ = ["close_gates", "forget_gate_of", "has_gates", "memory_of"]

SHUT = 100.0  # exp(-100) is lost beside anything, even a thousand times

# Which state is the memory, and the gates, block by block of the bias, that keep it.
_KEEPING: dict[type[Cell], tuple[int, dict[str, tuple[int, ...]]]] = {
    LSTMCell: (1, {"b": (-1, 1, 0, 0)}),
    PeepholeLSTMCell: (1, {"b": (-1, 1, 0, 0)}),
    LSTMWithoutForgetCell: (1, {"b": (-1, 0, 0)}),
    GRUCell: (0, {"b": (0, 1, 0)}),
    MGUCell: (0, {"b": (-1, 0)}),
    RHNCell: (0, {"b_": (0, -1)}),
}


# Options of cells that change what a memory keeps of the step before, or leave nothing to shut.
_LEAKING = {"state_clip", "gate_activation"}


def memory_of(cell: Cell) -> int:
    """The number of the state that a cell's gates keep."""
    return _KEEPING.get(type(cell), (0, {}))[0]


def has_gates(cell: Cell) -> bool:
    """Whether it is known how to shut a cell's gates: it takes biases."""
    return type(cell) in _KEEPING and cell.bias and not _LEAKING & set(cell.chosen)


def close_gates(cell: Cell) -> None:
    """Shut the gates of a cell that has them, by its biases."""
    for start, signs in _KEEPING[type(cell)][1].items():
        for name in cell.params:
            if name == start or (start.endswith("_") and name.startswith(start)):
                bias = getattr(cell, name)
                shut = np.repeat(np.array(signs) * SHUT, bias.size // len(signs))
                bias.assign_(shut.astype(bias.dtype))


def forget_gate_of(cell: Cell) -> Callable[[Tensor, list[Tensor]], Array] | None:
    """The function of x and the states that is the forget gate, of weights read as they are.

    None where it is not known: of a cell with options, too.
    """
    if cell.chosen:
        return None
    if type(cell) is LSTMWithoutForgetCell:
        return lambda x, states: np.ones(states[1].shape)
    if type(cell) is not LSTMCell:
        return None

    def gate(x: Tensor, states: list[Tensor]) -> Array:
        block = slice(cell.hidden_size, 2 * cell.hidden_size)
        weights = {name: weight.detach() for name, weight in cell.weights().items()}
        z: Any = x @ weights["w_x"][:, block] + states[0] @ weights["w_h"][:, block]
        z = z.detach().numpy()
        if cell.bias:
            z = z + weights["b"].numpy()[block]
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))

    return gate
