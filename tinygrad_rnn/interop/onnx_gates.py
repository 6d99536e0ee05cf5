"""ONNX' LSTM, GRU and RNN: a node for each layer, directions and gates stacked in W, R, B and P."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, StateDictError
from tinygrad_rnn.interop.entries import Obstacle
from tinygrad_rnn.interop.fitting import Arrays, check_fit, readable
from tinygrad_rnn.interop.gates import Gates, check_cell, check_layer, gates_of, weights_of

__all__ = ["from_onnx_gates", "layers_of", "node_of", "operator_of", "to_onnx_gates"]

M = TypeVar("M", bound=nn.Module)
Node = dict[str, Any]

# The operator and its order of gates.
_GATES: dict[type[nn.Cell], tuple[str, str]] = {
    nn.LSTMCell: ("LSTM", "iofg"),
    nn.PeepholeLSTMCell: ("LSTM", "iofg"),
    nn.GRUCell: ("GRU", "zrn"),
    nn.RNNCell: ("RNN", "n"),
}

_FUNCTIONS = {
    "tanh": "Tanh", "sigmoid": "Sigmoid", "relu": "Relu", "softsign": "Softsign",
    "softplus": "Softplus",
}  # fmt: skip

_USUAL_ACTIVATIONS = {
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "RNN": ["Tanh"],
}

_INPUTS = ("W", "R", "B", "P")

# What attributes are where a node does not say; other attributes have nothing to do with weights.
_USUAL: dict[str, Any] = {
    "direction": "forward", "linear_before_reset": 0, "input_forget": 0, "clip": None,
    "activation_alpha": None, "activation_beta": None,
}  # fmt: skip


def from_onnx_gates(nodes: Mapping[str, Any] | Sequence[Mapping[str, Any]], module: M) -> M:
    """Write the weights of ONNX' recurrent nodes into a layer or cell; gives it back.

        layer = interop.from_onnx_gates({"W": w, "R": r, "B": b, "linear_before_reset": 1}, layer)

    A node is a dict of its inputs W, R, B (and P, peepholes) and of its attributes; those that are
    not there have ONNX' default, as in a file: the GRU of ONNX resets *before* the product
    unless told otherwise. A module of several layers takes a list of nodes. Unless all fits,
    nothing changes, and one error names all that does not.
    """
    where = "from_onnx_gates"
    expected = to_onnx_gates(module, where)
    assert isinstance(module, nn.Recurrent | nn.Cell)
    given = [nodes] if isinstance(nodes, Mapping) else nodes
    if not isinstance(given, Sequence) or len(given) != len(expected):
        count = len(given) if isinstance(given, Sequence) else f"a {type(nodes).__name__}"
        raise StateDictError(
            f"{where}: given {count} nodes, expected {len(expected)}: one for each layer of "
            f"{type(module).__name__}."
        )
    arrays: Arrays = {}
    unreadable: dict[str, str] = {}
    wanted: Arrays = {}
    attributes: list[str] = []
    layers = layers_of(module)
    before_each = [f"{number}." if len(layers) > 1 else "" for number in range(len(layers))]
    for before, node, like, cells in zip(before_each, given, expected, layers, strict=True):
        found, bad = readable(where, {k: v for k, v in node.items() if k in _INPUTS})
        arrays |= {f"{before}{name}": array for name, array in found.items()}
        unreadable |= {f"{before}{name}": what for name, what in bad.items()}
        wanted |= {f"{before}{k}": v for k, v in like.items() if isinstance(v, np.ndarray)}
        usual = _USUAL_ACTIVATIONS[operator_of(next(iter(cells.values())))] * len(cells)
        attributes += [f"{before}{text}" for text in _differences(node, like, usual)]
    fit = f"{where}: the nodes do not fit {type(module).__name__}"
    check_fit(fit, "ONNX", arrays, unreadable, wanted, attributes)
    ours: Arrays = {}
    for before, cells in zip(before_each, layers, strict=True):
        own = {k: arrays[f"{before}{k}"] for k in _INPUTS if f"{before}{k}" in arrays}
        for k, (place, cell) in enumerate(cells.items()):
            weights = _weights(cell, {name: array[k] for name, array in own.items()})
            ours |= {f"{place}{name}": array for name, array in weights.items()}
    module.load_state_dict(ours)
    return module


def to_onnx_gates(module: nn.Module, where: str = "to_onnx_gates") -> list[Node]:
    """The weights of a recurrent layer or a cell as ONNX' nodes have them, one for each layer.

        {"W": (D, G H, I), "R": (D, G H, H), "B": (D, 2 G H), "direction": "forward", ...}

    What is no array is an attribute of the node. A PeepholeLSTMCell has P (D, 3 H) as well.
    """
    if not isinstance(module, nn.Recurrent | nn.Cell):
        raise ArgumentError(
            f"{where}: module is a {type(module).__name__}, expected a recurrent layer or a cell; "
            "export_onnx takes whole models."
        )
    try:
        if isinstance(module, nn.Recurrent):
            check_layer("ONNX", module)
        return [node_of(cells) for cells in layers_of(module)]
    except Obstacle as obstacle:
        raise ArgumentError(
            f"{where}: {type(module).__name__} does not go over to ONNX: {obstacle}."
        ) from None


def operator_of(cell: nn.Cell) -> str:
    """What ONNX calls the cell's operator."""
    return _GATES[type(cell)][0]


