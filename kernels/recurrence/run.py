"""What surrounds the steps of a run, on any device: both ways, whatever does the steps.

One product with x over all steps, the steps, and on the way back one product a weight over
all steps. How steps are done is a ``Device``'s affair.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._room import empty, module_of, zeros
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.matmul import PackedMatrix, matmul
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.kernels.recurrence.derivative import Rules
from tinygrad_rnn.kernels.recurrence.ends import (
    StateGradients,
    final_states,
    gathered,
    no_rows,
    scattered,
    start,
)
from tinygrad_rnn.kernels.recurrence.gradients import WeightGradients
from tinygrad_rnn.kernels.recurrence.layout import Layout
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.run_kept import gradients_later
from tinygrad_rnn.kernels.recurrence.schedule import Schedule, schedule_of
from tinygrad_rnn.kernels.recurrence.shapes import shapes_of
from tinygrad_rnn.kernels.recurrence.sized import Run, Sized, at_sizes, part_of

__all__ = [
    "Device", "backward", "forward", "given_values", "output_holder", "output_of", "own_arrays",
]  # fmt: skip

Values = dict[str, Any]


@dataclass(frozen=True)
class Device:
    """How the steps of a run are done.

    inside            whether steps do the products with x themselves: (sized, schedule)
    factor            the weight of x that rows are multiplied with, by name: (weights, forms, name)
    multiplied        the product of all rows of x with one: (rows, factor, bias)
    weights           put among the values what steps read of weights, and return what ``repeated``
                      is to pack first: (run, values, backwards)
    walk              do all steps of a run, or with backwards=True go back through them; the
                      arrays that kernels read and write are given by name
    fill              write rows, or zeros where there are none: (target, rows or None)
    standardize       rows in place, and where 1 / deviation of each goes: (rows, eps, deviations)
    standardize_back  their gradients in place: (rows, gradients, deviations)
    column_sums       the sum of all rows, in blocks of a fixed height
    repeated          what work() returns: (run, values, what to pack, kinds, other arrays, work).
                      Work of kernels alone may be written down, and is not called then: what it
                      puts among the values cannot be relied on. kinds is all that decides about
                      it besides the run's sizes; None where there is more than kernels do
    """

    inside: Callable[[Sized, Schedule], bool]
    factor: Callable[..., Any]
    multiplied: Callable[..., Array]
    weights: Callable[..., Any]
    walk: Callable[..., None]
    fill: Callable[[Array, Array | None], None]
    standardize: Callable[[Array, float, Array], None]
    standardize_back: Callable[[Array, Array, Array], None]
    column_sums: Callable[[Array], Array]
    repeated: Callable[..., list[Array]]


def forward(
    device: Device, program: Program, x: Array | None, states: Sequence[Array],
    params: Mapping[str, Array], *, rules: Rules, steps: int, mask: Array | None = None,
    reverse: bool = False, restart: Sequence[Array] | None = None,
    forms: Mapping[str, dict[Any, Any]] | None = None,
    settings: Mapping[str, float] | None = None, noise: Noise | None = None,
) -> tuple[Array, list[Array], Run]:  # fmt: skip
    """Run all steps, as ``recurrence.forward`` says."""
    forms = forms or {}
    weights = [params[name] for name in program.weights]
    sized = at_sizes(program, rules, shapes_of(x, states, weights))
    layout, like, B = sized.layout, states[0], len(states[0])
    schedule = schedule_of(mask, steps, B, reverse).beside(like)
    arrays = own_arrays(sized, schedule, params, steps * B, like)
    rows = None if x is None else gathered(schedule, x)
    again = states if restart is None else restart
    first, last = (schedule.size, 0) if reverse else (0, schedule.size)
    of_rows = start(schedule, states, again)
    for name, state in zip(layout.states, of_rows, strict=True):
        arrays[name][first : first + schedule.rows] = state
    if schedule.resets:
        arrays |= _restarts(sized, schedule, again)
    if rows is not None:
        arrays["x"] = rows
    given = given_values(layout, settings, noise, schedule, B, like)
    run = Run(
        sized, schedule, (steps, B), reverse, states, restart is not None,
        rows, params, forms, given, arrays,
    )  # fmt: skip
    _steps_forward(device, run)
    y = output_of(layout, arrays, steps * B, B, reverse)
    finals = [arrays[name][last : last + schedule.rows] for name in layout.states]
    finals = final_states(schedule, finals, states, again)
    return y.reshape(steps, B, y.shape[1]), finals, run


def _steps_forward(device: Device, run: Run) -> None:
    """All that kernels do: products with x, what is standardised before the steps, the steps."""
    sized, arrays, params = run.sized, run.arrays, run.params
    inside = device.inside(sized, run.schedule)
    factors = []
    for name, weight, bias in sized.hoisted:
        if inside:
            arrays[name] = empty((run.schedule.size, params[weight].shape[1]), run.like)
        else:
            begin = None if bias is None else part_of(params[bias[0]], bias[1])
            factors.append((name, device.factor(params, run.forms, weight), begin))
    names = [name for name, _, _ in factors]
    values = {**arrays, "inside": int(inside)}
    to_pack = device.weights(run, values, backwards=False)

    def work() -> list[Array]:
        made = [device.multiplied(run.x, factor, begin) for _, factor, begin in factors]
        values.update(zip(names, made, strict=True))
        for i, eps in sized.standards:
            device.standardize(values[f"z{i}"], eps, values[f"r{i}"])
        device.walk(run, values, backwards=False)
        return made

    panels = {f"panels of {n}": f.panels for n, f, _ in factors if isinstance(f, PackedMatrix)}
    kinds = "forward", inside, tuple(panels)
    made = device.repeated(run, values, to_pack, kinds, panels, work)
    arrays.update(zip(names, made, strict=True))


def given_values(
    layout: Layout, settings: Any, noise: Any, schedule: Schedule, rows: int, like: Array
) -> Values:
    """Settings and noise, as written kernels take them."""
    given: Values = {}
    if layout.settings:
        numbers = np.array([settings[name] for name in layout.settings], like.dtype)
        given["settings"] = module_of(like).asarray(numbers)
    if layout.sites:
        given |= {"noise_key": noise.key, "first_step": noise.first_step, "batch": rows}
        ids = module_of(like).asarray(noise.row_ids(rows).astype(np.int64))
        given["row_ids"] = ids if schedule.order is None else ids[schedule.order]
    return given


def own_arrays(
    sized: Sized, schedule: Schedule, params: Mapping[str, Array], rows: int, like: Array
) -> Values:
    """The arrays that the forward kernel writes, and its small weights; no row is put back."""
    arrays = _arrays(sized.forward_arrays, schedule, like)
    contiguous, nothing = module_of(like).ascontiguousarray, no_rows(like)
    for name, weight, columns in sized.biases:
        arrays[name] = contiguous(part_of(params[weight], columns))
    arrays["y"] = _own_output(sized, schedule, rows, nothing)
    for name in sized.layout.row_params:
        arrays[f"p_{name}"] = contiguous(params[name]).reshape(-1)
    for name in sized.restarts:
        arrays[name] = nothing
    return arrays


def output_of(layout: Layout, arrays: Values, rows: int, B: int, reverse: bool) -> Array:
    """The outputs of all steps, a row each."""
    holder = output_holder(layout, arrays)
    if holder is arrays["y"]:
        return holder
    return holder[:rows] if reverse else holder[B:]


def output_holder(layout: Layout, arrays: Values) -> Array:
    """The array that outputs are in: their own, or a state's, with that before all steps."""
    state = layout.lowered.output_state
    if state is None or len(arrays["y"]):
        return arrays["y"]
    return arrays[layout.states[state]]


