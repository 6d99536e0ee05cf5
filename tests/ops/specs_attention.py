"""Specs of ``tinygrad_rnn.ops.attention``."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import DENSE, largest, shapes, unit


@st.composite
def _masked_rows(draw, side):
    """Scores, and a mask of the same shape, of one row for all, which may hide all, or none."""
    shape = draw(shapes(1, 3, side))
    rng = np.random.default_rng(draw(gs.seeds()))
    share = draw(st.sampled_from([0.0, 0.5, 1.0]))
    mask = rng.random(shape[-1:] if draw(st.booleans()) else shape) < share
    mask = None if draw(st.integers(0, 3)) == 3 else mask
    return Case((draw(gs.arrays(shape, styles=DENSE, low=-3, high=3)),), {"mask": mask})


def _masked_softmax(x, mask):
    mask = np.ones(x.shape, bool) if mask is None else mask
    x = np.where(mask, x, -np.inf)
    top = x.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(x - np.where(np.isfinite(top), top, 0))
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


@st.composite
def _fitted(draw, side):
    B, T, S = draw(shapes(3, 3, side))
    H = draw(st.sampled_from([1, 2, 3, 18]))
    rng = np.random.default_rng(draw(gs.seeds()))
    mask = None
    if draw(st.booleans()):
        mask = rng.random((B, draw(st.sampled_from([1, T])), S)) < 0.6
    inputs = tuple(
        draw(gs.arrays(shape, styles=DENSE, low=-1, high=1))
        for shape in ((B, T, H), (B, S, H), (H,))
    )
    return Case(inputs, {"mask": mask})


def _additive_scores(query, key, vector, mask):
    scores = (np.tanh(query[:, :, None] + key[:, None]) * vector).sum(-1)
    return scores if mask is None else np.where(mask, scores, 0)


def _summed(query, key, vector, **attrs):
    """Sums over units in the result, over queries and keys in gradients."""
    return max(1, vector.size, query.shape[1] * key.shape[1])


@st.composite
def _weights_and_gradients(draw, side):
    shape = draw(shapes(1, 3, side))
    return Case(tuple(draw(gs.arrays(shape, styles=DENSE, low=-3, high=3)) for _ in range(2)))


def _row_length(g, y):
    return max(1, g.shape[-1])


def _slope_size(g, y):
    """What the differences in slopes are made of, a row's length apart."""
    size = 1 + largest(y)
    return max(1.0, largest(g)) * size * size * _row_length(g, y)


SPECS = [
    OpSpec("masked_softmax", ops.masked_softmax, _masked_softmax, _masked_rows,
           scale=unit, slope_scale=unit, infinities=False),
    OpSpec("softmax_slope", PRIMITIVES["softmax_slope"].call,
           lambda g, y: y * (g - (g * y).sum(-1, keepdims=True)), _weights_and_gradients,
           terms=_row_length, scale=_slope_size, slope_scale=_slope_size, linear=(0,)),
    OpSpec("additive_scores", ops.additive_scores, _additive_scores, _fitted,
           terms=_summed, scale=unit, slope_scale=unit, linear=(2,)),
]  # fmt: skip
