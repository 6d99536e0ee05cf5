"""The last layer of a model: a score for every token, and losses without the scores."""

from collections.abc import Iterator
from typing import Any

from tinygrad_rnn import losses, nn
from tinygrad_rnn.device import Array
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.linear import product_of
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.text.vocabulary import Ids
from tinygrad_rnn.training.run_state import detached

__all__ = ["ScoreLayer", "cross_entropy", "losses_in_pieces", "tied_to", "write_scores"]

ScoreLayer = nn.Linear | nn.TiedLinear


def tied_to(embedding: nn.Embedding) -> nn.TiedLinear:
    """Scores by the table of vectors that are read, which then starts between -0.1 and 0.1.

    Vectors from N(0, 1) are good to read, but scores made of them would be far too large.
    """
    init.uniform_(embedding.weight, -0.1, 0.1)
    return nn.TiedLinear(embedding)


def cross_entropy(out: ScoreLayer, hidden: Tensor, targets: Any, **how: Any) -> Tensor:
    """``losses.cross_entropy(out(hidden), targets, ...)``, scores never being there all at once."""
    weight = out.weight.T if isinstance(out, nn.TiedLinear) else out.weight
    return losses.linear_cross_entropy(hidden, weight, targets, out.bias, **how)


def write_scores(out: ScoreLayer, hidden: Tensor, place: Array) -> None:
    """Write ``out(hidden)``, which nothing records, in an array (n, V)."""
    product_of(hidden._data, out.weight, out.bias, isinstance(out, nn.TiedLinear), out=place)


def losses_in_pieces(model: Any, ids: Ids, state: Any, steps: int) -> Iterator[Tensor]:
    """-log P of each token but the first, (T,), of pieces of so many steps; gradients end there.

    Whoever reads the pieces says in which mode the model is, and may change it in between.
    """
    for begin in range(0, len(ids) - 1, steps):
        piece = ids[begin : begin + steps + 1, None]
        hidden, state = model(piece[:-1], state)
        yield model.cross_entropy(hidden, piece[1:], "none")[:, 0]
        state = detached(state)
