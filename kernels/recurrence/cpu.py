"""Recurrences on the CPU: what surrounds the written kernels.

One product with x over all steps, the written forward kernel, and on the way back the
written backward kernel and one product a weight over all steps.
"""

import numpy as np

from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels._pool import num_threads, team
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.recurrence.cpu_ends import (
    NO_ROWS,
    StateGradients,
    final_states,
    gathered,
    scattered,
    start,
)
from tinygrad_rnn.kernels.recurrence.cpu_gradients import weight_gradients
from tinygrad_rnn.kernels.recurrence.cpu_kept import gradients_later, kept
from tinygrad_rnn.kernels.recurrence.cpu_packing import input_weight, packed, pays_to_pack
from tinygrad_rnn.kernels.recurrence.cpu_runtime import rows_times_weight
from tinygrad_rnn.kernels.recurrence.cpu_sized import Run, at_sizes, kernels_of, weight_of, window
from tinygrad_rnn.kernels.recurrence.cpu_standard import standardize, standardize_back
from tinygrad_rnn.kernels.recurrence.derivative import Rules
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.schedule import schedule_of
from tinygrad_rnn.kernels.recurrence.shapes import shapes_of

__all__ = ["backward", "forward", "kept", "source_of"]

_NO_MEETING = np.zeros(0, np.int64)
_LIKE = {char: np.zeros((1, 1), char) for char in "fd"}  # it tells the element type
FLOPS_WORTH_A_TEAM = 1e6
_CACHE = 2 << 20  # bytes of the second level


def source_of(program: Program, rules: Rules) -> str:
    """The text of the kernels."""
    return kernels_of(program, rules).source


def _call(kernel, arguments, run, values, *, backwards):
    """Run a written kernel on a team."""
    values |= shared_values(run, pays_to_pack(run, backwards), backwards)
    flops = 2.0 * run.schedule.size * run.sized.weight_count
    limit = None if flops > FLOPS_WORTH_A_TEAM else 1
    team(kernel, *[values[name] for name, _ in arguments[2:]], limit=limit)


def shared_values(run, pack, backwards):
    """What the written kernels of both ways take besides their rows: weights, sizes, flags."""
    sized, dtype, schedule, values = run.sized, run.like.dtype, run.schedule, {}
    for name, part, block, back in sized.parts:
        if pack or (backwards and part.operand[0] == "operand"):
            values[name] = packed(run, part, block, back if backwards else None)
        else:
            values[name] = weight_of(run, part, block)
    by_columns = _by_columns(schedule.rows, sized.weight_count * dtype.itemsize)
    return values | run.given | {
        "reverse": int(run.reverse), "by_columns": int(by_columns), "packed": int(pack),
        "T": schedule.steps, "B": schedule.rows, "offsets": schedule.offsets,
        "places": schedule.places, "flags": schedule.flags, "like_array": _LIKE[dtype.char],
        "rows_times_weight": rows_times_weight.address(dtype),
        "meeting": zeros(16, np.int64) if by_columns else _NO_MEETING, **sized.sizes,
    }  # fmt: skip


def _by_columns(rows, weights):
    """Whether threads divide the columns rather than the rows.

    Rows need no barrier. Columns are better where a thread would have too few rows to keep
    its multipliers busy, and where it would read, for few rows, more weights than its cache
    holds: of columns it reads only its part.
    """
    each = rows / num_threads()
    return each < 6 or (each <= 16 and weights > _CACHE)


def given_values(layout, settings, noise, schedule, rows, dtype):
    """Settings and noise, as written kernels take them."""
    given = {}
    if layout.settings:
        given["settings"] = np.array([settings[name] for name in layout.settings], dtype)
    if layout.sites:
        given |= {"noise_key": noise.key, "first_step": noise.first_step, "batch": rows}
        ids = noise.row_ids(rows).astype(np.int64)
        given["row_ids"] = ids if schedule.order is None else ids[schedule.order]
    return given


