"""Gradients of every row's loss by itself."""

from collections.abc import Iterable

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import array_module
from tinygrad_rnn.engine import grad, wrap
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.transforms.tree import tensors

__all__ = ["per_sample_grads"]


def per_sample_grads(losses_of_rows: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """For every parameter the gradient of each row's loss: shape (B, *parameter).

    losses_of_rows (B,)  one number a row

    Their sum over rows is the gradient of the summed loss. A parameter that a loss does not
    depend on gets zeros. The graph is kept, ``grad`` is left alone. Each row costs a walk
    back.
    """
    if not isinstance(losses_of_rows, Tensor):
        raise TypeError(
            f"per_sample_grads(): the losses are {shortened(losses_of_rows)}, expected a Tensor."
        )
    if losses_of_rows.ndim != 1:
        raise ShapeError(
            f"per_sample_grads(): the losses have shape {losses_of_rows.shape}, expected (B,): one "
            'number for every row of the batch. Losses give it with reduction="none".'
        )
    wanted = [parameters] if isinstance(parameters, Tensor) else parameters
    if not isinstance(wanted, Iterable):
        raise TypeError(f"per_sample_grads(): parameters is {shortened(wanted)}, expected Tensors.")
    wanted = tensors("per_sample_grads()", "parameters", list(wanted))
    xp = array_module(losses_of_rows._data)
    rows = losses_of_rows.shape[0]
    results = [xp.zeros((rows, *p.shape), p.dtype) for p in wanted]
    for row in range(rows):
        seed = xp.zeros(rows, losses_of_rows.dtype)
        seed[row] = 1
        found = grad(losses_of_rows, wanted, seed, retain_graph=True, allow_unused=True)
        for result, g in zip(results, found, strict=True):
            if g is not None:
                result[row] = g._data
    return [wrap(result) for result in results]
