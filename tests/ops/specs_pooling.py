"""Specs of ``tinygrad_rnn.ops.pooling``."""

import numpy as np
from hypothesis import strategies as st

from tests.ops.specs_window import _windows
from tinygrad_rnn import ops
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import apart


@st.composite
def _pooled(draw, side):
    """Images with many equal numbers, and windows over them."""
    axes = draw(st.integers(1, 2))
    kernel, stride = (tuple(draw(st.integers(1, 3)) for _ in range(axes)) for _ in range(2))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    sizes = tuple(
        max(1, k - 2 * p) + draw(st.integers(0, 3)) for k, p in zip(kernel, padding, strict=True)
    )
    shape = (draw(st.integers(side, 2)), draw(st.integers(1, 2)), *sizes)
    x = draw(gs.arrays(shape))
    if draw(st.booleans()):
        x = np.round(x)
    return Case((x,), {"kernel": kernel, "stride": stride, "padding": padding})


def _max_pool(x, kernel, stride, padding):
    around = [(0, 0), (0, 0), *((p, p) for p in padding)]
    x = np.pad(x, around, constant_values=-np.inf)
    return _windows(x, kernel, stride, (1,) * len(kernel)).max(tuple(range(x.ndim, 2 * x.ndim - 2)))


SPECS = [OpSpec("max_pool", ops.max_pool, _max_pool, _pooled, exact=True, dodge=apart)]
