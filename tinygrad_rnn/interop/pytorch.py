"""PyTorch: weights (out, in), two biases for every cell, names by layer and direction."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.interop.entries import Entry, Library, Obstacle, cells_of, moved, table
from tinygrad_rnn.interop.fitting import Arrays
from tinygrad_rnn.interop.gates import Gates, check_cell, check_layer, gates_of, weights_of
from tinygrad_rnn.nn.attention_scores import DotScore, MultiHeadScore

__all__ = ["from_torch", "to_torch"]

M = TypeVar("M", bound=nn.Module)

_GATES: dict[type[nn.Cell], str] = {nn.LSTMCell: "ifgo", nn.GRUCell: "rzn", nn.RNNCell: "n"}
_ENDING = {"forward": "", "reverse": "_reverse"}


def from_torch(arrays: Mapping[str, Any], module: M, prefix: str = "") -> M:
    """Write weights under PyTorch's names and in its layout into a module; gives it back.

        model = interop.from_torch(torch_model.state_dict(), model)

    Two biases of PyTorch become one, their sum. Unless every name, shape and type fits, nothing
    changes, and one error names all that does not, in PyTorch's names.

    Args:
        arrays: NumPy arrays, or anything that becomes one, by name.
        module: Linear, Embedding, LSTM, ..., or any module made of them.
        prefix: What the names begin with; others are left alone.
    """
    _TORCH.read("from_torch", arrays, module, prefix)
    return module


def to_torch(module: nn.Module, prefix: str = "") -> Arrays:
    """The weights of a module under PyTorch's names, in its layout.

        torch_model.load_state_dict({n: torch.from_numpy(a) for n, a in to_torch(model).items()})

    Of PyTorch's two biases the second is 0, except for what a GRU has within its reset.
    """
    return {f"{prefix}{name}": a for name, a in _TORCH.written("to_torch", module).items()}


# ----- recurrent -----


def _layer(layer: nn.Recurrent) -> list[Entry]:
    check_layer("PyTorch", layer)
    name = type(layer).__name__
    cells = layer.cells()
    if layer.reverse:
        raise Obstacle(f"{name} with reverse=True; PyTorch has no single backward direction")
    if layer.bidirectional and layer.merge not in ("concat", "none"):
        raise Obstacle(f"{name} with merge={layer.merge!r}, where PyTorch has only 'concat'")
    if len({cell.hidden_size for cell in cells}) > 1:
        raise Obstacle(f"{name} of different widths; PyTorch's layers have one")
    return [
        _cell(cell, f"layers.{n}.{direction}.", f"_l{n}{_ENDING[direction]}")
        for n, direction, cell in cells_of(layer)
    ]


def _cell(cell: nn.Cell, below: str, ending: str) -> Entry:
    """The entry of a cell whose names begin with ``below`` here, and end so there."""
    projects = ("proj_size",) if isinstance(cell, nn.LSTMCell) and ending else ()
    functions = ("relu",) if isinstance(cell, nn.RNNCell) else ()
    check_cell("PyTorch", cell, _GATES, dict.fromkeys(functions), projects)
    if isinstance(cell, nn.GRUCell) and not cell.reset_after:
        raise Obstacle("GRU with reset_after=False; PyTorch resets after the product")
    order = _GATES[type(cell)]
    names = [f"{kind}{ending}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    projection = f"weight_hr{ending}"

    def write(arrays: Arrays) -> Arrays:
        own = {name.removeprefix(below): array for name, array in arrays.items()}
        x, h, b_x, b_h = gates_of(cell, own, order)
        found = dict(zip(names, (x.T, h.T, b_x, b_h), strict=True))
        if "w_proj" in own:
            found[projection] = own["w_proj"].T
        return {name: array for name, array in found.items() if array is not None}

    def read(arrays: Arrays) -> Arrays:
        x, h = (arrays[name].T for name in names[:2])
        gates = Gates(x, h, *map(arrays.get, names[2:]))
        own = weights_of(cell, gates, order)
        if projection in arrays:
            own["w_proj"] = arrays[projection].T
        return {f"{below}{name}": array for name, array in own.items()}

    return Entry(tuple(f"{below}{name}" for name in cell.weights()), write, read)


def _single_cell(cell: nn.Cell) -> list[Entry]:
    return [_cell(cell, "", "")]


# ----- attention -----


def _attention(attention: nn.Attention) -> list[Entry]:
    score = attention.score
    if isinstance(score, DotScore):
        return []
    if not isinstance(score, MultiHeadScore):
        raise Obstacle(f"Attention with a {type(score).__name__}; PyTorch has multi_head")
    own: Any = score
    Q, D = own.w_q.shape
    if Q != D:
        raise Obstacle(f"Attention with hidden_size={D}, where PyTorch has query_size, {Q}")
    together = own.w_q.shape == own.w_k.shape == own.w_v.shape
    matrices, biases = [f"score.w_{k}" for k in "qkv"], [f"score.b_{k}" for k in "qkv"]
    apart = [f"{k}_proj_weight" for k in "qkv"]

    def write(arrays: Arrays) -> Arrays:
        turned = [arrays[name].T for name in matrices]
        found = dict(zip(apart, turned, strict=True))
        if together:
            found = {"in_proj_weight": np.concatenate(turned)}
        found["out_proj.weight"] = arrays["score.w_o"].T
        if biases[0] in arrays:
            found["in_proj_bias"] = np.concatenate([arrays[name] for name in biases])
            found["out_proj.bias"] = arrays["score.b_o"]
        return found

    def read(arrays: Arrays) -> Arrays:
        joined = together and np.split(arrays["in_proj_weight"], 3)
        turned = joined or [arrays[name] for name in apart]
        found = {name: array.T for name, array in zip(matrices, turned, strict=True)}
        found["score.w_o"] = arrays["out_proj.weight"].T
        if "in_proj_bias" in arrays:
            found |= dict(zip(biases, np.split(arrays["in_proj_bias"], 3), strict=True))
            found["score.b_o"] = arrays["out_proj.bias"]
        return found

    names = tuple(f"score.{name}" for name, _, _ in own._tensors())
    return [Entry(names, write, read)]


# ----- the table -----


def _same(*names: str) -> Any:
    return moved({name: (name, None) for name in names})


_AFFINE = moved({"weight": ("weight", (1, 0)), "bias": ("bias", None)})

_TORCH = Library(
    "PyTorch",
    {
        nn.Linear: _AFFINE,
        nn.Dense: _AFFINE,
        nn.TiedLinear: _same("weight", "bias"),  # its weight is the table's, (out, in) already
        nn.Embedding: table("weight"),
        nn.Conv1d: _same("weight", "bias"),
        nn.Conv2d: _same("weight", "bias"),
        nn.LayerNorm: _same("weight", "bias"),
        nn.BatchNorm: _same("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
        nn.Attention: _attention,
        nn.Recurrent: _layer,
        nn.Cell: _single_cell,
    },
    passes=True,
)