def forward(
    program, x, states, params, *,
    rules, steps, mask=None, reverse=False, restart=None, forms=None, settings=None, noise=None,
):  # fmt: skip
    forms = forms or {}
    weights = [params[name] for name, _ in program.params]
    sized = at_sizes(program, rules, shapes_of(x, states, weights))
    layout, dtype, B = sized.kernels.layout, states[0].dtype, len(states[0])
    schedule = schedule_of(mask, steps, B, reverse)
    arrays = own_arrays(sized, schedule, params, steps * B, dtype)
    rows = None if x is None else gathered(schedule, x)
    for name, weight, bias in sized.hoisted:
        begin = None if bias is None else params[bias[0]][bias[1]]
        arrays[name] = matmul(rows, input_weight(params, forms, weight), bias=begin)
    for i, eps in sized.standards:
        standardize(arrays[f"z{i}"], eps, arrays[f"r{i}"])
    again = states if restart is None else restart
    first, last = (schedule.size, 0) if reverse else (0, schedule.size)
    of_rows = start(schedule, states, again)
    for name, state in zip(layout.states, of_rows, strict=True):
        arrays[name][first : first + schedule.rows] = state
    arrays |= _restarts(sized, schedule, again, dtype)
    if rows is not None:
        arrays["x"] = rows
    given = given_values(layout, settings, noise, schedule, B, dtype)
    run = Run(
        sized, schedule, (steps, B), reverse, states, restart is not None,
        rows, params, forms, given, arrays,
    )  # fmt: skip
    module = sized.kernels.module
    _call(module.forward, module.FORWARD, run, {**arrays}, backwards=False)
    y = output_of(layout, arrays, steps * B, B, reverse)
    finals = [arrays[name][last : last + schedule.rows] for name in layout.states]
    finals = final_states(schedule, finals, states, again)
    return y.reshape(steps, B, y.shape[1]), finals, run


def own_arrays(sized, schedule, params, rows, dtype):
    """The arrays that the forward kernel writes, and its small weights."""
    arrays = _arrays(sized.forward_arrays, schedule, dtype)
    for name, weight, columns in sized.biases:
        arrays[name] = np.ascontiguousarray(params[weight][columns])
    arrays["y"] = _own_output(sized, schedule, rows, dtype)
    for name in sized.kernels.layout.row_params:
        arrays[f"p_{name}"] = np.ascontiguousarray(params[name]).reshape(-1)
    return arrays


def output_of(layout, arrays, rows, B, reverse):
    """The outputs of all steps, a row each: an array of their own, or a state's."""
    if len(arrays["y"]):
        return arrays["y"]
    states = arrays[layout.states[layout.lowered.output_state or 0]]
    return states[:rows] if reverse else states[B:]


def _arrays(listed, schedule, dtype):
    return {
        name: empty((steps * schedule.size + rows * schedule.rows, width), dtype)
        for name, steps, rows, width in listed
    }


def _own_output(sized, schedule, rows, dtype):
    """An array for the output, unless the steps of a state are just that."""
    if schedule.order is not None:
        return zeros((rows, sized.output_width), dtype)
    if schedule.resets or sized.kernels.layout.lowered.output_state is None:
        return empty((rows, sized.output_width), dtype)
    return NO_ROWS[dtype.char]


def _restarts(sized, schedule, states, dtype):
    """What rows are put back to, in the order of the schedule."""
    if not schedule.resets:
        return dict.fromkeys(sized.restarts, NO_ROWS[dtype.char])
    if schedule.order is not None:
        states = [state[schedule.order] for state in states]
    return dict(zip(sized.restarts, map(np.ascontiguousarray, states), strict=True))


def backward(run, dy, d_finals, *, needs_x, needed, later=None, by_rows=False, sums=None):
    sized, dtype, schedule = run.sized, run.like.dtype, run.schedule
    layout, (T, B) = sized.kernels.layout, run.extent
    values = {**run.arrays, **_arrays(sized.backward_arrays, schedule, dtype)}
    values["kept"] = 2 if later is None else schedule.steps + 1
    states = StateGradients(run, d_finals)
    states.put_into(values)
    for name, width in layout.row_grads.items():
        values[f"dp_{name}"] = zeros((schedule.rows, width.of(sized.sizes)), dtype)
    if dy is None:
        values["dy"], values["dy_row"] = zeros((1, sized.output_width), dtype), 0
    else:
        values["dy"] = np.ascontiguousarray(dy).reshape(T * B, sized.output_width)
        values["dy_row"] = sized.output_width * dtype.itemsize
    if layout.reads_input:
        values["dx"] = empty(run.x.shape, dtype)
    module = sized.kernels.module
    _call(module.backward, module.BACKWARD, run, values, backwards=True)
    if not values["packed"]:
        _multiply_states(run, values)
    for i, _ in sized.standards:
        standardize_back(values[f"z{i}"], values[f"dz{i}"], values[f"r{i}"])
    grads = weight_gradients(run, values, needed, by_rows, sums)
    dx = scattered(schedule, _input_gradient(run, values), T, B) if needs_x else None
    d_states, d_restart = states.of_given(values)
    if later is not None:
        later += gradients_later(run, values, d_states)
    return dx, d_states, d_restart, grads


def _multiply_states(run, values):
    """The products with states of a single step, whose weights were not packed."""
    sized = run.sized
    for _, part, block, _ in sized.parts:
        kind, number = part.operand
        if kind == "state":
            dz = window(values[f"dz{part.buffer}"], part.block, part.blocks, block)
            d_state = values[f"d{sized.kernels.layout.states[number]}"][run.schedule.rows :]
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
    return dx
