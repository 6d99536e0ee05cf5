"""The weights of a cell: made, drawn, and changed with the options that it is given."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.device import array_module
from tinygrad_rnn.errors import CellError, ModuleError, TraceError
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.tracing import Declaration, trace
from tinygrad_rnn.modes import recording
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.cell_options import CellOptions
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["configure", "draw_weight", "equations", "is_bias", "make_weight"]


def is_bias(name: str, shape: str) -> bool:
    """Whether a weight is a bias: by its name, and because it is a row."""
    return (name == "b" or name.startswith("b_")) and len(shape.split()) == 1


def make_weight(cell: "Cell", name: str, like: Tensor | None = None) -> None:
    """Make a weight of zeros, on the device and of the type of another."""
    if hasattr(type(cell), name) or name in vars(cell):
        raise ModuleError(
            f"{type(cell).__name__}: a weight cannot be named {name!r}: cells use it."
        )
    shape = [width.of(cell.sizes) for width in dict(cell._declared.params)[name]]
    xp, dtype = (np, np.float32) if like is None else (array_module(like._data), like.dtype)
    cell.register_parameter(name, Parameter(xp.zeros(shape, dtype)))


def draw_weight(cell: "Cell", name: str) -> None:
    """Draw a weight anew, as its place in the equations asks for."""
    weight, shape = getattr(cell, name), dict(cell._declared.params)[name]
    if name in cell.initializers:
        cell.initializers[name](weight)
    elif len(shape) == 2:
        recurs = shape[0] in {width for _, width in cell._declared.states}
        draw = init.orthogonal_ if recurs else init.xavier_uniform_
        draw(weight, gates=shape[1].count)
    elif name not in cell.params:  # that of an option: a gain, or a shift
        (init.ones_ if name.startswith("gain_") else init.zeros_)(weight)
    elif is_bias(name, cell.params[name]):
        init.zeros_(weight)
    elif shape:
        bound = max(1, weight.size) ** -0.5
        init.uniform_(weight, -bound, bound)
    else:
        init.ones_(weight)


def equations(cell: "Cell") -> Program:
    """The program of a cell without options; CellError where there is none."""
    try:
        return trace(cell, recording.get)
    except CellError:
        raise
    except TraceError as error:
        raise CellError(
            f"{type(cell).__name__}: options are for equations that can be fused: {error}."
        ) from None


def configure(cell: "Cell", given: Mapping[str, Any]) -> None:
    """Set options; weights that stay as they are keep their numbers."""
    chosen = {**cell.chosen, **{name: _own(value) for name, value in given.items()}}
    program = equations(cell)
    options = CellOptions(type(cell).__name__, program, chosen)
    made, _ = options.applied(program, {}, False, cell.output)
    letters = {w.letter for _, shape in program.params for w in shape}
    letters |= {w.letter for _, w in program.states} | {"I", "H"}
    before, weight = dict(cell._declared.params), cell.any_weight()
    cell.sizes = {c: n for c, n in cell.sizes.items() if c in letters} | options.sizes()
    cell._declared = Declaration(made.states, made.params, made.input)
    cell.state_sizes = {name: width.of(cell.sizes) for name, width in made.states}
    for name in before:
        sizes = [width.of(cell.sizes) for width in dict(made.params).get(name, ())]
        if name not in dict(made.params) or sizes != list(getattr(cell, name).shape):
            delattr(cell, name)
    for name, _ in made.params:
        if name not in vars(cell):
            make_weight(cell, name, weight)
            draw_weight(cell, name)
    cell._options, cell.chosen = options, chosen  # in this order: the last one has it traced anew


def _own(value: Any) -> Any:
    """A copy of what the caller may change later: copies of the cell read it again."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list) else value
