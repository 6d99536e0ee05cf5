"""A cell's own ``step`` over a sequence, in operations on Tensors.

For equations that cannot become a program; any other cell's program runs as it is.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tinygrad_rnn import ops
from tinygrad_rnn.errors import CellError
from tinygrad_rnn.kernels.recurrence.reference import over_time
from tinygrad_rnn.kernels.recurrence.symbols import Weights
from tinygrad_rnn.kernels.recurrence.tracing import new_output, new_states
from tinygrad_rnn.ops.recurrence import without_steps
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["step_by_step"]

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
) -> tuple[Tensor, list[Tensor]]:
    """Outputs (T, B, width) and the final states, as ``ops.recurrence`` gives them."""
    weights = Weights({**cell.constants, **cell.weights()})

    def step(t: int, x: Tensor | None, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        results = cell.step(*([] if x is None else [x]), *states, weights)
        new = new_states(cell, cell._declared, results)
        for name, before, row in zip(cell.state_sizes, states, new, strict=True):
            _check(f"{type(cell).__name__}.step", f" for the state {name!r}", row, before)
        output = new_output(cell, cell.output(*new))
        _check(f"{type(cell).__name__}.output", "", output, None)
        return output, new

    T = x.shape[0] if x is not None else steps
    if not T:
        return without_steps(cell.output_size, x, list(states), list(cell.parameters()))
    y, finals = over_time(
        step, _TENSORS, x, states, steps=T, mask=mask, reverse=reverse, restart=restart
    )
    return y, finals


def _check(where: str, what: str, row: Any, before: Tensor | None) -> None:
    """CellError unless a row is a Tensor as it has to be: like the state before, if there is."""
    found, expected = type(row).__name__, "a Tensor (B, width)"
    if isinstance(row, Tensor):
        found = f"{row.dtype}{list(row.shape)}"
    if before is not None:
        expected = f"{before.dtype}{list(before.shape)}"
    if not isinstance(row, Tensor) or row.ndim != 2 or (before is not None and found != expected):
        raise CellError(f"{where} returned {found}{what}, expected {expected}.")
