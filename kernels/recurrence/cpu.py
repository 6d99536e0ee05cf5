"""Recurrences on the CPU: what surrounds the written kernels.

One product with x over all steps, the written forward kernel, and on the way back the
written backward kernel and one product a weight over all steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel, load_source
from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels._pool import num_threads, parallel, team
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.matmul.cpu_pack import pack_panel
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_VECTORS
from tinygrad_rnn.kernels.recurrence.cpu_weights import weight_gradients, window
from tinygrad_rnn.kernels.recurrence.derivative import reverse
from tinygrad_rnn.kernels.recurrence.lowering import lower
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.reference import HOLD
from tinygrad_rnn.kernels.recurrence.runtime import product
from tinygrad_rnn.kernels.recurrence.writer import Layout, module_source

__all__ = ["backward", "forward", "source_of"]

_NO_MASK = np.zeros(0, np.uint8)
_FLOPS_WORTH_A_TEAM = 1e6
_CACHE = 2 << 20  # bytes of the second level


@dataclass
class Compiled:
    """A program made ready: what its kernels take, and the kernels."""

    program: Program
    layout: Layout
    source: str
    module: Any


@cache
def compiled(program: Program) -> Compiled:
    """The kernels of a program, written and loaded once."""
    lowered = lower(program)
    layout = Layout(lowered, reverse(lowered))
    text = module_source(layout)
    return Compiled(program, layout, text, load_source("recurrence", text))


def source_of(program: Program) -> str:
    """The text of the kernels."""
    return compiled(program).source


@dataclass
class Run:
    """What backward needs of a forward pass."""

    ready: Compiled
    sizes: dict[str, int]
    T: int
    B: int
    reverse: bool
    mask: Any
    x: Any
    params: dict[str, Any]
    forms: Mapping[str, dict[Any, Any]]
    arrays: dict[str, Any] = field(default_factory=dict)

    @property
    def like(self) -> Any:
        """An array of the run's device and element type."""
        return self.arrays[self.ready.layout.states[0]]

    def common(self, like: Any) -> dict[str, Any]:
        """The arguments that forward and backward share."""
        return {
            "reverse": int(self.reverse), "T": self.T, "B": self.B, "like_array": like,
            "mask": self.mask, "meeting": zeros(16, np.int64),
            "product": product.address(like.dtype), **self.sizes,
        }  # fmt: skip


# ----- packing -----


@kernel("intp, intp, const(T[:, :]), intp, T[::1]", fastmath=NO_FASTMATH)
def _pack_blocks(first, stop, b, block, panels):
    """Pack the panels from ``first`` to ``stop``; panels do not cross blocks of columns."""
    size, step = element_size(b), lanes(b)
    width = TILE_VECTORS * step
    of_block = (block + width - 1) // width
    padded = (block + step - 1) // step * step
    for panel in range(first, stop):
        k, j = panel // of_block, panel % of_block * width
        target = address(panels) + (k * padded + j) * b.shape[0] * size
        pack_panel(
            b, address(b) + (k * block + j) * b.strides[1], b.strides[0], b.strides[1],
            target, b.shape[0], min(width, block - j),
        )  # fmt: skip


def _packed(run, part, b, block, by):
    """``b`` in panels that do not cross its blocks of ``block`` columns.

    Made once for the numbers that a weight holds, where the caller keeps its forms: packing
    costs more than a decoder's single step.
    """
    forms = run.forms.get(part.weight, {})
    key = by, part.column, part.blocks, block
    if key not in forms:
        forms[key] = _pack(b, block)
    return forms[key]