def _arrays(listed: Any, schedule: Schedule, like: Array) -> Values:
    return {
        name: empty((steps * schedule.size + rows * schedule.rows, width), like)
        for name, steps, rows, width in listed
    }


def _own_output(sized: Sized, schedule: Schedule, rows: int, nothing: Array) -> Array:
    """An array for the output, or nothing: the steps of a state may be just that."""
    if schedule.order is not None:
        return zeros((rows, sized.output_width), nothing)
    if schedule.resets or sized.layout.lowered.output_state is None:
        return empty((rows, sized.output_width), nothing)
    return nothing


def _restarts(sized: Sized, schedule: Schedule, states: Any) -> Values:
    """What rows are put back to, in the order of the schedule."""
    if schedule.order is not None:
        states = [state[schedule.order] for state in states]
    contiguous = module_of(states[0]).ascontiguousarray
    return dict(zip(sized.restarts, map(contiguous, states), strict=True))


def backward(
    device: Device, run: Run, dy: Array | None, d_finals: Sequence[Array | None], *,
    needs_x: bool, needed: set[str], needs_states: bool = True,
    later: list[Array] | None = None, by_rows: bool = False, sums: dict[str, Array] | None = None,
) -> tuple[Array | None, list[Array], list[Array], dict[str, Array]]:  # fmt: skip
    """Differentiate a run, as ``recurrence.backward`` says."""
    sized, (T, B) = run.sized, run.extent
    values = {**run.arrays, "kept": 2 if later is None else run.schedule.steps + 1}
    values["needs_states"] = needs_states = needs_states or later is not None
    values["dy_row"] = 0  # without dy every step reads the same row of zeros
    if dy is not None:
        rows = module_of(run.like).ascontiguousarray(dy)
        values["dy"] = rows.reshape(T * B, sized.output_width)
        values["dy_row"] = sized.output_width * run.like.dtype.itemsize
    to_pack = device.weights(run, values, backwards=True)
    states = StateGradients(run, d_finals, device.fill)
    weights = WeightGradients(run, values, needed, by_rows, sums, device)

    def work() -> list[Array]:
        states.put_into(values)
        dx = _go_back(device, run, values)
        first = states.first_rows(values) if needs_states else []
        own = _input_gradient(run, values, dx) if needs_x else None
        return [*weights.multiply(), *first, *([] if own is None else [own])]

    kinds: Any = None
    if not by_rows and later is None:  # these are not kernels' alone, and read what work has left
        present = tuple([d is not None for d in (dy, *states.after)])
        kinds = "backward", needs_x, needs_states, present, weights.key
    others: Values = {f"sum of {name}": total for name, total in weights.grads.items()}
    others |= {f"after step {i}": d for i, d in enumerate(states.after) if d is not None}
    made = iter(device.repeated(run, values, to_pack, kinds, others, work))
    grads, dx = weights.of(made), None
    d_states: list[Array] = []
    d_restart: list[Array] = []
    if needs_states:
        d_states, d_restart = states.of_given(list(islice(made, len(states.after))), values)
    if later is not None:
        later += gradients_later(run, values, d_states)
    if needs_x:
        dx = next(made, None)
        dx = zeros(run.x.shape, run.like) if dx is None else dx
        dx = dx if dx.ndim == 3 else scattered(run.schedule, dx, T, B)
    return dx, d_states, d_restart, grads


