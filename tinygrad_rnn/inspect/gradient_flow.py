"""How the gradient of a loss flows back through the steps of a recurrent layer."""

from collections.abc import Sequence

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.nn.trace import Trace
from tinygrad_rnn.ops import stack
from tinygrad_rnn.tensor import Tensor

__all__ = ["gradient_map"]


def gradient_map(losses: Tensor | Sequence[Tensor], trace: Trace, weight: str) -> Tensor:
    """How strongly each step's loss depends on a weight at each step where it was used.

    The gradient of a weight that is used again and again is the sum of the gradients of each
    time: row t, column i is the norm of d losses[t] / d weight in step i alone.

        y, state, trace = layer(x, return_trace=True)
        losses = ((y - target) ** 2).mean(axis=(1, 2))
        norms = inspect.gradient_map(losses, trace, "w_h")        # (T, T)

    ``losses`` is a Tensor (T,) or a list of numbers, ``weight`` a name as in ``trace.parts``. It
    takes a walk back for each loss, which keeps the graph and touches no ``grad``.
    """
    if not isinstance(trace, Trace):
        raise TypeError(
            f"gradient_map(): trace is {shortened(trace)}, expected the trace of one cell, such as "
            'that of a single layer, or trace.layers[0]["forward"].'
        )
    rows = []
    for loss in losses:
        trace.go_back(loss)
        rows.append(trace.part_norms(weight))
    return stack(rows)
