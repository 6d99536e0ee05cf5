"""Recurrences on the CPU: what surrounds the written kernels.

One product with x over all steps, the written forward kernel, and on the way back the
written backward kernel and one product a weight over all steps.
"""

import numpy as np

from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels._pool import num_threads, team
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.recurrence.cpu_gradients import weight_gradients
from tinygrad_rnn.kernels.recurrence.cpu_kept import kept
from tinygrad_rnn.kernels.recurrence.cpu_packing import input_weight, packed, pays_to_pack
from tinygrad_rnn.kernels.recurrence.cpu_runtime import rows_times_weight
from tinygrad_rnn.kernels.recurrence.cpu_sized import Run, at_sizes, kernels_of, weight_of, window
from tinygrad_rnn.kernels.recurrence.cpu_standard import standardize, standardize_back
from tinygrad_rnn.kernels.recurrence.derivative import Rules
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.reference import HOLD
from tinygrad_rnn.kernels.recurrence.shapes import shapes_of

__all__ = ["backward", "forward", "kept", "source_of"]

_NO_MASK = np.zeros(0, np.uint8)
_NO_MEETING = np.zeros(0, np.int64)
_LIKE = {char: np.zeros((1, 1), char) for char in "fd"}  # it tells the element type
_FLOPS_WORTH_A_TEAM = 1e6
_CACHE = 2 << 20  # bytes of the second level


def source_of(program: Program, rules: Rules) -> str:
    """The text of the kernels."""
    return kernels_of(program, rules).source


def _call(kernel, arguments, run, values, *, backwards):
    """Run a written kernel on a team."""
    sized, dtype = run.sized, run.like.dtype
    pack = pays_to_pack(run, backwards)
    for name, part, block, back in sized.parts:
        if pack or (backwards and part.operand[0] == "operand"):
            values[name] = packed(run, part, block, back if backwards else None)
        else:
            values[name] = weight_of(run, part, block)
    by_columns = _by_columns(sized.B, sized.weight_count * dtype.itemsize)
    values |= run.given
    values |= {
        "reverse": int(run.reverse), "by_columns": int(by_columns), "packed": int(pack),
        "T": sized.T, "B": sized.B,
        "like_array": _LIKE[dtype.char], "mask": run.mask,
        "rows_times_weight": rows_times_weight.address(dtype),
        "meeting": zeros(16, np.int64) if by_columns else _NO_MEETING, **sized.sizes,
    }  # fmt: skip
    worth = 2.0 * sized.T * sized.B * sized.weight_count > _FLOPS_WORTH_A_TEAM
    team(kernel, *[values[name] for name, _ in arguments[2:]], limit=None if worth else 1)


def _by_columns(rows, weights):
    """Whether threads divide the columns rather than the rows.

    Rows need no barrier. Columns are better where a thread would have too few rows to keep
    its multipliers busy, and where it would read, for few rows, more weights than its cache
    holds: of columns it reads only its part.
    """
    each = rows / num_threads()
    return each < 6 or (each <= 16 and weights > _CACHE)


def _given(program, settings, noise, rows, dtype):
    """Settings and noise, as written kernels take them."""
    given = {}
    if program.settings:
        given["settings"] = np.array([settings[name] for name in program.settings], dtype)
    if program.sites:
        given |= {"noise_key": noise.key, "first_step": noise.first_step}
        given["row_ids"] = noise.row_ids(rows).astype(np.int64)
    return given


