"""What a run keeps of every step: views of its buffers, where no row is held."""

from typing import Any

import numpy as np

from tinygrad_rnn.kernels._room import module_of
from tinygrad_rnn.kernels.recurrence.ends import scattered
from tinygrad_rnn.kernels.recurrence.kept import Kept
from tinygrad_rnn.kernels.recurrence.reference import RESET
from tinygrad_rnn.kernels.recurrence.sized import Run, window

__all__ = ["gradients_later", "kept"]


def kept(run: Run) -> Kept:
    """The states, and every line of the program whose value stands in a buffer."""
    layout, schedule = run.sized.layout, run.schedule
    program, last = layout.lowered.program, schedule.host.last
    put_back = schedule.resets or (last is not None and bool((last & RESET).any()))
    before, after = [], []
    for name, given in zip(layout.states, run.begun, strict=True):
        rows = run.arrays[name]
        old = _by_step(run, rows[schedule.rows :] if run.reverse else rows[: schedule.size])
        new = _carried(run, rows, _rows_after(run), given)
        if schedule.order is not None and not schedule.resets:  # held rows, too
            start = given[None]
            old = [new[1:], start] if run.reverse else [start, new[:-1]]
            old = module_of(given).concatenate(old)
        before.append(old)
        after.append(new)
    lines = _saved(run)
    for number, op in enumerate(program.operations):
        if op.name == "state":
            lines[number] = before[op["index"]]
        elif op.name == "input":
            lines[number] = _by_step(run, run.x)
    if put_back:
        return Kept(before, None, lines)
    return Kept(before, after, lines | dict(zip(program.results, after, strict=True)))


def gradients_later(run: Run, values: Any, d_states: Any) -> list[Any]:
    """The gradient of each state after every step, of rows for all of which backward had room."""
    names, schedule = run.sized.layout.states, run.schedule
    count, rows = schedule.steps, schedule.rows
    of_step = np.arange(count) if run.reverse else np.arange(count)[::-1]
    places: Any = slice(0, count * rows)
    if schedule.order is not None:
        step, row = _numbered(schedule)
        places = of_step[step] * rows + row
    found = []
    for name, before in zip(names, d_states, strict=True):
        by_step = _carried(run, values[f"d{name}"], places, before)
        found.append(by_step if run.reverse or schedule.order is not None else by_step[::-1])
    return found


def _numbered(schedule: Any) -> tuple[Any, Any]:
    """The step of each packed row, and its number there."""
    counts = np.diff(schedule.offsets)
    step = np.repeat(np.arange(len(counts)), counts)
    return step, np.arange(schedule.size) - schedule.offsets[step]


def _rows_after(run: Run) -> Any:
    """Where among a state's rows the new state of each packed row is."""
    schedule = run.schedule
    if schedule.order is None:
        return slice(0, schedule.size) if run.reverse else slice(schedule.rows, None)
    base, final = (schedule.rows, 0) if run.reverse else (0, schedule.size)
    step, row = _numbered(schedule)
    after = step - 1 if run.reverse else step + 1
    counts = np.append(np.diff(schedule.offsets), 0)  # none, before the first and after the last
    going = row < counts[after]
    return np.where(going, base + schedule.offsets[after % len(counts)], final) + row


def _carried(run: Run, rows: Any, places: Any, before: Any) -> Any:
    """Of each step (T, B, width), the row at the step's place or, where it is held, the last's.

    places  where among ``rows`` the one of each packed row is
    before  what rows carry until they step first
    """
    schedule, (T, B), width = run.schedule, run.extent, rows.shape[1]
    if schedule.order is None:
        return rows[places].reshape(T, B, width)
    latest: Any = np.full(T * B, -1)
    latest[schedule.host.places] = np.arange(schedule.size)
    latest = latest.reshape(T, B)
    in_run = latest[::-1] if run.reverse else latest
    for t in range(1, T):
        in_run[t] = np.where(in_run[t] < 0, in_run[t - 1], in_run[t])
    xp, stepped = module_of(rows), latest >= 0
    carried = xp.broadcast_to(before, (T, B, width)).copy()
    carried[xp.asarray(stepped)] = rows[xp.asarray(places[latest[stepped]])]
    return carried


def _saved(run: Run) -> dict[int, Any]:
    """Lines whose blocks stand side by side in a buffer of a product or of an operand."""
    sized = run.sized
    lowered = sized.layout.lowered
    places = {n: (f"z{i}", k) for n, (i, k) in sized.layout.derivative.saved.items()}
    for node, expression in enumerate(lowered.expressions.entries):
        if expression.name == "slot" and lowered.buffers[expression.attrs[0]].eps is not None:
            places[node] = f"z{expression.attrs[0]}", expression.attrs[1]
    for segment in lowered.segments:
        for target in segment:
            if target.kind == "operand":
                places[target.node] = f"a{target.number}", target.block
    found = {}
    for line, op in enumerate(lowered.program.operations):
        nodes = [lowered.blocks.get((line, k), -1) for k in range(op.width.count)]
        name, first = places.get(nodes[0], ("", 0))
        beside = [(name, first + k) for k in range(len(nodes))]
        if name and [places.get(node) for node in nodes] == beside:
            rows = window(run.arrays[name], first, len(nodes), sized.sizes[op.width.letter])
            found[line] = _by_step(run, rows)
    return found


def _by_step(run: Run, rows: Any) -> Any:
    """Rows below each other, as (T, B, width); 0 where a row is held."""
    return scattered(run.schedule, rows, *run.extent)
