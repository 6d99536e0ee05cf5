"""Gradients of every row's loss by itself."""

from collections.abc import Iterable, Sequence

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.engine import grad, wrap
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.transforms.row_walk import Mixed, gradients_by_rows
from tinygrad_rnn.transforms.tree import tensors

__all__ = ["per_sample_grads"]


def per_sample_grads(losses_of_rows: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """For every parameter the gradient of each row's loss: shape (B, *parameter).

    losses_of_rows (B,)  one number a row

    Their sum over rows is the gradient of the summed loss. A parameter that a loss does not
    depend on gets zeros. The graph is kept, ``grad`` is left alone.

    It takes one walk back, at about twice the time of a plain one, where rows meet only in
    inputs that they share, such as weights of recurrences, products and embeddings, biases and
    whatever is repeated for every row. Where one row's loss depends on another row, each row
    costs a walk back.
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
    count = losses_of_rows.shape[0]
    found: Sequence[Array | None] = [None] * len(wanted)
    if count:
        try:
            found = gradients_by_rows(losses_of_rows, wanted)
        except Mixed:
            found = _row_after_row(losses_of_rows, wanted)
    xp = array_module(losses_of_rows._data)
    return [
        wrap(xp.zeros((count, *p.shape), p.dtype) if g is None else g)
        for g, p in zip(found, wanted, strict=True)
    ]


def _row_after_row(losses: Tensor, wanted: Sequence[Tensor]) -> list[Array | None]:
    """The same by a walk back from each row's loss."""
    xp = array_module(losses._data)
    results: dict[int, Array] = {}
    for row in range(losses.shape[0]):
        seed = xp.zeros(losses.shape, losses.dtype)
        seed[row] = 1
        found = grad(losses, wanted, seed, retain_graph=True, allow_unused=True)
        for i, g in enumerate(found):
            if g is not None:
                if i not in results:
                    results[i] = xp.zeros((*losses.shape, *g.shape), g.dtype)
                results[i][row] = g._data
    return [results.get(i) for i in range(len(wanted))]
