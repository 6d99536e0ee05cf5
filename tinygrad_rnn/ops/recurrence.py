"""A recurrence over a whole sequence as one operation.

It takes a cell's program and arrays, and knows no cell. The fused kernel does forward and
backward; the program run line by line over Tensors is the replay for higher derivatives, and
the whole operation where no kernel can be compiled.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import isqrt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Optional
from weakref import ref

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, device_of, host_array
from tinygrad_rnn.engine import TENSORS, wrap
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels import recurrence as kernel
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.kernels.recurrence import pieces
from tinygrad_rnn.kernels.recurrence.derivative import Rules
from tinygrad_rnn.kernels.recurrence.elementwise import COMPARISONS, ELEMENTWISE
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.reference import sequence
from tinygrad_rnn.kernels.recurrence.shapes import fitted, shapes_of
from tinygrad_rnn.ops.shape import stack
from tinygrad_rnn.primitive import PRIMITIVES, RowWise, fused
from tinygrad_rnn.tensor import Tensor, as_tensor

if TYPE_CHECKING:
    from tinygrad_rnn.ops.program_record import ProgramRecord

__all__ = [
    "OVER_TENSORS",
    "RULES",
    "obstacle",
    "recurrence",
    "recurrence_as_before",
    "source_of",
    "unfusable",
    "without_steps",
]

Watching = Optional["ref[ProgramRecord]"]  # weak: a graph keeps no record alive

# The kernel's backward is derived by the same rules as everybody's.
RULES = Rules({name: PRIMITIVES[name].rules for name in ELEMENTWISE.keys() - COMPARISONS})

OVER_TENSORS = SimpleNamespace(
    **{name: getattr(TENSORS, name) for name in ELEMENTWISE.keys() - COMPARISONS},
    matmul=TENSORS.matmul,
    standardize=TENSORS.standardize,
    stack=stack,
    detach=Tensor.detach,
)


def _forward(
    *arrays: Array, program: Program, own_restart: bool, recompute: int, record: Watching,
    **how: Any,
) -> tuple[tuple[Array, ...], Any]:  # fmt: skip
    x, states, restart, params = _parts(program, arrays, own_restart)
    forward = partial(pieces.forward, count=recompute) if recompute else kernel.forward
    y, finals, run = forward(program, x, states, params, rules=RULES, restart=restart, **how)
    if record and (seen := record()):
        seen.run(partial(kernel.kept, run))
    return (y, *finals), run


def _backward(
    run: Any,
    gs: list[Any],
    needs: tuple[bool, ...],
    *arrays: Array,
    program: Program,
    own_restart: bool,
    record: Watching,
    by_rows: bool = False,
    sums: Sequence[Array | None] = (),
    **how: Any,
) -> list[Array | None]:
    _, needs_states, needs_restart, needs_params = _parts(program, needs, own_restart)
    needed = {name for name, need in needs_params.items() if need}
    given = _parts(program, sums, own_restart)[-1] if sums else {}
    known = {name: total for name, total in given.items() if total is not None}
    back = pieces.backward if isinstance(run, pieces.Pieces) else kernel.backward
    seen = record() if record and not by_rows else None
    later: list[Array] = []
    more: dict[str, Any] = {"later": later} if seen else {}
    dx, d_states, d_restart, grads = back(
        run, gs[0], gs[1:],
        needs_x=needs[0], needs_states=any(needs_states + (needs_restart or [])),
        needed=needed, by_rows=by_rows, sums=known or None, **more,
    )  # fmt: skip
    if seen:
        seen.went_back(gs[0], later)
    nothing = [None] * len(needs_states)
    starts = [*(d_states or nothing), *((d_restart or nothing) if own_restart else [])]
    return [dx, *starts, *(grads.get(name) for name in needs_params)]


def _row_axes(
    inputs: Sequence[Any], program: Program, own_restart: bool, **how: Any
) -> tuple[Sequence[int], Sequence[int | None]]:
    """Where the rows of a batch stand in the outputs and in the inputs."""
    states = [0] * len(program.states)
    return [1, *states], [1, *states, *states * own_restart, *[None] * len(program.params)]


def _replay(
    *tensors: Any, program: Program, own_restart: bool, forms: Any, recompute: int,
    record: Watching, **how: Any,
) -> tuple[Tensor, ...]:  # fmt: skip
    x, states, restart, params = _parts(program, tensors, own_restart)
    seen = record() if record else None
    how["watch"] = seen.watch if seen else None
    y, finals = sequence(program, OVER_TENSORS, x, states, params, restart=restart, **how)
    return (seen.end(y) if seen else y, *finals)


def _parts(
    program: Program, values: Sequence[Any], own_restart: bool
) -> tuple[Any, list[Any], list[Any] | None, dict[str, Any]]:
    """The input, the states, the restart and the weights among an operation's inputs."""
    count = len(program.states)
    after = 1 + count + own_restart * count
    restart = list(values[1 + count : after]) if own_restart else None
    weights = dict(zip(program.weights, values[after:], strict=True))
    return values[0], list(values[1 : 1 + count]), restart, weights


