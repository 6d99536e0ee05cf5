"""What the tests of layers share: sizes, and numbers in float64."""

import numpy as np

import tinygrad_rnn as tg

T, B = 5, 4


def randn(*shape):
    return tg.randn(*shape, dtype=np.float64)


def double(layer):
    return layer.astype(np.float64)
