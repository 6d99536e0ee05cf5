"""Recurrences on the CPU: the written kernels, and what they are given."""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._jit import load_source
from tinygrad_rnn.kernels._memory import zeros
from tinygrad_rnn.kernels._pool import num_threads, team
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.recurrence import run as surround
from tinygrad_rnn.kernels.recurrence.cpu_packing import input_weight, packed, pays_to_pack
from tinygrad_rnn.kernels.recurrence.cpu_runtime import rows_times_weight
from tinygrad_rnn.kernels.recurrence.cpu_standard import standardize, standardize_back
from tinygrad_rnn.kernels.recurrence.cpu_sums import column_sums
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
_FEW_ROWS = 8  # of a step: weights are read for them alone
_NO_TURN = np.zeros(1, np.int64)
_CACHE = 2 << 20  # bytes of the second level


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
    kernel, arguments = module.forward, module.FORWARD
    if backwards:
        kernel, arguments = module.backward, module.BACKWARD
    inside = values.get("inside", 0)
    pack = pays_to_pack(run, backwards, inside)
    values |= shared_values(run, pack, backwards, inside)
    flops = 2.0 * run.schedule.size * run.sized.weight_count
    limit = None if flops > FLOPS_WORTH_A_TEAM else 1
    team(kernel, *[values[name] for name, _ in arguments[2:]], limit=limit)
    values["turn"][0] ^= run.schedule.steps & 1
    if backwards and not values["packed"] and values["needs_states"]:
        _multiply_states(run, values)


def does_inputs(sized, rows, steps=1):
    """Whether a step does the products with x itself.

    All weights are then read panel by panel, those of x beside those of the state; and step
    after step from the other end, so that what was read last is read first, from the cache.
    """
    return steps == 1 and rows <= _FEW_ROWS and bool(sized.layout.input_parts)


def shared_values(run, pack, backwards, inside=0):
    """What the written kernels of both ways take besides their rows: weights, sizes, flags."""
    sized, dtype, schedule, values = run.sized, run.like.dtype, run.schedule, {}
    for name, part, block, back in sized.parts:
        if pack or (backwards and part.operand[0] == "operand"):
            values[name] = packed(run, part, block, back if backwards else None)
        else:
            values[name] = weight_of(run, part, block)
    if not backwards:
        for name, part, block in sized.input_parts:
            values[name] = (packed if inside and pack else weight_of)(run, part, block)
    by_columns = _by_columns(schedule.rows, sized.weight_count * dtype.itemsize)
    return values | run.given | {
        "reverse": int(run.reverse), "by_columns": int(by_columns), "packed": int(pack),
        "T": schedule.steps, "B": schedule.rows, "offsets": schedule.offsets,
        "places": schedule.places, "flags": schedule.flags, "like_array": _LIKE[dtype.char],
        "rows_times_weight": rows_times_weight.address(dtype),
        "meeting": zeros(16, np.int64) if by_columns else _NO_MEETING, "turn": _turn_of(run),
        **sized.sizes,
    }  # fmt: skip


def _turn_of(run):
    """From which end a call begins: kept with the first weight, where its forms are kept."""
    for _, part, _, _ in run.sized.parts:
        forms = run.forms.get(part.weight)
        if forms is None:
            break
        if "turn" not in forms:
            forms["turn"] = np.zeros(1, np.int64)
        return forms["turn"]
    return _NO_TURN


def _by_columns(rows, weights):
    """Whether threads divide the columns rather than the rows.

    Rows need no barrier. Columns are better where a thread would have too few rows to keep
    its multipliers busy, and where it would read, for few rows, more weights than its cache
    holds: of columns it reads only its part.
    """
    each = rows / num_threads()
    return each < 6 or (each <= 16 and weights > _CACHE)


def _multiply_states(run, values):
    """The products with states of a single step, whose weights were not packed."""
    sized = run.sized
    for _, part, block, _ in sized.parts:
        kind, number = part.operand
        if kind == "state":
            dz = window(values[f"dz{part.buffer}"], part.block, part.blocks, block)
            d_state = values[f"d{sized.layout.states[number]}"][run.schedule.rows :]
            matmul(dz, weight_of(run, part, block).T, out=d_state, accumulate=True)


def _multiplied(rows, params, forms, weight, bias):
    return matmul(rows, input_weight(params, forms, weight), bias=bias)


def _inside(sized, schedule):
    return does_inputs(sized, schedule.rows, schedule.steps)


_CPU = surround.Device(_inside, _walk, _multiplied, standardize, standardize_back, column_sums)
forward = partial(surround.forward, _CPU)
backward = partial(surround.backward, _CPU)
