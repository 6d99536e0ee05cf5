"""Recurrences on the CPU: what surrounds the written kernels.

One product with x over all steps, the written forward kernel, and on the way back the
written backward kernel and one product a weight over all steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._jit import load_source
from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels._pool import num_threads, team
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.recurrence.cpu_packing import (
    input_weight,
    packed,
    pays_to_pack,
    weight_of,
)
from tinygrad_rnn.kernels.recurrence.cpu_weights import weight_gradients, window
from tinygrad_rnn.kernels.recurrence.derivative import Rules, differentiate
from tinygrad_rnn.kernels.recurrence.lowering import lower
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.reference import HOLD
from tinygrad_rnn.kernels.recurrence.runtime import rows_times_weight
from tinygrad_rnn.kernels.recurrence.shapes import Shapes, fitted, shapes_of
from tinygrad_rnn.kernels.recurrence.writer import Layout, module_source

__all__ = ["backward", "forward", "source_of"]

_NO_MASK = np.zeros(0, np.uint8)
_NO_MEETING = np.zeros(0, np.int64)
_LIKE = {char: np.zeros((1, 1), char) for char in "fd"}  # it tells the element type
_FLOPS_WORTH_A_TEAM = 1e6
_CACHE = 2 << 20  # bytes of the second level


@dataclass
class Kernels:
    """A program made ready: what its kernels take, and the kernels."""

    program: Program
    layout: Layout
    source: str
    module: Any


@cache
def kernels_of(program: Program, rules: Rules) -> Kernels:
    """The kernels of a program, written and loaded once."""
    lowered = lower(program)
    layout = Layout(lowered, differentiate(lowered, rules))
    text = module_source(layout)
    return Kernels(program, layout, text, load_source("recurrence", text))


def source_of(program: Program, rules: Rules) -> str:
    """The text of the kernels."""
    return kernels_of(program, rules).source


@dataclass(frozen=True)
class Room:
    """What a program needs for arrays of certain shapes: names, shapes, parts of weights."""

    kernels: Kernels
    sizes: Mapping[str, int]
    T: int
    B: int
    own_output: bool  # rather than part of a state
    forward: list[tuple[str, tuple[int, ...]]]
    hoisted: list[tuple[str, str, tuple[str, slice] | None]]  # array, weight, bias
    biases: list[tuple[str, str, slice]]  # array, weight, columns
    parts: list[tuple[str, Any, int, int]]  # array, part, its block forward and backward
    backward: list[tuple[str, tuple[int, ...]]]
    weights: int  # how many a step multiplies with


@lru_cache(maxsize=4096)  # it would take a third of the time of a small step
def _room(program: Program, rules: Rules, shapes: Shapes, T: int, masked: bool) -> Room:
    kernels, sizes = kernels_of(program, rules), fitted(program, shapes)
    layout, B = kernels.layout, shapes[1][0][0]
    lowered = layout.lowered
    own_output = masked or lowered.output_state is None
    forward: list[tuple[str, tuple[int, ...]]] = []
    backward: list[tuple[str, tuple[int, ...]]] = []
    hoisted, biases = [], []
    for i, buffer in enumerate(lowered.buffers):
        size = sizes[buffer.letter]
        shape, bias = (T * B, buffer.blocks * size), None
        if buffer.bias:
            name, block = buffer.bias
            bias = name, slice(block * size, (block + buffer.blocks) * size)
        if buffer.hoisted:
            hoisted.append((f"z{i}", buffer.hoisted, bias))
        else:
            forward.append((f"z{i}", shape))
            biases += [(f"b{i}", *bias)] if bias else []
        backward.append((f"dz{i}", shape))
    for i, width in enumerate(layout.operands):
        forward.append((f"a{i}", (T * B, width.of(sizes))))
        backward.append((f"da{i}", (B, width.of(sizes))))
    for name, width in zip(layout.states, layout.state_widths, strict=True):
        forward.append((name, ((T + 1) * B, width.of(sizes))))
        backward.append((f"d{name}", (2 * B, width.of(sizes))))
    forward.append(("y", (T * B if own_output else 0, layout.output.of(sizes))))
    parts, weights = [], 0
    for i, part in enumerate(lowered.parts):
        size = sizes[layout.buffers[part.buffer].letter]
        kind, number = part.operand
        width = (layout.state_widths if kind == "state" else layout.operands)[number]
        parts.append((f"w{i}", part, size, sizes[width.letter]))
        weights += width.of(sizes) * part.blocks * size
    return Room(
        kernels, sizes, T, B, own_output, forward, hoisted, biases, parts, backward, weights
    )


@dataclass
class Run:
    """What backward needs of a forward pass."""

    room: Room
    reverse: bool
    mask: Any
    x: Any
    params: Mapping[str, Any]
    forms: Mapping[str, dict[Any, Any]]
    arrays: dict[str, Any]

    @property
    def like(self) -> Any:
        """An array of the run's device and element type."""
        return self.arrays[self.room.kernels.layout.states[0]]


# ----- calls -----


