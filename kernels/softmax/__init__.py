"""Rows of scores as probabilities: their sums for a loss, and the slopes of that loss.

    top[n]   = max_c x[n, c]                        (0 where that is not finite)
    total[n] = Σ_c exp(x[n, c] - top[n])            so log Σ_c exp(x[n, c]) = top[n] + log(total[n])
    lean[n]  = Σ_c weights[c] (x[n, c] - top[n])
    log P[n, c] = (x[n, c] - top[n]) - log(total[n])

    slopes:  out[n, c] = g[n] exp(x[n, c] - top[n]) / total[n] - even[n] weights[c]

    losses:  hard[n] (log Σ_c exp(x[n, c]) - x[n, id[n]]) + even[n] Σ_c weights[c] (log Σ - x[n, c])

x (N, V), weights (V,), all others (N,). With g = 1 and even = 0 the slopes are the softmax;
cross-entropy, its class weights and its smoothed labels are made of these in ``losses``. A row
whose g and even are 0 has the slopes 0, whatever it holds. A row's bits depend on that row
alone; they may differ between CPUs with vectors of different width.
"""

import numpy as np

from tinygrad_rnn.kernels._twin import Array, twin

__all__ = ["class_losses", "log_rows", "row_best", "row_slopes", "row_sums"]


def row_sums(
    x: Array, weights: Array | None = None, out: Array | None = None
) -> tuple[Array, Array, Array | None]:
    """Return top, total and lean of each row; lean is None where no weights are given.

    ``out``, C-contiguous, gets exp(x - top), whose sums the totals are; it may be x.
    """
    sums: tuple[Array, Array, Array | None] = twin(__name__, x).row_sums(x, weights, out)
    return sums


def row_best(x: Array, count: int) -> tuple[Array, Array, Array, Array, Array]:
    """Return top and total of each row, its maximum, and where its best scores are.

    token (N, room)   int64: the first ``found[n]`` are places in row n, in their order, of all
                      scores that are not -inf and as good as the ``count`` best, or whose log P
                      may be as good by rounding; now and then of a few that are not as good
    found (N,)        how many they are; where that is more than ``room``, token holds some

    NaN is passed over, and is found in the total; the maximum is -inf where nothing is left.
    """
    best: tuple[Array, Array, Array, Array, Array] = twin(__name__, x).row_best(x, count)
    return best


def log_rows(x: Array, top: Array, total: Array) -> Array:
    """The logs of the probabilities (N, V), by ``row_sums``."""
    rows: Array = x - top[:, None]
    rows -= np.log(total)[:, None]
    return rows


def row_slopes(
    x: Array,
    top: Array,
    total: Array,
    g: Array,
    even: Array | None = None,
    weights: Array | None = None,
    out: Array | None = None,
) -> Array:
    """Return the slopes, in ``out``, which may be x, or a new array.

    ``even`` and ``weights`` come together, or not at all.
    """
    return twin(__name__, x).row_slopes(x, top, total, g, even, weights, out)


def class_losses(
    x: Array, ids: Array, hard: Array, even: Array | None = None, weights: Array | None = None
) -> tuple[Array, Array]:
    """Return the losses of rows at their classes, and factors of their slopes, both (N,).

    In place of x are the slopes of the losses, but for these factors. Where ``even`` is None the
    slopes are hard (softmax(x) - 1 at the class), so with factor = hard / total they are
    exp(x - top), which the losses need anyway, less total at the class. Rows that weigh nothing
    have a loss and slopes of 0, whatever they hold.
    """
    found: tuple[Array, Array] = twin(__name__, x).class_losses(x, ids, hard, even, weights)
    return found
