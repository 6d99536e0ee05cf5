"""A cell's own ``step`` over a sequence, in operations on Tensors.

For equations that cannot become a program; any other cell's program runs as it is.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.kernels.recurrence.reference import over_time
from tinygrad_rnn.kernels.recurrence.tracing import Weights
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["step_by_step"]

_TENSORS = SimpleNamespace(where=ops.where, stack=ops.stack)


def step_by_step(
    cell: "Cell",
    x: Tensor | None,
    states: Sequence[Tensor],
    *,
    steps: int | None,
    mask: Any,
    reverse: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Outputs (T, B, width) and the final states, as ``ops.recurrence`` gives them."""
    weights = Weights({**cell.constants, **cell.weights()})

    def step(x: Tensor | None, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        new = cell.step(*([] if x is None else [x]), *states, weights)
        new = new if isinstance(new, tuple | list) else (new,)
        return cell.output(*new), list(new)

    T = x.shape[0] if x is not None else steps
    if not T:
        empty = np.zeros((0, states[0].shape[0], cell.output_size), states[0].dtype)
        return Tensor(empty), list(states)
    y, finals = over_time(step, _TENSORS, x, states, steps=T, mask=mask, reverse=reverse)
    return y, finals
