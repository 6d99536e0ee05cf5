"""Recurrent weights in another order of gates, and what has to hold for them to fit elsewhere.

Libraries agree on the equations and differ in how weights lie: which gate stands first, whether
rows or columns are gates, how many biases there are. Between them weights take one form,
``Gates``, with everything side by side and both biases there.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.interop.entries import Obstacle
from tinygrad_rnn.interop.fitting import Arrays
from tinygrad_rnn.nn import Cell, GRUCell, LSTMCell, PeepholeLSTMCell, Recurrent, RNNCell

__all__ = ["OURS", "Gates", "check_cell", "check_layer", "gates_of", "weights_of"]

# Our gates, a letter each.
OURS: dict[type[Cell], str] = {
    LSTMCell: "ifgo",
    PeepholeLSTMCell: "ifgo",
    GRUCell: "rzn",
    RNNCell: "n",
}

# Options of cells that change nothing outside of training: no weights, no values.
_OF_TRAINING = {"input_dropout", "recurrent_dropout", "weight_drop", "locked"}


class Gates(NamedTuple):
    """The weights of a cell, gates side by side in some order.

    x    (I, G H)  what x is multiplied with
    h    (H, G H)  what the state is multiplied with
    b_x  (G H)     what is added to the product of x; None without biases
    b_h  (G H)     what is added to that of h
    """

    x: np.ndarray[Any, Any]
    h: np.ndarray[Any, Any]
    b_x: np.ndarray[Any, Any] | None
    b_h: np.ndarray[Any, Any] | None


def gates_of(cell: Cell, weights: Arrays, order: str) -> Gates:
    """The cell's weights with its gates in ``order``.

    The second bias is 0 but where a cell has one: in a GRU, for n, within the reset.
    """
    h = weights["w_h"]
    if "v_h" in weights:
        h = np.concatenate([h, weights["v_h"]], axis=1)
    b_x = b_h = None
    if "b" in weights:
        b_x = weights["b"]
        b_h = np.zeros_like(b_x)
        if "b_h" in weights:
            b_h[-cell.hidden_size :] = weights["b_h"]
    found = Gates(weights["w_x"], h, b_x, b_h)
    return _ordered(found, OURS[type(cell)], order)


def weights_of(cell: Cell, gates: Gates, order: str) -> Arrays:
    """The weights of the cell from those with gates in ``order``; the inverse of ``gates_of``."""
    x, h, b_x, b_h = _ordered(gates, order, OURS[type(cell)])
    H = cell.hidden_size
    weights = {"w_x": x, "w_h": h}
    if "v_h" in cell.params:
        weights |= {"w_h": h[:, : 2 * H], "v_h": h[:, 2 * H :]}
    if b_x is not None and b_h is not None:
        weights["b"] = np.where(b_h == 0, b_x, b_x + b_h)  # adding 0 would lose the sign of -0
        if "b_h" in cell.params:
            weights["b"][-H:], weights["b_h"] = b_x[-H:], b_h[-H:]
    return weights


def _ordered(gates: Gates, given: str, wanted: str) -> Gates:
    def turned(array: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any] | None:
        if array is None:
            return None
        blocks = dict(zip(given, np.split(array, len(given), axis=-1), strict=True))
        return np.concatenate([blocks[gate] for gate in wanted], axis=-1)

    return Gates(*map(turned, gates))  # type: ignore[arg-type] # matrices are always there


# ----- what has to hold -----


def check_cell(
    library: str,
    cell: Cell,
    kinds: Collection[type[Cell]],
    functions: Mapping[str, Any],
    options: Collection[str] = (),
) -> None:
    """Raise an Obstacle unless the library has this cell, with these options.

    functions  the activations that may stand for tanh, by our names, beside tanh itself
    options    those of our options that the library has as well
    """
    name = type(cell).__name__
    if type(cell) not in kinds:
        known = ", ".join(kind.__name__ for kind in kinds)
        raise Obstacle(f"{name}, which {library} has not; it has {known}")
    for option, value in cell.chosen.items():
        if option in _OF_TRAINING or option in options or not _changes(option, value):
            continue
        if option in ("activation", "gate_activation") and _known(value, functions):
            continue
        raise Obstacle(f"{name} with {option}={value!r}, which {library} has not")
    if isinstance(cell, RNNCell):
        if cell.nonlinearity_first:
            raise Obstacle(f"{name} with nonlinearity_first=True, which {library} has not")
        if cell.nonlinearity != "tanh" and not _known(cell.nonlinearity, functions):
            raise Obstacle(
                f"{name} with nonlinearity={cell.nonlinearity!r}, which {library} has not"
            )


def _changes(option: str, value: Any) -> bool:
    usual = {"activation": "tanh", "gate_activation": "sigmoid"}.get(option)
    return not (value is None or value is False or value == 0 or value == usual)


def _known(function: Any, functions: Mapping[str, Any]) -> bool:
    return isinstance(function, str) and function in functions


def check_layer(library: str, layer: Recurrent) -> None:
    """Raise an Obstacle if there is more to the layers than their cells."""
    name = type(layer).__name__
    if layer.connect is not None:
        raise Obstacle(f"{name} with connect={layer.connect!r}, which {library} has not")
    if layer.initial:
        raise Obstacle(f"{name} with initial_state='learned', which {library} has not")
