"""What surrounds a run's packed steps: the states before and after, and rows in their places.

The rows of a schedule stand in its order, those of the caller in his.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from tinygrad_rnn.kernels._room import empty, module_of, zeros
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.recurrence.reference import CUT, RESET
from tinygrad_rnn.kernels.recurrence.schedule import Schedule
from tinygrad_rnn.kernels.recurrence.sized import Run

__all__ = ["StateGradients", "final_states", "gathered", "no_rows", "scattered", "start"]

Arrays: TypeAlias = Sequence[Array]

_NO_ROWS = {char: np.zeros((0, 0), char) for char in "fd"}


def no_rows(like: Array) -> Array:
    """What kernels are given in place of an array that they leave alone."""
    xp = module_of(like)
    return _NO_ROWS[like.dtype.char] if xp is np else xp.empty((0, 0), like.dtype)


def gathered(schedule: Schedule, array: Array) -> Array:
    """The rows (N, width) that step, of an array (T, B, width)."""
    T, B, width = array.shape
    xp = module_of(array)
    rows = xp.ascontiguousarray(array).reshape(T * B, width)
    if schedule.order is None:
        return rows
    if xp is not np:
        return rows[schedule.places]
    packed = empty((schedule.size, width), rows)
    return np.take(rows, schedule.places, axis=0, out=packed, mode="clip")


def scattered(schedule: Schedule, rows: Any, T: int, B: int) -> Any:
    """The array (T, B, width) that these rows (N, width) are of; zeros where no row steps."""
    if schedule.order is not None:
        packed, rows = rows, zeros((T * B, rows.shape[1]), rows)
        rows[schedule.places] = packed
    return rows.reshape(T, B, rows.shape[1])


def start(schedule: Schedule, states: Arrays, restart: Arrays) -> list[Array]:
    """What the rows of a schedule start from."""
    states = _put_back(schedule.first, states, restart)
    return states if schedule.order is None else [state[schedule.order] for state in states]


def final_states(
    schedule: Schedule, finals: Arrays, states: Arrays, restart: Arrays
) -> list[Array]:
    """The states of the caller's rows in the end, by those of the schedule's rows."""
    if schedule.order is not None:
        packed, finals = finals, [state.copy() for state in states]
        for final, rows in zip(finals, packed, strict=True):
            final[schedule.order] = rows
    return _put_back(schedule.last, finals, restart)


def _put_back(flags: Array | None, states: Arrays, restart: Arrays) -> list[Array]:
    if flags is None:
        return list(states)
    again, where = (flags & RESET != 0)[:, None], module_of(flags).where
    return [where(again, a, b) for a, b in zip(restart, states, strict=True)]


class StateGradients:
    """The gradients of the states: from the final ones into a run, and out of it to the given.

    ``fill(rows, given)`` copies rows, or clears them where None is given.
    """

    def __init__(self, run: Run, d_finals: Sequence[Array | None], fill: Any) -> None:
        self.run, self.schedule, self.fill = run, run.schedule, fill
        self.names = run.sized.layout.states
        contiguous = module_of(run.like).ascontiguousarray
        self.after: list[Any] = [None if d is None else contiguous(d) for d in d_finals]
        self.d_restart: list[Array] = []
        if not self.schedule.plain:
            nothing = [(run.extent[1], run.arrays[name].shape[1]) for name in self.names]
            if self.schedule.flagged:
                self.d_restart = [zeros(shape, run.like) for shape in nothing]
            finals = [
                zeros(shape, run.like) if d is None else d
                for shape, d in zip(nothing, self.after, strict=True)
            ]
            self.after = self._passed_on(self.schedule.last, finals)  # each row's last step

    def put_into(self, values: dict[str, Any]) -> None:
        """What the kernel needs: every row's gradient comes in at the last of its own steps."""
        schedule, kept = self.schedule, values["kept"]
        for name, after in zip(self.names, self.after, strict=True):
            width = self.run.arrays[name].shape[1]
            rows = values[f"d{name}"] = empty((kept * schedule.rows, width), self.run.like)
            if schedule.order is None:
                self.fill(rows[: schedule.rows], after)
            else:  # the steps take turns in ``rows``, and any of them may be a row's last
                rows.reshape(kept, schedule.rows, width)[:] = after[schedule.order]
            again = no_rows(rows)
            if len(schedule.flags) > 0:
                again = zeros((schedule.rows, width), rows)
            values[f"d{name}_again"] = again

    def first_rows(self, values: dict[str, Any]) -> list[Array]:
        """The gradients of the states before the first step, of the schedule's rows."""
        first = self.schedule.steps % values["kept"] * self.schedule.rows
        found = []
        for name in self.names:
            rows = values[f"d{name}"][first : first + self.schedule.rows]
            found.append(empty(rows.shape, rows))
            self.fill(found[-1], rows)
        return found

    def of_given(
        self, first: list[Array], values: dict[str, Any]
    ) -> tuple[list[Array], list[Array]]:
        """The gradients of the states that were given, and of the restart."""
        schedule, found = self.schedule, []
        if schedule.plain:
            return first, []
        for i, (name, before) in enumerate(zip(self.names, first, strict=True)):
            again = values[f"d{name}_again"]
            if schedule.order is not None:
                packed, before = before, self.after[i].copy()  # the same, where a row has no step
                before[schedule.order] = packed
            found.append(before)
            if len(again):
                order = slice(None) if schedule.order is None else schedule.order
                self.d_restart[i][order] += again
        found = self._passed_on(schedule.first, found)
        if not self.d_restart or self.run.own_restart:
            return found, self.d_restart
        return [a + b for a, b in zip(found, self.d_restart, strict=True)], []

    def _passed_on(self, flags: Array | None, gradients: list[Array]) -> list[Array]:
        """What passes flags (B,); the gradient of a row that was put back is the restart's."""
        if flags is None:
            return gradients
        again = (flags & (RESET | CUT) == RESET)[:, None]
        passing = (flags & (RESET | CUT) == 0)[:, None]
        nothing, where = self.run.like.dtype.type(0), module_of(flags).where
        for total, gradient in zip(self.d_restart, gradients, strict=True):
            total += where(again, gradient, nothing)
        return [where(passing, gradient, nothing) for gradient in gradients]
