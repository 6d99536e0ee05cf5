"""Recurrences on the CPU: the written kernels, and what they are given.

``forward`` and ``backward`` are those of ``run.py``, with the ``Device`` that is made at the end.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel, load_source
from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels._pool import num_threads, team
from tinygrad_rnn.kernels._repeated import repeated
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.recurrence import run as surround
from tinygrad_rnn.kernels.recurrence.cpu_packing import forms_of, input_weight, pays_to_pack
from tinygrad_rnn.kernels.recurrence.cpu_runtime import rows_times_weight
from tinygrad_rnn.kernels.recurrence.cpu_standard import standardize, standardize_back
from tinygrad_rnn.kernels.recurrence.cpu_sums import column_sums, fill
from tinygrad_rnn.kernels.recurrence.derivative import Rules
from tinygrad_rnn.kernels.recurrence.layout import Layout
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.run_kept import kept
from tinygrad_rnn.kernels.recurrence.sized import layout_of, weight_of, window
from tinygrad_rnn.kernels.recurrence.writer.numba_text import module_source

__all__ = ["backward", "forward", "kept", "source_of"]

_NO_MEETING = np.zeros(0, np.int64)
_LIKE = {char: np.zeros((1, 1), char) for char in "fd"}  # it tells the element type
FLOPS_WORTH_A_TEAM = 1e6
_FEW_ROWS = 8  # up to so many, a step is as long as reading its weights
_ROWS_OF_A_THREAD, _NUMBERS_OF_A_THREAD = 16, 2048  # of a step's products: two tiles high
_BEYOND_CACHES = 3 << 19  # numbers that are met again only after caches have been swept
_NO_TURN = np.zeros(1, np.int64)
_LONG = 1e10  # operations of the steps: from then on what surrounds kernels hardly counts
_CACHE = 2 << 20  # bytes of the second level


@kernel("intp, intp, intp[::1]", fastmath=NO_FASTMATH)
def _turned(worker, workers, turn):
    """Let the next run begin at the other end."""
    if worker == 0:
        turn[0] ^= 1


@dataclass
class Kernels:
    """The kernels of a program, and their text."""

    source: str
    module: Any


@cache
def kernels_of(layout: Layout) -> Kernels:
    """The kernels of a program, written and loaded once."""
    text = module_source(layout)
    return Kernels(text, load_source("recurrence", text))


def source_of(program: Program, rules: Rules) -> str:
    """The text of the kernels."""
    return kernels_of(layout_of(program, rules)).source


def _walk(run, values, *, backwards):
    """Run a written kernel on a team."""
    module = kernels_of(run.sized.layout).module
    steps, arguments = module.forward, module.FORWARD
    if backwards:
        steps, arguments = module.backward, module.BACKWARD
    values |= _sizes_and_flags(run)
    weights = run.sized.weight_count
    if not backwards and values["inside"]:
        weights += sum(run.params[name].size for _, name, _ in run.sized.hoisted)
    limit = None if 2.0 * run.schedule.size * weights > FLOPS_WORTH_A_TEAM else 1
    team(steps, *[values[name] for name, _ in arguments[2:]], limit=limit)
    if run.schedule.steps & 1:
        team(_turned, values["turn"], limit=1)
    if backwards and not values["packed"] and values["needs_states"]:
        _multiply_states(run, values)


def does_inputs(sized, rows, steps):
    """Whether a step does the products with x itself, which changes no bit.

    All weights are then read panel by panel, those of x beside those of the state; and step
    after step from the other end, so that what was read last is read first, from the cache.
    One step of a few rows does; and steps whose products with x would together go through memory,
    out and in again, where each thread has rows enough to keep its multipliers busy.
    """
    if not sized.layout.input_parts:
        return False
    if steps == 1:
        return rows <= _FEW_ROWS
    each, columns = rows / num_threads(), sized.input_columns
    busy = each >= _ROWS_OF_A_THREAD and each * columns >= _NUMBERS_OF_A_THREAD
    return busy and steps * rows * columns >= _BEYOND_CACHES


def shared_values(run, inside):
    """What the written forward kernel takes besides its rows: packed weights, sizes, flags."""
    values, to_pack = _weights_of(run, True, False, inside)
    values |= _kept_panels(run, to_pack, [form.made(run) for form in to_pack.values()])
    return values | _sizes_and_flags(run)


def _weights(run, values, *, backwards):
    """Put the weights that steps read among the values; return what is still to be packed."""
    inside = values.get("inside", 0)
    found, to_pack = _weights_of(run, pays_to_pack(run, backwards, inside), backwards, inside)
    values |= found
    return to_pack


def _weights_of(run, pack, backwards, inside):
    """Weights by name, as they lie or packed; and forms of those that are to be packed first."""
    strips, inside = run.schedule.rows == 1, bool(inside)
    forms, as_they_lie = forms_of(run.sized, strips, pack, backwards, inside)
    values, to_pack = {"packed": int(pack), **run.given}, {}
    for name, part, block in as_they_lie:
        values[name] = weight_of(run, part, block)
    for name, form, key in forms:
        panels = run.forms.get(form.part.weight, {}).get(key)
        if panels is None:
            to_pack[name] = form
        else:
            values[name] = panels
    return values, to_pack


def _kept_panels(run, forms, made):
    """Panels by name, which are kept until the weights change."""
    panels = {name: each[None] for name, each in zip(forms, made, strict=True)}
    for name, form in forms.items():
        run.forms.get(form.part.weight, {})[form.key] = panels[name]
    return panels


def _sizes_and_flags(run):
    """Sizes and flags, and what is the same for all runs."""
    sized, dtype, schedule = run.sized, run.like.dtype, run.schedule
    by_columns = _by_columns(schedule.rows, sized.weight_count * dtype.itemsize)
    return {
        "reverse": int(run.reverse), "by_columns": int(by_columns),
        "T": schedule.steps, "B": schedule.rows, "offsets": schedule.offsets,
        "places": schedule.places, "flags": schedule.flags, "like_array": _LIKE[dtype.char],
        "rows_times_weight": rows_times_weight.address(dtype),
        "meeting": zeros(16, np.int64) if by_columns else _NO_MEETING, "turn": _turn_of(run),
        **sized.sizes,
    }  # fmt: skip


def _turn_of(run):
    """From which end a call begins: kept with the first weight, where its forms are kept."""
    parts = run.sized.parts
    forms = run.forms.get(parts[0][1].weight) if parts else None
    if forms is None:
        return _NO_TURN
    if "turn" not in forms:
        forms["turn"] = np.zeros(1, np.int64)
    return forms["turn"]


def _by_columns(rows, weight_bytes):
    """Whether threads divide the columns rather than the rows.

    Rows need no barrier. Columns are better where a thread would have too few rows to keep
    its multipliers busy, and where it would read, for few rows, more weights than its cache
    holds: of columns it reads only its part.
    """
    each = rows / num_threads()
    return each < 6 or (each <= 16 and weight_bytes > _CACHE)


def _multiply_states(run, values):
    """The products with states of a single step, whose weights were not packed."""
    sized = run.sized
    for _, part, block, _ in sized.parts:
        kind, number = part.operand
        if kind == "state":
            dz = window(values[f"dz{part.buffer}"], part.block, part.blocks, block)
            d_state = values[f"d{sized.layout.states[number]}"][run.schedule.rows :]
            matmul(dz, weight_of(run, part, block).T, out=d_state, accumulate=True)


def _multiplied(rows, factor, bias):
    # Without out= a small product would be NumPy's call, which cannot be written down.
    out = empty((len(rows), factor.shape[1]), rows.dtype)
    return matmul(rows, factor, out=out, bias=bias)


def _inside(sized, schedule):
    return does_inputs(sized, schedule.rows, schedule.steps)


def _repeated(run, values, to_pack, kinds, others, work):
    """Pack what is to be packed and do work, as one call from the third time on, if it is short."""

    def whole():
        panels = [form.made(run) for form in to_pack.values()]
        values.update({name: each[None] for name, each in zip(to_pack, panels, strict=True)})
        return [*panels, *work()]

    if kinds is None or not _short(run) or not _contiguous(run, values, others):
        made = whole()
    else:
        sized = run.sized
        kinds = kinds, values["packed"], tuple(to_pack)
        key = kinds, run.extent, run.reverse, run.like.dtype.char, num_threads()
        given = run.params, values, others
        made = repeated(sized.repeated, key, given, whole, sized.of_weights)
    if to_pack:
        _kept_panels(run, to_pack, made[: len(to_pack)])
        return made[len(to_pack) :]
    return made


def _short(run):
    """Whether kernels do all of a run, and are done so soon that what surrounds them counts."""
    flops = 2.0 * run.schedule.size * run.sized.weight_count
    return flops <= _LONG and run.schedule.plain and not run.sized.layout.sites


def _contiguous(run, values, others):
    """Whether what comes from outside lies in memory as arrays mostly do."""
    for array in (*run.params.values(), *others.values(), run.x, values.get("dy")):
        if array is not None:
            flags = array.flags
            if not (flags.c_contiguous and flags.aligned):
                return False
    return True


_CPU = surround.Device(
    inside=_inside,
    factor=input_weight,
    multiplied=_multiplied,
    weights=_weights,
    walk=_walk,
    fill=fill,
    standardize=standardize,
    standardize_back=standardize_back,
    column_sums=column_sums,
    repeated=_repeated,
)
forward = partial(surround.forward, _CPU)
backward = partial(surround.backward, _CPU)