def _pack(b, block):
    step = lanes_of(b.dtype)
    width = TILE_VECTORS * step
    blocks = b.shape[1] // block if block else 0
    panels = empty(blocks * -(-block // step) * step * b.shape[0], b.dtype)
    count = blocks * -(-block // width)
    parallel(_pack_blocks, count, b, block, panels, grain=1 + 50_000 // (b.shape[0] * width + 1))
    return panels


# ----- calls -----


def _call(kernel_, arguments, values, run, weights):
    """Run a written kernel, which multiplies with so many weights in a step, on a team."""
    values["by_columns"] = int(_by_columns(run.B, weights * run.like.dtype.itemsize))
    args = [values[name] for name, _ in arguments[2:]]
    worth = 2.0 * run.T * run.B * weights > _FLOPS_WORTH_A_TEAM
    team(kernel_, *args, limit=None if worth else 1)


def _by_columns(rows, weights):
    """Whether threads divide the columns rather than the rows.

    Rows need no barrier. Columns are better where a thread would have too few rows to keep
    its multipliers busy, and where it would read, for few rows, more weights than its cache
    holds: of columns it reads only its part.
    """
    each = rows / num_threads()
    return each < 6 or (each <= 16 and weights > _CACHE)


def forward(program, x, states, params, *, steps, mask=None, reverse=False, forms=None):
    ready = compiled(program)
    layout = ready.layout
    B, T = states[0].shape[0], steps
    dtype = states[0].dtype
    sizes = _sizes(program, x, states, params)
    flat = _NO_MASK if mask is None else np.ascontiguousarray(mask, np.uint8).reshape(-1)
    rows = None
    if x is not None:
        if mask is not None:
            x = np.where((mask == HOLD)[..., None], x.dtype.type(0), x)  # padding may hold NaN
        rows = np.ascontiguousarray(x).reshape(T * B, x.shape[-1])
    run = Run(ready, sizes, T, B, reverse, flat, rows, params, forms or {})
    arrays = run.arrays
    for i, buffer in enumerate(layout.lowered.buffers):
        size = sizes[buffer.letter]
        bias = None
        if buffer.bias:
            name, block = buffer.bias
            bias = params[name][block * size : (block + buffer.blocks) * size]
        if buffer.hoisted:
            arrays[f"z{i}"] = matmul(rows, params[buffer.hoisted], bias=bias)
        else:
            arrays[f"z{i}"] = empty((T * B, buffer.blocks * size), dtype)
            if bias is not None:
                arrays[f"b{i}"] = np.ascontiguousarray(bias)
    for i, width in enumerate(layout.operands):
        arrays[f"a{i}"] = empty((T * B, width.of(sizes)), dtype)
    start = T * B if reverse else 0
    for name, state in zip(layout.states, states, strict=True):
        arrays[name] = empty(((T + 1) * B, state.shape[1]), dtype)
        arrays[name][start : start + B] = state
    width = layout.output.of(sizes)
    from_state = layout.lowered.output_state
    own = mask is not None or from_state is None
    arrays["y"] = empty((T * B if own else 0, width), dtype)
    for name in layout.rows:
        arrays[f"p_{name}"] = np.ascontiguousarray(params[name]).reshape(-1)
    if x is not None:
        arrays["x"] = rows
    _run_forward(run, dtype)
    y = arrays["y"]
    if not own:
        y = arrays[layout.states[from_state]]
        y = y[: T * B] if reverse else y[B:]
    end = 0 if reverse else T * B
    finals = [arrays[name][end : end + B] for name in layout.states]
    return y.reshape(T, B, width), finals, run


def _run_forward(run, dtype):
    layout, sizes, params = run.ready.layout, run.sizes, run.params
    values = {**run.arrays, **run.common(_like(dtype))}
    weights = 0
    for i, part in enumerate(layout.lowered.parts):
        size = sizes[layout.buffers[part.buffer].letter]
        weight = window(params[part.weight], part.column, part.blocks, size)
        values[f"w{i}"] = _packed(run, part, weight, size, "columns")
        weights += weight.size
    module = run.ready.module
    _call(module.forward, module.FORWARD, values, run, weights)


def _like(dtype):
    return np.zeros((1, 1), dtype)


def _sizes(program: Program, x: Any, states: Any, params: Any) -> dict[str, int]:
    """What the letters stand for."""
    sizes: dict[str, int] = {}
    for name, shape in program.params:
        for width, n in zip(shape, params[name].shape, strict=True):
            if width.letter:
                sizes[width.letter] = n // width.count
    for (_, width), state in zip(program.states, states, strict=True):
        sizes[width.letter] = state.shape[1] // width.count
    if program.input is not None:
        sizes[program.input.letter] = x.shape[-1] // program.input.count
    return sizes


# ----- backward -----


def backward(run, dy, d_finals, *, needs_x, needed):
    layout, T, B = run.ready.layout, run.T, run.B
    dtype = run.like.dtype
    values = {**run.arrays, **run.common(_like(dtype))}
    for i, width in enumerate(layout.buffers):
        values[f"dz{i}"] = empty((T * B, width.of(run.sizes)), dtype)
    for i, width in enumerate(layout.operands):
        values[f"da{i}"] = empty((B, width.of(run.sizes)), dtype)
    for name, given in zip(layout.states, d_finals, strict=True):
        columns = run.arrays[name].shape[1]
        values[f"d{name}"] = empty((2 * B, columns), dtype)
        values[f"d{name}"][:B] = 0 if given is None else given
        values[f"d{name}_start"] = zeros((B if len(run.mask) else 0, columns), dtype)
    for name, width in layout.row_grads.items():
        values[f"dp_{name}"] = zeros((B, width.of(run.sizes)), dtype)
    width = layout.output.of(run.sizes)
    if dy is None:
        values["dy"], values["dy_row"] = zeros((1, width), dtype), 0
    else:
        values["dy"] = np.ascontiguousarray(dy).reshape(T * B, width)
        values["dy_row"] = width * dtype.itemsize
    if layout.reads_input:
        values["dx"] = empty(run.x.shape, dtype)
    _run_backward(run, values, dtype)
    grads = weight_gradients(run, values, needed)
    dx = _input_gradient(run, values) if needs_x else None
    half = T % 2 * B
    d_states = []
    for name in layout.states:
        total = values[f"d{name}"][half : half + B]
        d_states.append(total + values[f"d{name}_start"] if len(run.mask) else total.copy())
    return dx, d_states, grads


def _run_backward(run, values, dtype):
    layout, sizes = run.ready.layout, run.sizes
    weights = 0
    for i, part in enumerate(layout.lowered.parts):
        size = sizes[layout.buffers[part.buffer].letter]
        weight = window(run.params[part.weight], part.column, part.blocks, size)
        kind, number = part.operand
        widths = layout.state_widths if kind == "state" else layout.operands
        values[f"w{i}"] = _packed(run, part, weight.T, sizes[widths[number].letter], "rows")
        weights += weight.size
    module = run.ready.module
    _call(module.backward, module.BACKWARD, values, run, weights)


def _input_gradient(run, values):
    """What all products with x, and segments that read it, say about x."""
    layout = run.ready.layout
    dx = values.get("dx")
    for i, buffer in enumerate(layout.lowered.buffers):
        if buffer.hoisted:
            weight = run.params[buffer.hoisted].T
            if dx is None:
                dx = matmul(values[f"dz{i}"], weight)
            else:
                matmul(values[f"dz{i}"], weight, out=dx, accumulate=True)
    if dx is None:
        dx = np.zeros(run.x.shape, run.x.dtype)
    return dx.reshape(run.T, run.B, dx.shape[1])
