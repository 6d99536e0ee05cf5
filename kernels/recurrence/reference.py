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

__all__ = ["HOLD", "NUMPY", "RESET", "STEP", "one_step", "over_time", "sequence"]

# What a row does at a step, one byte each in a mask.
HOLD, STEP, RESET = 0, 1, 2

NUMPY = SimpleNamespace(
    **{name: op.numpy for name, op in ELEMENTWISE.items()}, matmul=np.matmul, stack=np.stack
)


def one_step(program: Program, F, x, states, params):
    """One step: the output and the new states, rows in the first axis."""
    values: list[Any] = []
    for op in program.operations:
        args = [values[i] for i in op.args]
        if op.name in ("input", "state"):
            value = x if op.name == "input" else states[op["index"]]
        elif op.name == "param":
            value = params[op["weight"]]
        elif op.name == "const":
            value = op["value"]
        elif op.name == "matmul":
            value = F.matmul(args[0], params[op["weight"]])
        elif op.name == "chunk":
            pieces = program.operations[op.args[0]].width.count // op.width.count
            width = args[0].shape[-1] // pieces
            value = args[0][..., op["index"] * width : (op["index"] + 1) * width]
        elif op.name in COMPARISONS:
            value = ELEMENTWISE[op.name].numpy(*args)
        else:
            if op.name == "where" and all(isinstance(a, float) for a in args[1:]):
                args[1] = states[0].dtype.type(args[1])  # numbers alone would be of no type
            value = getattr(F, op.name)(*args, **dict(op.attrs))
        values.append(value)
    return values[program.output], [values[i] for i in program.results]


def sequence(program: Program, F, x, states, params, *, steps, mask=None, reverse=False):
    """All steps: outputs (T, B, ...) and the final states.

    x (T, B, I)  or None where the program has no input
    states       (B, ...) each
    mask (T, B)  HOLD, STEP or RESET, or None for STEP everywhere
    """

    def step(x, states):
        return one_step(program, F, x, states, params)

    return over_time(step, F, x, states, steps=steps, mask=mask, reverse=reverse)


def over_time(
    step: Any, F: Any, x: Any, states: Any, *, steps: int, mask: Any, reverse: Any
) -> Any:
    """The same for any ``step(x, states)`` that gives an output and new states."""
    initial = list(states)
    current = list(states)
    outputs: list[Any] = [None] * steps
    if mask is not None and x is not None:
        x = F.where((mask == HOLD)[..., None], 0.0, x)  # padding may hold NaN
    for t in reversed(range(steps)) if reverse else range(steps):
        if mask is not None:
            again = (mask[t] == RESET)[:, None]
            current = [F.where(again, a, b) for a, b in zip(initial, current, strict=True)]
        output, new = step(None if x is None else x[t], current)
        if mask is not None:
            held = (mask[t] == HOLD)[:, None]
            new = [F.where(held, a, b) for a, b in zip(current, new, strict=True)]
            output = F.where(held, 0.0, output)
        outputs[t], current = output, new
    return F.stack(outputs), current