_fused = fused(
    "recurrence", _forward, _backward, _replay, adds=True,
    rows=RowWise(_row_axes, partial(_backward, by_rows=True)),
)  # fmt: skip


def obstacle(program: Program, array: Array) -> str:
    """Why no kernel runs a program over arrays of this kind, or nothing."""
    if not kernel.has_kernel(array):
        return f"there is no kernel for {array.dtype} on {device_of(array)}"
    return unfusable(program)


def unfusable(program: Program) -> str:
    """Why no kernel can be written for a program, or nothing."""
    return kernel.unfusable(program, RULES)


def source_of(program: Program, device: str = "cpu") -> str:
    """The text of the kernels that are written for a program on a device."""
    return kernel.source_of(program, RULES, on_gpu=device != "cpu")


def recurrence(
    program: Program,
    x: Any,
    states: Sequence[Any],
    params: Mapping[str, Any],
    *,
    steps: int | None = None,
    mask: Any = None,
    reverse: bool = False,
    restart: Sequence[Any] | None = None,
    composite: bool = False,
    recompute: bool | int = False,
    settings: Mapping[str, float] | None = None,
    noise: Noise | None = None,
    record: "ProgramRecord | None" = None,
) -> tuple[Tensor, list[Tensor]]:
    """Run a cell's program over a sequence: y (T, B, width) and the final states.

    x (T, B, I)   or None, with ``steps``, where the program has no input
    states        (B, width) each: what the first step starts from
    params        each weight by its name
    mask (T, B)   the flags STEP, RESET and CUT, one byte; None: every row steps every time
    restart       what RESET puts the states back to; None: the given states

    Args:
        reverse: From the last step to the first.
        composite: Run the program line by line though there is a kernel; see ``obstacle``.
        recompute: Run in so many pieces (True: √T) and keep only the states between them;
            backward runs each piece again. Line by line everything is kept.
        settings: The numbers that the program asks for by name.
        noise: Where its random numbers come from; see ``random.noise``.
        record: What is to see every step, and the gradients of walks back while it lives;
            then everything is kept, whatever ``recompute`` says.
    """
    states = [as_tensor(s) for s in states]
    x = None if x is None else as_tensor(x)
    weights = [as_tensor(params[name]) for name in program.weights]
    sizes = fitted(program, shapes_of(x, states, weights))
    restart = None if restart is None or mask is None else [as_tensor(s) for s in restart]
    _check_types(program, x, states, restart or [], weights)
    _check_given(program, settings, noise, states)
    T = x.shape[0] if x is not None else steps
    if T is None or (steps is not None and steps != T):
        raise ShapeError(f"recurrence: steps is {steps}, x has {'none' if x is None else T}.")
    B = states[0].shape[0]
    if mask is not None:
        mask = np.ascontiguousarray(host_array(mask), np.uint8)  # which rows go on is planned here
        if mask.shape != (T, B):
            raise ShapeError(f"recurrence: mask has shape {mask.shape}, expected {(T, B)}.")
    count = 0 if record is not None else _pieces_of(T, recompute)
    if record is not None:
        record.program = program
        record.how = {"settings": settings, "noise": noise, "composite": composite}
        named = dict(zip(program.weights, weights, strict=True))
        record.begin(x, states, named, restart=restart, steps=T, mask=mask, reverse=bool(reverse))
    if T == 0:
        width = program.operations[program.output].width.of(sizes)
        return without_steps(width, x, states, weights)
    call = _replay if composite or obstacle(program, states[0]._data) else _fused
    return _called(
        call, program, x, states, weights, restart=restart, steps=T, mask=mask,
        reverse=bool(reverse), recompute=count, settings=settings, noise=noise,
        record=None if record is None else ref(record),
    )  # fmt: skip