def layers_of(module: nn.Recurrent | nn.Cell) -> list[dict[str, nn.Cell]]:
    """For each layer its cells, by what the names of their weights begin with."""
    if isinstance(module, nn.Cell):
        return [{"": module}]
    return [
        {f"layers.{number}.{direction}.": cell for direction, cell in layer.items()}
        for number, layer in enumerate(module.layers)
    ]


def node_of(cells: Mapping[str, nn.Cell]) -> Node:
    """Inputs and attributes of the node for a layer of these cells."""
    for cell in cells.values():
        check_cell("ONNX", cell, _GATES, _FUNCTIONS)
    rows = [_inputs(cell) for cell in cells.values()]
    node: Node = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    backwards = "reverse" if next(iter(cells)).endswith("reverse.") else "forward"
    node["direction"] = "bidirectional" if len(cells) == 2 else backwards
    node["hidden_size"] = cell.hidden_size
    node["activations"] = _activations(cell) * len(cells)
    if isinstance(cell, nn.GRUCell):
        node["linear_before_reset"] = int(cell.reset_after)
    return node


def _inputs(cell: nn.Cell) -> Arrays:
    """W, R, B and P of one direction."""
    own = cell.state_dict()
    x, h, b_x, b_h = gates_of(cell, own, _GATES[type(cell)][1])
    found = {"W": x.T, "R": h.T}
    if b_x is not None and b_h is not None:
        found["B"] = np.concatenate([b_x, b_h])
    if "p_i" in own:
        found["P"] = np.concatenate([own["p_i"], own["p_o"], own["p_f"]])
    return found


def _weights(cell: nn.Cell, arrays: Arrays) -> Arrays:
    """What ``_inputs`` was made of."""
    b_x, b_h = np.split(arrays["B"], 2) if "B" in arrays else (None, None)
    gates = Gates(arrays["W"].T, arrays["R"].T, b_x, b_h)
    found = weights_of(cell, gates, _GATES[type(cell)][1])
    if "P" in arrays:
        found |= zip(("p_i", "p_o", "p_f"), np.split(arrays["P"], 3), strict=True)
    return found


def _activations(cell: nn.Cell) -> list[str]:
    """The functions of the gates, of the new value and, in an LSTM, of the memory."""
    names = [name.lower() for name in _USUAL_ACTIVATIONS[operator_of(cell)]]
    if isinstance(cell, nn.RNNCell):
        names = [str(cell.nonlinearity)]
    for place, option in (("tanh", "activation"), ("sigmoid", "gate_activation")):
        chosen = cell.chosen.get(option) or place
        names = [str(chosen) if name == place else name for name in names]
    return [_FUNCTIONS[name] for name in names]


def _differences(node: Mapping[str, Any], like: Node, usual: list[str]) -> list[str]:
    """Attributes that are not as the module has them; ``usual`` are ONNX' activations."""
    wrong = []
    for name, default in {"activations": usual, **_USUAL}.items():
        given, expected = node.get(name, default), like.get(name, default)
        given = given.decode() if isinstance(given, bytes) else given
        if name == "activations":
            given = [f.decode() if isinstance(f, bytes) else f for f in given]
        if given != expected:
            said = "" if name in node else ", its default"
            wrong.append(f"{name} is {given!r}{said}, expected {expected!r}")
    return wrong
