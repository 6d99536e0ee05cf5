"""Recurrences by one kernel for all steps, on a GPU: an option, never chosen unasked.

A launch a step costs more than the step where a layer is small. Here weights stay in registers
for all steps, and h goes from step to step without leaving the processors: within one block
(``cta``), or from block to block of a cluster (``cluster``, compute capability 9.0).

    with using("high"):             # runs inside, and their backward wherever that is
        recurrence.forward(...)
    gpu.check(device)               # where one waits for the GPU anyway

Where there is no plan for a run, it goes by steps, and why is said once. ``gpu.walk`` is what
``run.Device.walk`` asks for: it reads and writes what the walk by steps does. With H units, N
packed rows (``schedule.py``), B rows of the batch and G gates:

    forward    z0 (N, G H)   x w_x + b; becomes the gates, after their nonlinearity
               z1 (N, H)     GRU alone: h w_h + b_h of the last gate
               s_h, s_c (N + B, H)   with the first states; the others are written
               y (T B, H)    where rows are packed, else it is s_h
    backward   reads those and dy; ds_h, ds_c (2 B, H) with the gradients of the last states
               dz0 (N, G H), dz1 (N, H)   gradients of the sums, of which weights' are products
               ds_h, ds_c    those of the first states, where of_given looks for them

What surrounds the steps (the product with x, weight gradients) stays with ``run.py``. Packed rows
are taken (any mask of steps), resets and cuts inside are not.

``maps.py`` says which number is where, ``planner.py`` which shape a kernel has and whether it
fits, ``recognised.py`` which programs are a cell's, ``sources.py`` what is compiled:
``tile_*.cu`` multiply with tensor cores, ``fma_*.cu`` in full precision; ``cells.cuh`` has the
equations, ``steps.cuh`` where rows stand, ``hardware.cuh`` all that is not CUDA C++.

A block that waits in vain for another gives up after seconds: its results are NaN, and the word
that ``check`` looks at is set.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from tinygrad_rnn.kernels.recurrence.persistent.planner import Device, Plan, plan
from tinygrad_rnn.kernels.recurrence.persistent.recognised import recognised

__all__ = ["Device", "Plan", "chosen", "plan", "plan_of", "using"]

_WAYS = ("cta", "cluster")
_asked: ContextVar[tuple[str, tuple[str, ...]] | None] = ContextVar("persistent", default=None)


@contextmanager
def using(precision: str = "highest", ways: tuple[str, ...] = _WAYS) -> Iterator[None]:
    """Run recurrences by persistent kernels on a GPU, in this context, where there is a plan."""
    token = _asked.set((precision, ways))
    try:
        yield
    finally:
        _asked.reset(token)


def chosen(run: Any) -> Plan | None:
    """The plan of a run, if one is asked for and there is one; if not, say once why."""
    asked = _asked.get()
    if asked is None:
        return None
    precision, ways = asked
    found = plan_of(run, precision, ways=ways)
    if isinstance(found, Plan):
        return found
    _say_once(found)
    return None


@cache
def _say_once(reason: str) -> None:
    text = f"There is no persistent kernel for this recurrence: {reason}. It is run by steps."
    warnings.warn(text, RuntimeWarning, stacklevel=4)


def plan_of(
    run: Any,
    precision: str = "highest",
    device: Device | None = None,
    *,
    ways: tuple[str, ...] = _WAYS,
) -> Plan | str:
    """The plan of a run on a GPU, or why there is none.

    Args:
        run: Its program, sizes and schedule are looked at.
        precision: Of the recurrent product: see ``planner.plan``.
        device: What the GPU offers; None: what the run's GPU does.
        ways: Which kinds of plan are asked for.
    """
    roles = recognised(run.sized.layout.lowered.program)
    if roles is None:
        return "the cell is none of those that a persistent kernel is written for"
    if run.schedule.flagged:
        return "states are put back or cut off inside"
    if device is None:
        from tinygrad_rnn.kernels.recurrence.persistent.gpu import device_of

        device = device_of(run.like.device.id)
    sizes, (steps, rows) = run.sized.sizes, run.extent
    dtype = run.like.dtype.name
    return plan(
        roles.kind, steps, rows, sizes["I"], sizes["H"], dtype, precision, device, ways=ways
    )
