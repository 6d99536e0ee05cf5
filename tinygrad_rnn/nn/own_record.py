"""The record of a cell that has no program: its own step, called again for what is asked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.device import Array
from tinygrad_rnn.engine import wrap
from tinygrad_rnn.errors import GradientError, TraceError
from tinygrad_rnn.kernels.recurrence.naming import Locals
from tinygrad_rnn.kernels.recurrence.reference import STEP
from tinygrad_rnn.kernels.recurrence.symbols import Weights
from tinygrad_rnn.modes import no_grad, recorded
from tinygrad_rnn.nn.composite import step_by_step, stepper
from tinygrad_rnn.ops.program_record import ProgramRecord
from tinygrad_rnn.ops.record import Record, gradient_of
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["OwnRecord", "record_of"]


def record_of(cell: "Cell") -> Record:
    """What can see a sequence of a cell run, and tell of every step of it."""
    try:
        _ = cell.program
    except TraceError:
        return OwnRecord(cell)
    return ProgramRecord(cell.row_names)


class OwnRecord(Record):
    """The steps of a cell that runs step by step, in operations on Tensors."""

    def __init__(self, cell: "Cell") -> None:
        super().__init__()
        self.cell = cell
        self.state_names = list(cell.state_sizes)
        self._names: list[str] | None = None

    @property
    def names(self) -> Sequence[str]:  # type: ignore[override]
        """The states, and the variables of the step that hold rows."""
        if self._names is None:
            with no_grad():
                found = self._step(0)[0] if self.T else {}
            self._names = list(dict.fromkeys([*self.state_names, *found]))
        return self._names

    def rows(self, name: str) -> Array:
        """The values of a row; where it is held, of a state what it carries, of others 0."""
        if name in self.state_names:
            return self.kept_after[self.state_names.index(name)]
        with no_grad():
            found = [self._step(t)[0][name]._data for t in range(self.T)]
        return self.where_it_steps(self.xp.stack(found))

    def before_activation(self, name: str) -> Array:
        """Not to be had: there is no program that tells what a row was made of."""
        raise TypeError(
            f"trace: what went into {name!r} is not known, expected a cell with a program: "
            f"{type(self.cell).__name__} runs on Tensors. Bind it to a variable of step, which "
            "the trace then has."
        )

    def gradient(self, name: str) -> Array:
        """The gradient of a row; 0 where it is held."""
        _, later = self.gradients()
        if not self.T:  # then only states have names
            return later[self.state_names.index(name)]
        found = self.xp.stack([self._gradient(name, t) for t in range(self.T)])
        return self.where_it_steps(found)

    def _gradient(self, name: str, t: int) -> Array:
        dy, later = self.gradients()
        with recorded():
            named, output, new = self._step(t)
            row = named[name] if name not in self.state_names else new[self.state_names.index(name)]
            seeds = [None if dy is None else dy[t], *(g[t] for g in later)]
            found = gradient_of(row, [output, *new], seeds)
        return self.xp.zeros(row.shape, self.dtype) if found is None else found

    def again(self, t: int, weights: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Step t alone: its output (1, B, width) and the states after it."""
        x = None if self.x is None else wrap(self.x._data[t : t + 1])
        states = [wrap(rows[t]) for rows in self.kept.before]
        mask = None if self.mask is None else self.mask[t : t + 1] & STEP
        y, new = step_by_step(
            self.cell, x, states, steps=1, mask=mask, reverse=False, weights=weights
        )
        self._check_repeated(t, new)
        return y, new

    def _step(self, t: int) -> tuple[dict[str, Tensor], Tensor, list[Tensor]]:
        """Step t once more: the rows that variables hold, the output and the new states."""
        self.check_given()
        given = [wrap(rows[t]) for rows in self.kept.before]
        if self.x is not None:
            held = None if self.held is None else self.held[t]
            x = self.x._data[t] if held is None else self.xp.where(held, 0, self.x._data[t])
            given.insert(0, wrap(x.astype(self.dtype)))
        for row in given:  # so that what is made of them is recorded
            row.requires_grad = True
        with Locals(self.cell) as seen:
            weights = _Read({**self.cell.constants, **self.weights}, seen)
            step = stepper(self.cell, weights)
            output, new = step(
                t, None if self.x is None else given[0], given[-len(self.state_names) :]
            )
            values = seen.values()
        self._check_repeated(t, new)
        known = [*given, *self.weights.values()]
        named = {
            name: row
            for name, row in values.items()
            if isinstance(row, Tensor)
            and row.ndim == 2
            and len(row) == self.B
            and not any(row is other for other in known)
        }
        return named, output, new

    def _check_repeated(self, t: int, new: Sequence[Tensor]) -> None:
        """Raise unless the step has given the states that it gave before."""
        stepping = slice(None) if self.held is None else ~self.held[t, :, 0]
        for row, before in zip(new, self.kept_after, strict=True):
            if not self.xp.array_equal(row._data[stepping], before[t][stepping], equal_nan=True):
                raise GradientError(
                    f"trace: the step of {type(self.cell).__name__} gave other numbers when it ran "
                    "again, expected the same: only the states were kept. The likely cause is "
                    "that it draws random numbers, or has been changed since."
                )


class _Read:
    """The ``p`` of a step; whoever reads a weight is seen."""

    def __init__(self, weights: Mapping[str, Any], seen: Locals) -> None:
        self._weights, self._seen = Weights(weights), seen

    def __getattr__(self, name: str) -> Any:
        self._seen.look()
        return getattr(self._weights, name)
