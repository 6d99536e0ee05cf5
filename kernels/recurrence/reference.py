"""The definition: a program run line by line, over NumPy arrays or over Tensors.

``F`` holds the element-wise functions and ``matmul`` by name. With NumPy's functions this
is the oracle of tests, in any precision, complex included (relu, maximum, abs, clip and
where decide by the real part); with those of Tensors it is the composite path and the
replay for higher derivatives.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_rnn.kernels.recurrence.elementwise import COMPARISONS, ELEMENTWISE
from tinygrad_rnn.kernels.recurrence.program import Program

__all__ = [
    "CUT",
    "HOLD",
    "NUMPY",
    "RESET",
    "STEP",
    "lines",
    "needed",
    "one_step",
    "over_time",
    "sequence",
]

# What a row does at a step: flags in one byte of a mask. A row that does not STEP is held: its
# state is carried, its output is 0. Before a step, RESET puts the state back to where it
# starts anew, and CUT keeps gradients from going further back; both also where a row is held.
HOLD, STEP, RESET, CUT = 0, 1, 2, 4


def _standardize(row, eps):
    centred = row - row.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)


NUMPY = SimpleNamespace(
    **{name: op.numpy for name, op in ELEMENTWISE.items()},
    matmul=np.matmul, stack=np.stack, standardize=_standardize, detach=lambda array: array,
)  # fmt: skip


def one_step(program: Program, F, x, states, params, *, step=0, settings=None, noise=None):
    """One step, the ``step``th: the output and the new states, rows in the first axis.

    settings  the numbers that the program asks for by name
    noise     where its random numbers come from
    """

    def numbers(op, row):
        shape = len(states[0]), row.shape[-1]  # a row of weights alone is there once
        return noise.at(op["site"], [step], *shape, _array(row), locked=op["locked"])[0]

    given = settings, numbers
    values: dict[int, Any] = {}
    for number, op in enumerate(program.operations):
        if op.name in ("input", "state"):
            values[number] = x if op.name == "input" else states[op["index"]]
        else:
            values[number] = _value(program, number, F, values, params, given, states[0].dtype)
    every = np.ones((len(states[0]), 1), np.bool_)
    for number in {program.output, *program.results}:
        if values[number].ndim < 2:  # made of weights alone: the same for all rows
            values[number] = F.where(every, values[number], states[0].dtype.type(0))
    return values[program.output], [values[i] for i in program.results]


def lines(program: Program, F, known, params, wanted, dtype, *, settings=None, noise=None):
    """The ``wanted`` lines, (T, B, width), and what they are made of, by what is ``known``."""

    def numbers(op, row):
        steps, rows = next(v.shape[:2] for v in known.values() if v.ndim == 3)
        shape = rows, row.shape[-1]
        return noise.at(op["site"], range(steps), *shape, _array(row), locked=op["locked"])

    values = dict(known)
    for number in needed(program, wanted, known):
        values[number] = _value(program, number, F, values, params, (settings, numbers), dtype)
    return values


def needed(program: Program, wanted, known):
    """The lines to be computed for the ``wanted`` ones, in order, where some are ``known``."""
    ahead, found = list(wanted), set()
    while ahead:
        number = ahead.pop()
        if number not in found and number not in known:
            found.add(number)
            ahead += program.operations[number].args
    return sorted(found)


def _array(row):
    return getattr(row, "_data", row)  # of a Tensor


def _value(program: Program, number, F, values, params, given, dtype):
    """The value of a line that is neither input nor state."""
    settings, numbers = given
    op = program.operations[number]
    args = [values[i] for i in op.args]
    if op.name == "param":
        return params[op["weight"]]
    if op.name == "const":
        return op["value"]
    if op.name == "setting":
        return dtype.type(settings[op["name"]])
    if op.name == "noise":
        return numbers(op, args[0])
    if op.name == "matmul":
        row = args[0]  # a row of weights alone is not there for each row of a batch
        found = F.matmul(row[None] if row.ndim == 1 else row, params[op["weight"]])
        return found[0] if row.ndim == 1 else found
    if op.name == "chunk":
        pieces = program.operations[op.args[0]].width.count // op.width.count
        width = args[0].shape[-1] // pieces
        return args[0][..., op["index"] * width : (op["index"] + 1) * width]
    if op.name in COMPARISONS:
        return ELEMENTWISE[op.name].numpy(*args)
    if op.name == "where" and all(isinstance(a, float) for a in args[1:]):
        args[1] = dtype.type(args[1])  # numbers alone would be of no type
    return getattr(F, op.name)(*args, **dict(op.attrs))


def sequence(
    program: Program, F, x, states, params, *,
    steps, mask=None, reverse=False, restart=None, settings=None, noise=None, watch=None,
):  # fmt: skip
    """All steps: outputs (T, B, ...) and the final states.

    x (T, B, I)  or None where the program has no input
    states       (B, ...) each
    mask (T, B)  flags, or None for STEP everywhere
    restart      (B, ...) each, what RESET puts states back to; None: the given states
    """

    def step(t, x, states, rows):
        of_rows = noise if rows is None or noise is None else noise.of_rows(rows)
        more = {"step": t, "settings": settings, "noise": of_rows}
        return one_step(program, F, x, states, params, **more)

    return over_time(
        step, F, x, states,
        steps=steps, mask=mask, reverse=reverse, restart=restart, watch=watch,
    )  # fmt: skip


def over_time(
    step: Any, F: Any, x: Any, states: Any, *,
    steps: int, mask: Any, reverse: Any, restart: Any = None, watch: Any = None,
) -> Any:  # fmt: skip
    """The same for any ``step(t, x, states, rows)`` that gives an output and new states.

    ``rows`` are the places of the rows that step; None: all. Those that are held are no part of
    a step: their x may hold NaN, and so may what equations make of any number in its place.
    ``watch(t, before, after)`` sees the states around a step, and gives those to go on with.
    """
    restart = states if restart is None else restart
    current = list(states)
    outputs: list[Any] = [None] * steps
    for t in reversed(range(steps)) if reverse else range(steps):
        if mask is not None:
            current = _before(F, mask[t], current, restart)
        seen = None if x is None else x[t]
        stepping = None if mask is None else mask[t] & STEP != 0
        if stepping is None or stepping.all():
            output, new = step(t, seen, current, None)
        elif stepping.any():
            output, new = _of_some(step, F, t, seen, current, stepping)
        else:
            output, new = None, current
        outputs[t], current = output, new if watch is None else watch(t, current, new)
    if any(output is None for output in outputs):
        outputs = _filled(step, F, x, states, outputs)
    return F.stack(outputs), current


def _filled(step: Any, F: Any, x: Any, states: Any, outputs: list[Any]) -> list[Any]:
    """The outputs, with zeros where no row has stepped."""
    every = np.ones((len(states[0]), 1), np.bool_)
    known = next((F.detach(o) for o in outputs if o is not None), None)
    if known is None:  # what a step would give tells how wide an output is
        known, _ = step(0, None if x is None else F.where(every, 0.0, x[0]), states, None)
    nothing = F.where(every, 0.0, known)
    return [nothing if o is None else o for o in outputs]


def _of_some(step: Any, F: Any, t: int, x: Any, states: Any, stepping: Any) -> Any:
    """A step of some rows (B,); the states of others are carried, and their outputs are 0."""
    rows = np.flatnonzero(stepping)
    output, new = step(t, None if x is None else x[rows], [s[rows] for s in states], rows)
    places, held = np.maximum(np.cumsum(stepping) - 1, 0), ~stepping[:, None]
    new = [F.where(held, a, b[places]) for a, b in zip(states, new, strict=True)]
    return F.where(held, 0.0, output[places]), new


def _before(F: Any, flags: Any, states: Any, restart: Any) -> Any:
    """The states before a step whose flags (B,) may put them back and cut them off."""
    again, cut = (flags & RESET != 0)[:, None], (flags & CUT != 0)[:, None]
    if again.any():
        states = [F.where(again, a, b) for a, b in zip(restart, states, strict=True)]
    return [F.where(cut, F.detach(s), s) for s in states] if cut.any() else states
