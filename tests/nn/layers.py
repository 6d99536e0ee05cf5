"""What the tests of layers share: sizes, numbers in float64, and lengths."""

import numpy as np
from hypothesis import strategies as st

import tinygrad_rnn as tg

T, B = 5, 4


def randn(*shape):
    return tg.randn(*shape, dtype=np.float64)


def double(layer):
    return layer.astype(np.float64)


@st.composite
def lengths(draw, steps=T, rows=B):
    return draw(st.lists(st.integers(0, steps), min_size=rows, max_size=rows))
