"""Keras: weights (in, out) as ours, a GRU that begins with z, convolutions with channels last."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import choice
from tinygrad_rnn.errors import ArgumentError, StateDictError
from tinygrad_rnn.interop.entries import Entry, Library, Obstacle, cells_of, moved, table
from tinygrad_rnn.interop.fitting import Arrays
from tinygrad_rnn.interop.gates import Gates, check_cell, check_layer, gates_of, weights_of

__all__ = ["from_keras", "to_keras"]

M = TypeVar("M", bound=nn.Module)
Format = Literal["channels_last", "channels_first"]

_GATES: dict[type[nn.Cell], str] = {nn.LSTMCell: "ifgo", nn.GRUCell: "zrn", nn.RNNCell: "n"}

# Activations that are the same function there, by our name.
_FUNCTIONS = dict.fromkeys(
    ["tanh", "sigmoid", "relu", "identity", "hard_sigmoid", "softsign", "softplus", "silu", "elu"]
)


def from_keras(arrays: Mapping[str, Any], module: M, *, data_format: Format = "channels_last") -> M:
    """Write the weights of a Keras model or layer into a module; gives it back.

        model = interop.from_keras({w.path: w.numpy() for w in keras_model.weights}, model)

    Keras numbers the names of layers as it makes them, so layers are told by their order, and
    the weights of each by the last part of their names: kernel, recurrent_kernel, bias. Each
    layer and direction of a recurrent layer here is a layer of its own there. Unless all fits,
    nothing changes, and one error names all that does not.

    Args:
        arrays: NumPy arrays by name, in the order of Keras' layers.
        module: Linear, Dense, Embedding, LSTM, ..., or any module made of them.
        data_format: That of the Keras model; it matters where images are flattened.
    """
    _check_format("from_keras", module, data_format)
    ours = _layers(_KERAS.written("from_keras", module))
    theirs = _layers(arrays if isinstance(arrays, Mapping) else ())
    renamed: dict[str, str] = {}
    if len(theirs) == len(ours):
        for (there, _), (here, names) in zip(theirs.items(), ours.items(), strict=True):
            renamed |= {_joined(here, name): _joined(there, name) for name in names}
    elif theirs:
        raise StateDictError(
            f"from_keras: the arrays do not fit {type(module).__name__}; nothing was changed. "
            f"Given {_told(theirs)}; expected {_told(ours)}."
        )
    _KERAS.read("from_keras", arrays, module, renamed=renamed)
    return module


def to_keras(module: nn.Module, *, data_format: Format = "channels_last") -> Arrays:
    """The weights of a module under Keras' names, in its layout and the order of its layers.

        keras_model.set_weights(list(interop.to_keras(model).values()))

    Names are those of modules here, then kernel, recurrent_kernel, bias, ... as in Keras.
    """
    _check_format("to_keras", module, data_format)
    return _KERAS.written("to_keras", module)


def _check_format(where: str, module: Any, data_format: Format) -> None:
    """Flattened images stand in another order where channels come last."""
    choice(where, "data_format", data_format, ("channels_last", "channels_first"))
    kinds = [type(part) for part in module.modules()] if isinstance(module, nn.Module) else []
    images = any(issubclass(kind, nn.Conv1d | nn.Conv2d) for kind in kinds)
    if data_format == "channels_last" and images and nn.Flatten in kinds:
        raise ArgumentError(
            f"{where}: {type(module).__name__} flattens what a convolution made. With channels "
            "last, Keras flattens in another order, so the weights behind it would be wrong. Make "
            "the Keras model with data_format='channels_first' and give the same here."
        )


# ----- layers by their order -----


def _layers(names: Iterable[Any]) -> dict[str, list[str]]:
    """The weights of each layer, by the last parts of their names."""
    layers: dict[str, list[str]] = {}
    for name in names:
        layer, _, last = str(name).rpartition("/")
        layers.setdefault(layer, []).append(last)
    return layers


def _joined(layer: str, name: str) -> str:
    return f"{layer}/{name}" if layer else name


def _told(layers: Mapping[str, list[str]]) -> str:
    each = [f"{layer or 'one'} ({', '.join(names)})" for layer, names in layers.items()]
    return f"{len(each)} layers with weights: {', '.join(each)}"


# ----- recurrent -----


def _layer(layer: nn.Recurrent) -> list[Entry]:
    check_layer("Keras", layer)
    return [_cell(cell, f"layers.{n}.{direction}") for n, direction, cell in cells_of(layer)]


def _cell(cell: nn.Cell, place: str = "") -> Entry:
    """The entry of a cell that stands at ``place`` below its layer."""
    check_cell("Keras", cell, _GATES, _FUNCTIONS)
    order = _GATES[type(cell)]
    below, there = (f"{place}.", f"{place.replace('.', '/')}/") if place else ("", "")
    names = [f"{there}{name}" for name in ("kernel", "recurrent_kernel", "bias")]
    both = isinstance(cell, nn.GRUCell) and cell.reset_after

    def write(arrays: Arrays) -> Arrays:
        own = {name.removeprefix(below): array for name, array in arrays.items()}
        x, h, b_x, b_h = gates_of(cell, own, order)
        found = dict(zip(names, (x, h), strict=False))
        if b_x is not None and b_h is not None:
            found[names[2]] = np.stack([b_x, b_h]) if both else b_x
        return found

    def read(arrays: Arrays) -> Arrays:
        b_x, b_h = arrays.get(names[2]), None
        if b_x is not None:
            b_x, b_h = b_x if both else (b_x, np.zeros_like(b_x))
        own = weights_of(cell, Gates(arrays[names[0]], arrays[names[1]], b_x, b_h), order)
        return {f"{below}{name}": array for name, array in own.items()}

    return Entry(tuple(f"{below}{name}" for name in cell.weights()), write, read)


# ----- the table -----

_AFFINE = moved({"weight": ("kernel", None), "bias": ("bias", None)})
_NORM: dict[str, tuple[str, None]] = {"weight": ("gamma", None), "bias": ("beta", None)}
_RUNNING: dict[str, tuple[str, None]] = {
    "running_mean": ("moving_mean", None),
    "running_var": ("moving_variance", None),
}


def _batch_norm(norm: nn.BatchNorm) -> list[Entry]:
    if norm.momentum is None:
        raise Obstacle("BatchNorm with momentum=None, which Keras has not")
    return moved(_NORM | _RUNNING)(norm)


_KERAS = Library(
    "Keras",
    {
        nn.Linear: _AFFINE,
        nn.Dense: _AFFINE,
        nn.Embedding: table("embeddings"),
        nn.Conv1d: moved({"weight": ("kernel", (2, 1, 0)), "bias": ("bias", None)}),
        nn.Conv2d: moved({"weight": ("kernel", (2, 3, 1, 0)), "bias": ("bias", None)}),
        nn.LayerNorm: moved(_NORM),
        nn.BatchNorm: _batch_norm,
        nn.Recurrent: _layer,
        nn.Cell: lambda cell: [_cell(cell)],
    },
    separator="/",
    left_out=("num_batches_tracked",),
)
