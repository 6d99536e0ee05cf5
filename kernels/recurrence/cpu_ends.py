"""What surrounds a run's packed steps: the states before and after, and rows in their places.

The rows of a schedule stand in its order, those of the caller in his.
"""

from typing import Any

import numpy as np

from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels.recurrence.reference import CUT, RESET
from tinygrad_rnn.kernels.recurrence.schedule import Schedule

__all__ = ["StateGradients", "final_states", "gathered", "scattered", "start"]


def gathered(schedule, array):
    """The rows (N, width) that step, of an array (T, B, width)."""
    T, B, width = array.shape
    rows = np.ascontiguousarray(array).reshape(T * B, width)
    if schedule.order is None:
        return rows
    packed = empty((schedule.size, width), rows.dtype)
    return np.take(rows, schedule.places, axis=0, out=packed, mode="clip")


def scattered(schedule: Schedule, rows: Any, T: int, B: int) -> Any:
    """The array (T, B, width) that these rows (N, width) are of; zeros where no row steps."""
    if schedule.order is not None:
        packed, rows = rows, zeros((T * B, rows.shape[1]), rows.dtype)
        rows[schedule.places] = packed
    return rows.reshape(T, B, rows.shape[1])


def start(schedule, states, restart):
    """What the rows of a schedule start from."""
    states = _put_back(schedule.first, states, restart)
    return states if schedule.order is None else [state[schedule.order] for state in states]


def final_states(schedule, finals, states, restart):
    """The states of the caller's rows in the end, by those of the schedule's rows."""
    if schedule.order is not None:
        packed, finals = finals, [state.copy() for state in states]
        for final, rows in zip(finals, packed, strict=True):
            final[schedule.order] = rows
    return _put_back(schedule.last, finals, restart)


def _put_back(flags, states, restart):
    if flags is None:
        return states
    again = (flags & RESET != 0)[:, None]
    return [np.where(again, a, b) for a, b in zip(restart, states, strict=True)]


class StateGradients:
    """The gradients of the states: from the final ones into a run, and out of it to the given."""

    def __init__(self, run, d_finals):
        self.run, self.schedule = run, run.schedule
        self.names = run.sized.kernels.layout.states
        shapes = [(run.extent[1], run.arrays[name].shape[1]) for name in self.names]
        dtype = run.like.dtype
        self.d_restart = [zeros(s, dtype) for s in shapes] if run.schedule.flagged else []
        finals = [
            zeros(s, dtype) if d is None else d for s, d in zip(shapes, d_finals, strict=True)
        ]
        self.after = self._passed_on(run.schedule.last, finals)  # each row's last step

    def put_into(self, values):
        """What the kernel needs: every row's gradient comes in at the last of its own steps."""
        schedule = self.schedule
        for name, after in zip(self.names, self.after, strict=True):
            kept, (_, width) = values["kept"], after.shape
            rows = values[f"d{name}"] = empty((kept * schedule.rows, width), after.dtype)
            if schedule.order is None:
                rows[: schedule.rows] = after
            else:  # the steps take turns in ``rows``, and any of them may be a row's last
                rows.reshape(kept, schedule.rows, width)[:] = after[schedule.order]
            again = schedule.rows if len(schedule.flags) else 0
            values[f"d{name}_again"] = zeros((again, width), after.dtype)

    def of_given(self, values):
        """The gradients of the states that were given, and of the restart."""
        schedule, found = self.schedule, []
        order = slice(None) if schedule.order is None else schedule.order
        first = schedule.steps % values["kept"] * schedule.rows
        for i, name in enumerate(self.names):
            before = self.after[i].copy()  # where a row has no step, it is the same
            before[order] = values[f"d{name}"][first : first + schedule.rows]
            found.append(before)
            if len(schedule.flags):
                self.d_restart[i][order] += values[f"d{name}_again"]
        found = self._passed_on(schedule.first, found)
        if self.d_restart and not self.run.own_restart:
            found = [a + b for a, b in zip(found, self.d_restart, strict=True)]
        return found, self.d_restart if self.run.own_restart else []

    def _passed_on(self, flags, gradients):
        """What passes flags (B,); the gradient of a row that was put back is the restart's."""
        if flags is None:
            return gradients
        again = (flags & (RESET | CUT) == RESET)[:, None]
        passing = (flags & (RESET | CUT) == 0)[:, None]
        nothing = self.run.like.dtype.type(0)
        for total, gradient in zip(self.d_restart, gradients, strict=True):
            total += np.where(again, gradient, nothing)
        return [np.where(passing, gradient, nothing) for gradient in gradients]