def _call(kernel_, arguments, run, values, *, backwards):
    """Run a written kernel on a team."""
    room, dtype = run.room, run.like.dtype
    pack = pays_to_pack(run, backwards)
    for name, part, block, back in room.parts:
        if pack or (backwards and part.operand[0] == "operand"):
            values[name] = packed(run, part, back if backwards else block, backwards)
        else:
            values[name] = weight_of(run, part)
    by_columns = _by_columns(room.B, room.weights * dtype.itemsize)
    values |= {
        "reverse": int(run.reverse), "by_columns": int(by_columns), "packed": int(pack),
        "T": room.T, "B": room.B,
        "like_array": _LIKE[dtype.char], "mask": run.mask,
        "rows_times_weight": rows_times_weight.address(dtype),
        "meeting": zeros(16, np.int64) if by_columns else _NO_MEETING, **room.sizes,
    }  # fmt: skip
    worth = 2.0 * room.T * room.B * room.weights > _FLOPS_WORTH_A_TEAM
    team(kernel_, *[values[name] for name, _ in arguments[2:]], limit=None if worth else 1)


def _by_columns(rows, weights):
    """Whether threads divide the columns rather than the rows.

    Rows need no barrier. Columns are better where a thread would have too few rows to keep
    its multipliers busy, and where it would read, for few rows, more weights than its cache
    holds: of columns it reads only its part.
    """
    each = rows / num_threads()
    return each < 6 or (each <= 16 and weights > _CACHE)


def forward(program, x, states, params, *, rules, steps, mask=None, reverse=False, forms=None):
    forms = forms or {}
    weights = [params[name] for name, _ in program.params]
    room = _room(program, rules, shapes_of(x, states, weights), steps, mask is not None)
    layout, T, B = room.kernels.layout, room.T, room.B
    dtype = states[0].dtype
    rows, flat = None, _NO_MASK
    if mask is not None:
        flat = np.ascontiguousarray(mask, np.uint8).reshape(-1)
    if x is not None:
        if mask is not None:
            x = np.where((mask == HOLD)[..., None], x.dtype.type(0), x)  # padding may hold NaN
        rows = np.ascontiguousarray(x).reshape(T * B, x.shape[-1])
    arrays = {name: empty(shape, dtype) for name, shape in room.forward}
    for name, weight, bias in room.hoisted:
        start = None if bias is None else params[bias[0]][bias[1]]
        arrays[name] = matmul(rows, input_weight(params, forms, weight), bias=start)
    for name, weight, columns in room.biases:
        arrays[name] = np.ascontiguousarray(params[weight][columns])
    first, last = (T * B, 0) if reverse else (0, T * B)
    for name, state in zip(layout.states, states, strict=True):
        arrays[name][first : first + B] = state
    for name in layout.rows:
        arrays[f"p_{name}"] = np.ascontiguousarray(params[name]).reshape(-1)
    if rows is not None:
        arrays["x"] = rows
    run = Run(room, reverse, flat, rows, params, forms, arrays)
    module = room.kernels.module
    _call(module.forward, module.FORWARD, run, {**arrays}, backwards=False)
    y = arrays["y"]
    if not room.own_output:
        y = arrays[layout.states[layout.lowered.output_state]]
        y = y[: T * B] if reverse else y[B:]
    finals = [arrays[name][last : last + B] for name in layout.states]
    return y.reshape(T, B, y.shape[1]), finals, run


def backward(run, dy, d_finals, *, needs_x, needed):
    room, dtype = run.room, run.like.dtype
    layout, T, B = room.kernels.layout, room.T, room.B
    values = {**run.arrays, **{name: empty(shape, dtype) for name, shape in room.backward}}
    masked = len(run.mask) > 0
    for name, given in zip(layout.states, d_finals, strict=True):
        values[f"d{name}"][:B] = 0 if given is None else given
        values[f"d{name}_start"] = zeros((B if masked else 0, run.arrays[name].shape[1]), dtype)
    for name, width in layout.row_grads.items():
        values[f"dp_{name}"] = zeros((B, width.of(room.sizes)), dtype)
    width = layout.output.of(room.sizes)
    if dy is None:
        values["dy"], values["dy_row"] = zeros((1, width), dtype), 0
    else:
        values["dy"] = np.ascontiguousarray(dy).reshape(T * B, width)
        values["dy_row"] = width * dtype.itemsize
    if layout.reads_input:
        values["dx"] = empty(run.x.shape, dtype)
    module = room.kernels.module
    _call(module.backward, module.BACKWARD, run, values, backwards=True)
    if not values["packed"]:
        _multiply_states(run, values)
    grads = weight_gradients(run, values, needed)
    dx = _input_gradient(run, values) if needs_x else None
    half = T % 2 * B
    d_states = []
    for name in layout.states:
        total = values[f"d{name}"][half : half + B]
        d_states.append(total + values[f"d{name}_start"] if masked else total.copy())
    return dx, d_states, grads


def _multiply_states(run, values):
    """The products with states of a single step, whose weights were not packed."""
    room = run.room
    for _, part, _, _ in room.parts:
        kind, number = part.operand
        if kind == "state":
            size = room.sizes[room.kernels.layout.buffers[part.buffer].letter]
            dz = window(values[f"dz{part.buffer}"], part.block, part.blocks, size)
            d_state = values[f"d{room.kernels.layout.states[number]}"][room.B :]
            matmul(dz, weight_of(run, part).T, out=d_state, accumulate=True)


def _input_gradient(run, values):
    """What all products with x, and segments that read it, say about x."""
    layout = run.room.kernels.layout
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
    return dx.reshape(run.room.T, run.room.B, dx.shape[1])
