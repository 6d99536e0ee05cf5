"""The definition: NumPy's own functions."""

import numpy as np


def exp(x, out=None):
    with np.errstate(all="ignore"):
        return np.exp(x, out=out)


def tanh(x, out=None):
    with np.errstate(all="ignore"):
        return np.tanh(x, out=out)


def sigmoid(x, out=None):
    with np.errstate(all="ignore"):
        # exp(-|x|) cannot overflow; the other half follows from sigmoid(-x) = 1 - sigmoid(x).
        # Complex numbers, of complex-step derivatives, go by their real parts.
        positive = np.real(x) >= 0
        e = np.exp(np.where(positive, -x, x))
        return np.divide(np.where(positive, 1, e).astype(x.dtype), 1 + e, out=out)


def tanh_slope(g, y):
    return g * (1 - y * y)


def sigmoid_slope(g, y):
    return g * y * (1 - y)
