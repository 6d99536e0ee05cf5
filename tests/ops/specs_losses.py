"""Specs of the fused operations of ``tinygrad_rnn.losses``."""

import numpy as np
from hypothesis import strategies as st

from tests.ops.specs_activation import log_softmax
from tinygrad_rnn import losses
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import DENSE, largest


@st.composite
def _labelled(draw, side, layer=False):
    """Rows of scores, or of what a layer makes them of, and how they are labelled."""
    N, V, D = draw(st.integers(side, 5)), draw(st.integers(2, 5)), draw(st.integers(1, 3))
    shapes = [(N, D), (D, V), (V,)] if layer else [(N, V)]
    inputs = tuple(draw(gs.arrays(shape, styles=DENSE, low=-2, high=2)) for shape in shapes)
    rng = np.random.default_rng(draw(gs.seeds()))
    how = {"targets": rng.integers(0, V, N), "reduction": draw(st.sampled_from(["none", "sum"]))}
    if draw(st.booleans()):
        how["targets"][rng.random(N) < 0.4] = -100
    if draw(st.booleans()):
        how["weights"] = rng.integers(1, 4, V) / 2
    if draw(st.booleans()):
        how["label_smoothing"] = 0.25
    if layer:
        how["chunk"] = draw(st.integers(1, 3))
    return Case(inputs, how)


def cross_entropy(scores, targets, reduction, weights=None, label_smoothing=0.0):
    """The definition: labels as probabilities, rows that do not count as 0."""
    V = scores.shape[-1]
    counts = targets != -100
    q = np.where(targets[:, None] == np.arange(V), 1 - label_smoothing, 0) + label_smoothing / V
    rows = -(q * (1 if weights is None else weights) * log_softmax(scores, -1)).sum(-1)
    rows = np.where(counts, rows, 0)
    return rows if reduction == "none" else rows.sum()


def _linear(h, w, b, **how):
    return losses.linear_cross_entropy(h, w, bias=b, **how)


def _linear_by_hand(h, w, b, chunk, **how):
    return cross_entropy(h @ w + b, **how)


@st.composite
def _slopes(draw, side):
    """Operands of the gradient as an operation; g is that of a sum or of each row."""
    N, V, D = draw(st.integers(max(1, side), 5)), draw(st.integers(2, 5)), draw(st.integers(1, 3))
    shapes = [draw(st.sampled_from([(), (N,)])), (N, D), (D, V), (V,)]
    inputs = tuple(draw(gs.arrays(shape, styles=DENSE, low=-2, high=2)) for shape in shapes)
    rng = np.random.default_rng(draw(gs.seeds()))
    how = {"ids": rng.integers(0, V, N), "hard": rng.integers(1, 4, N) / 2}
    if draw(st.booleans()):
        how |= {"even": rng.integers(1, 4, N) / 8, "weights": rng.integers(1, 4, V) / 2}
    return Case(inputs, {"even": None, "weights": None, **how, "rows": draw(st.integers(1, 3))})


def _gradient(g, h, w, b, **how):
    kind = getattr(h, "data", h).real.dtype
    how = {
        name: a.astype(kind) if getattr(a, "dtype", None) == np.float64 else a
        for name, a in how.items()
    }
    return PRIMITIVES["linear_cross_entropy_gradient"].call(g, h, w, b, **how)


def _gradient_by_hand(g, h, w, b, ids, hard, even, weights, rows):
    y = np.where(ids[:, None] == np.arange(w.shape[1]), hard[:, None], 0)
    y = y if even is None else y + np.multiply.outer(even, weights)
    p = np.exp(log_softmax(h @ w + b, -1))
    slopes = (p * y.sum(-1, keepdims=True) - y) * (g if g.ndim == 0 else g[:, None])
    return slopes @ w.T, h.T @ slopes, slopes.sum(0)


def _size(*inputs, **how):
    return 4 * max(1.0, *map(largest, inputs)) ** 3


SPECS = [
    OpSpec("cross_entropy", losses.cross_entropy, cross_entropy, _labelled,
           terms=lambda x, **how: max(1, x.size), scale=_size, slope_scale=_size, extremes=False),
    OpSpec("linear_cross_entropy", _linear, _linear_by_hand,
           lambda side: _labelled(side, layer=True), terms=lambda h, w, b, **how: h.size + w.size,
           scale=_size, slope_scale=_size, extremes=False, infinities=False),
    OpSpec("linear_cross_entropy_gradient", _gradient, _gradient_by_hand, _slopes,
           terms=lambda g, h, w, b, **how: h.size + w.size, scale=_size, slope_scale=_size,
           extremes=False, infinities=False, analytic=False),
]  # fmt: skip
