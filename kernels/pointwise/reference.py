"""The definition: NumPy's own functions."""

import numpy as np

# NumPy takes twice as long beside a Python number as beside an array.
_ZEROS = {np.dtype(t): np.zeros((), t) for t in (np.float32, np.float64)}


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


def rectify(x, out=None):
    if x.dtype.kind == "c":
        return np.where(x.real > 0, x, 0)  # no product: of infinities it would be none
    return np.maximum(x, _ZEROS.get(x.dtype, 0), out=out)


def rectify_slope(g, y):
    return np.where(y.real <= 0, _ZEROS.get(g.dtype, 0), g)