def recurrence_as_before(
    program: Program,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    settings: Mapping[str, float] | None,
) -> tuple[Tensor, list[Tensor]]:
    """``recurrence`` over x by kernels, for what has been found to be right for it before."""
    return _called(
        _fused, program, x, states, weights, steps=len(x._data), mask=None, reverse=False,
        recompute=0, settings=settings, noise=None, record=None,
    )  # fmt: skip


def _called(
    call: Any, program: Program, x: Any, states: Sequence[Tensor], weights: Sequence[Tensor],
    restart: Sequence[Tensor] | None = None, **how: Any,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    """Let an operation run, with what kernels keep about the weights."""
    forms = {
        name: weight.forms()
        for name, weight in zip(program.weights, weights, strict=True)
        if hasattr(weight, "forms")
    }
    y, *finals = call(
        x, *states, *(restart or ()), *weights, own_restart=restart is not None,
        program=program, forms=forms, **how,
    )  # fmt: skip
    if not y._requires_grad:  # else the graph notices that one is changed in the other's memory
        finals = [s if s._requires_grad else wrap(s._data.copy()) for s in finals]
    return y, finals


def _pieces_of(steps: int, recompute: Any) -> int:
    """Into how many pieces ``recompute`` cuts so many steps; 0 for not at all."""
    if recompute is False:
        return 0
    if recompute is True:
        return max(1, isqrt(steps))
    return min(max(1, steps), whole("recurrence", "recompute", recompute, least=1))


def _check_given(program: Program, settings: Any, noise: Any, states: list[Tensor]) -> None:
    """Raise unless everything is there that the program asks for by name."""
    asked = program.settings
    if asked and (missing := [name for name in asked if name not in (settings or {})]):
        raise TypeError(f"recurrence: settings has no {missing[0]!r}, expected a number.")
    if not program.sites:
        return
    if noise is None:
        raise TypeError("recurrence: noise is missing; random.noise() makes some.")
    rows = noise.row_ids(states[0].shape[0])
    if rows.shape != states[0].shape[:1]:
        raise ShapeError(
            f"recurrence: noise has names for {len(rows)} rows, expected {states[0].shape[0]}."
        )


def without_steps(
    width: int, x: Tensor | None, states: list[Tensor], weights: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """What a sequence of no steps gives: part of the graph, as that of any other length."""
    nothing = sum((t.reshape(-1)[:0].sum() for t in weights), states[0].reshape(-1)[:0].sum())
    if x is not None:
        nothing = nothing + x.sum()
    y = nothing.broadcast_to(0, states[0].shape[0], width)
    return y, [state + nothing for state in states]


def _check_types(
    program: Program, x: Any, states: list[Tensor], restart: list[Tensor], weights: list[Tensor]
) -> None:
    """Raise unless all arrays are of one element type, and the restart is as the states are."""
    dtype = states[0].dtype
    shapes = [s.shape for s in states]
    if restart and [s.shape for s in restart] != shapes:
        raise ShapeError(
            f"recurrence: restart has shapes {[s.shape for s in restart]}, expected those of the "
            f"states: {shapes}."
        )
    given = [*states, *restart, *weights, *([] if x is None else [x])]
    if all(tensor.dtype == dtype for tensor in given):
        return
    names = [name for name, _ in program.states]
    names += [f"restart {name}" for name in names] if restart else []
    names += program.weights
    for name, tensor in zip([*names, "x"], given, strict=False):
        if tensor.dtype != dtype:
            raise DTypeError(
                f"recurrence: {name} holds {tensor.dtype}, but the states {dtype}; "
                "convert one of them with .astype()."
            )