def forward(
    program, x, states, params, *,
    rules, steps, mask=None, reverse=False, forms=None, settings=None, noise=None,
):  # fmt: skip
    forms = forms or {}
    weights = [params[name] for name, _ in program.params]
    sized = at_sizes(program, rules, shapes_of(x, states, weights), steps, mask is not None)
    layout, T, B = sized.kernels.layout, sized.T, sized.B
    dtype = states[0].dtype
    rows, flat = None, _NO_MASK
    if mask is not None:
        flat = np.ascontiguousarray(mask, np.uint8).reshape(-1)
    if x is not None:
        if mask is not None:
            x = np.where((mask == HOLD)[..., None], x.dtype.type(0), x)  # padding may hold NaN
        rows = np.ascontiguousarray(x).reshape(T * B, x.shape[-1])
    arrays = {name: empty(shape, dtype) for name, shape in sized.forward_arrays}
    for name, weight, bias in sized.hoisted:
        start = None if bias is None else params[bias[0]][bias[1]]
        arrays[name] = matmul(rows, input_weight(params, forms, weight), bias=start)
    for i, eps in sized.standards:
        standardize(arrays[f"z{i}"], eps, arrays[f"r{i}"])
    for name, weight, columns in sized.biases:
        arrays[name] = np.ascontiguousarray(params[weight][columns])
    first, last = (T * B, 0) if reverse else (0, T * B)
    for name, state in zip(layout.states, states, strict=True):
        arrays[name][first : first + B] = state
    for name in layout.row_params:
        arrays[f"p_{name}"] = np.ascontiguousarray(params[name]).reshape(-1)
    if rows is not None:
        arrays["x"] = rows
    given = _given(program, settings, noise, B, dtype)
    run = Run(sized, reverse, flat, rows, params, forms, given, arrays)
    module = sized.kernels.module
    _call(module.forward, module.FORWARD, run, {**arrays}, backwards=False)
    y = arrays["y"]
    if not sized.own_output:
        y = arrays[layout.states[layout.lowered.output_state]]
        y = y[: T * B] if reverse else y[B:]
    finals = [arrays[name][last : last + B] for name in layout.states]
    return y.reshape(T, B, y.shape[1]), finals, run


def backward(run, dy, d_finals, *, needs_x, needed, later=None, by_rows=False):
    sized, dtype = run.sized, run.like.dtype
    layout, T, B = sized.kernels.layout, sized.T, sized.B
    values = {**run.arrays, **{name: empty(shape, dtype) for name, shape in sized.backward_arrays}}
    values["kept"] = rows = 2 if later is None else T + 1  # steps with rows for states' gradients
    masked = len(run.mask) > 0
    for name, given in zip(layout.states, d_finals, strict=True):
        width = run.arrays[name].shape[1]
        values[f"d{name}"] = empty((rows * B, width), dtype)
        values[f"d{name}"][:B] = 0 if given is None else given
        values[f"d{name}_start"] = zeros((B if masked else 0, width), dtype)
    for name, width in layout.row_grads.items():
        values[f"dp_{name}"] = zeros((B, width.of(sized.sizes)), dtype)
    width = layout.output.of(sized.sizes)
    if dy is None:
        values["dy"], values["dy_row"] = zeros((1, width), dtype), 0
    else:
        values["dy"] = np.ascontiguousarray(dy).reshape(T * B, width)
        values["dy_row"] = width * dtype.itemsize
    if layout.reads_input:
        values["dx"] = empty(run.x.shape, dtype)
    module = sized.kernels.module
    _call(module.backward, module.BACKWARD, run, values, backwards=True)
    if not values["packed"]:
        _multiply_states(run, values)
    for i, _ in sized.standards:
        standardize_back(values[f"z{i}"], values[f"dz{i}"], values[f"r{i}"])
    grads = weight_gradients(run, values, needed, by_rows)
    dx = _input_gradient(run, values) if needs_x else None
    first = T % rows * B
    d_states = []
    for name in layout.states:
        total = values[f"d{name}"][first : first + B]
        d_states.append(total + values[f"d{name}_start"] if masked else total.copy())
        if later is not None:
            by_step = values[f"d{name}"][: T * B].reshape(T, B, total.shape[1])
            later.append(by_step if run.reverse else by_step[::-1])
    return dx, d_states, grads


def _multiply_states(run, values):
    """The products with states of a single step, whose weights were not packed."""
    sized = run.sized
    for _, part, block, _ in sized.parts:
        kind, number = part.operand
        if kind == "state":
            dz = window(values[f"dz{part.buffer}"], part.block, part.blocks, block)
            d_state = values[f"d{sized.kernels.layout.states[number]}"][sized.B :]
            matmul(dz, weight_of(run, part, block).T, out=d_state, accumulate=True)


def _input_gradient(run, values):
    """What all products with x, and segments that read it, say about x."""
    layout = run.sized.kernels.layout
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
    return dx.reshape(run.sized.T, run.sized.B, dx.shape[1])