def _go_back(device: Device, run: Run, values: Values) -> Array | None:
    """Back through the steps, with arrays for what their kernels write; of those the input's."""
    sized, like, layout = run.sized, run.like, run.sized.layout
    values |= _arrays(sized.backward_arrays, run.schedule, like)
    sums = {name: width.of(sized.sizes) for name, (_, width) in layout.row_grads.items()}
    cleared = {name: (run.schedule.rows, width) for name, width in sums.items()}
    if "dy" not in values:
        cleared["dy"] = 1, sized.output_width
    for name, shape in cleared.items():
        values[name] = empty(shape, like)
        device.fill(values[name], None)
    dx = _like_input(run) if layout.reads_input else None
    if dx is not None:
        values["dx"] = dx.reshape(run.x.shape)
    device.walk(run, values, backwards=True)
    for i, _ in sized.standards:
        device.standardize_back(values[f"z{i}"], values[f"dz{i}"], values[f"r{i}"])
    return dx


def _like_input(run: Run) -> Array:
    """An array for the gradient of the input: where all rows step, as it is handed out."""
    packed = run.schedule.order is not None
    return empty(run.x.shape if packed else (*run.extent, run.x.shape[1]), run.like)


def _input_gradient(run: Run, values: Values, dx: Array | None) -> Array | None:
    """What all products with x say about x, if any do, added to what segments that read it say."""
    for i, buffer in enumerate(run.sized.layout.lowered.buffers):
        if buffer.hoisted:
            adds = dx is not None
            dx = _like_input(run) if dx is None else dx
            place, weight = dx.reshape(run.x.shape), run.params[buffer.hoisted].T
            matmul(values[f"dz{i}"], weight, out=place, accumulate=adds)
    return dx
