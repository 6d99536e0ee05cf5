"""How strongly each word of a translation depends on each state of the encoder."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.inspect.watching import cells_that_ran, recurrent_layers, watching
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.training.run_state import in_use

__all__ = ["gradient_to_source"]

Array = NDArray[Any]


def gradient_to_source(model: Any, source: Any, target: Any) -> Array:
    """‖∂(-log P(y_t)) / ∂h_s‖, (T, S): for the encoder's states h of its last layer.

        norms = inspect.gradient_to_source(model, sources, targets)
        norms[3, 0]           # of the fourth word of translations, by the first state

    Without attention the gradient walks back t steps of the decoder and S - s of the encoder;
    attention lets it jump. The norm is over all pairs, and over both directions where there are
    two; sources are best of one length. Nothing is dropped meanwhile, no ``grad`` is touched.

    Args:
        model: A ``models.Seq2Seq``.
        source, target: Sentences, as for ``model.loss``.
    """
    encoder = getattr(model, "encoder", None)
    if encoder is None:
        raise ArgumentError(
            f"gradient_to_source: model is {shortened(model)}, expected one with an encoder, such "
            "as a models.Seq2Seq."
        )
    layers = recurrent_layers("gradient_to_source", encoder)
    with in_use(model), enable_grad(), watching(layers) as calls:
        losses, _ = model.loss(source, target, reduction="none")
    ran = list(cells_that_ran(calls))
    last = [one for one in ran if one.number == ran[-1].number]
    rows = []
    for loss in losses:
        squares = 0.0
        for one in last:
            one.trace.go_back(loss.sum())
            name = next(iter(one.cell.state_sizes))
            squares = squares + np.square(one.trace.gradient_norms(name).numpy(), dtype=np.float64)
        rows.append(np.sqrt(squares))
    return np.array(rows)
