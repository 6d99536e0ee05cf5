"""A cell's own ``step`` over a sequence, in operations on Tensors.

For equations that cannot become a program; any other cell's program runs as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tinygrad_rnn import ops
from tinygrad_rnn.errors import CellError
from tinygrad_rnn.kernels.recurrence.reference import over_time
from tinygrad_rnn.kernels.recurrence.symbols import Weights
from tinygrad_rnn.kernels.recurrence.tracing import new_output, new_states
from tinygrad_rnn.ops.record import Record
from tinygrad_rnn.ops.recurrence import without_steps
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["step_by_step", "stepper"]

Step = Callable[..., tuple[Tensor, list[Tensor]]]

_TENSORS = SimpleNamespace(where=ops.where, stack=ops.stack, detach=Tensor.detach)


def step_by_step(
    cell: "Cell",
    x: Tensor | None,
    states: Sequence[Tensor],
    *,
    steps: int | None,
    mask: Any,
    reverse: bool,
    restart: Sequence[Tensor] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    record: Record | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Outputs (T, B, width) and the final states, as ``ops.recurrence`` gives them.

    ``weights`` take the place of the cell's own; ``record`` sees every step.
    """
    weights = cell.weights() if weights is None else weights
    T = x.shape[0] if x is not None else steps or 0
    if record is not None:
        record.begin(
            x, states, weights, restart=restart, besides=cell.parameters(),
            steps=T, mask=mask, reverse=reverse,
        )  # fmt: skip
    if not T:
        return without_steps(cell.output_size, x, list(states), list(cell.parameters()))
    y, finals = over_time(
        stepper(cell, Weights({**cell.constants, **weights})), _TENSORS, x, states,
        steps=T, mask=mask, reverse=reverse, restart=restart, watch=record and record.watch,
    )  # fmt: skip
    return y if record is None else record.end(y), finals


def stepper(cell: "Cell", weights: Any) -> Step:
    """One step of a cell, checked: (t, x, states, rows) -> the output and the new states."""

    def step(
        _t: int, x: Tensor | None, states: Sequence[Tensor], _rows: Any = None
    ) -> tuple[Tensor, list[Tensor]]:
        results = cell.step(*([] if x is None else [x]), *states, weights)
        new = new_states(cell, cell._declared, results)
        for name, before, row in zip(cell.state_sizes, states, new, strict=True):
            _check(f"{type(cell).__name__}.step", f" for the state {name!r}", row, before)
        output = new_output(cell, cell.output(*new))
        _check(f"{type(cell).__name__}.output", "", output, None)
        return output, new

    return step


def _check(where: str, what: str, row: Any, before: Tensor | None) -> None:
    """CellError unless a row is a Tensor as it has to be: like the state before, if there is."""
    found, expected = type(row).__name__, "a Tensor (B, width)"
    if isinstance(row, Tensor):
        found = f"{row.dtype}{list(row.shape)}"
    if before is not None:
        expected = f"{before.dtype}{list(before.shape)}"
    if not isinstance(row, Tensor) or row.ndim != 2 or (before is not None and found != expected):
        raise CellError(f"{where} returned {found}{what}, expected {expected}.")
