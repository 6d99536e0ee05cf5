"""Hypothesis strategies for whatever gradients are checked with.

    from tinygrad_rnn.testing import strategies as gs

    @given(gs.broadcastable(2).flatmap(lambda s: st.tuples(gs.arrays(s[0]), gs.arrays(s[1]))))

    @given(gs.rnn_configs(("lstm", "gru"), input_size=3), gs.sequence_batches(features=3))

Numbers: ``arrays``, ``tensors``, ``layouts``, ``dtypes``, ``seeds``. Shapes and places:
``shapes``, ``broadcastable``, ``matmul_operands``, ``axis``, ``axes``, ``permutations``,
``indices``. Sequences: ``lengths``, ``partitions``, ``sequence_batches``, ``token_batches``,
``label_batches``. Backward: ``cotangents``, ``needs_grad``. Networks: ``modules``,
``rnn_configs``, ``cell_options``.

Everything shrinks: styles to zeros, shapes to few axes of size 1, axes to the first, rows to
full length, layers to one of the plainest. Wrong arguments raise at the call.
"""

try:
    import hypothesis as _needed  # noqa: F401  named here, before a file below asks for it
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_rnn.testing.strategies needs Hypothesis. "
        "Install it with: pip install 'tinygrad-rnn[test]'"
    ) from error

from tinygrad_rnn.testing.strategies.backward import cotangents, needs_grad
from tinygrad_rnn.testing.strategies.cell_options import cell_options
from tinygrad_rnn.testing.strategies.extents import broadcastable, matmul_operands, shapes
from tinygrad_rnn.testing.strategies.networks import build_module, modules
from tinygrad_rnn.testing.strategies.places import axes, axis, indices, permutations
from tinygrad_rnn.testing.strategies.recurrent import CELLS, RecurrentConfig, rnn_configs
from tinygrad_rnn.testing.strategies.sequences import (
    SequenceBatch,
    lengths,
    partitions,
    sequence_batches,
)
from tinygrad_rnn.testing.strategies.tokens import TokenBatch, label_batches, token_batches
from tinygrad_rnn.testing.strategies.values import arrays, dtypes, layouts, seeds, tensors

__all__ = [
    "CELLS", "RecurrentConfig", "SequenceBatch", "TokenBatch", "arrays", "axes", "axis",
    "broadcastable", "build_module", "cell_options", "cotangents", "dtypes", "indices",
    "label_batches", "layouts", "lengths", "matmul_operands", "modules", "needs_grad",
    "partitions", "permutations", "rnn_configs", "seeds", "sequence_batches", "shapes", "tensors",
    "token_batches",
]  # fmt: skip
