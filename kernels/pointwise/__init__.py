"""Exponential, hyperbolic tangent, logistic function and rectifier of every element.

    exp(x)      tanh(x)      sigmoid(x) = 1 / (1 + exp(-x))
    tanh_slope(g, y) = g (1 - y^2)      sigmoid_slope(g, y) = g y (1 - y)
    rectify(x) = max(x, 0)              rectify_slope(g, y) = g where y is not 0 or below, else 0

The slopes, of the functions' results y, have NumPy's bits: each operation is rounded once.
float32 comes within 2 units in the last place, float64 within 4; NaN stays NaN, and
infinities give their limits. An element's bits depend on its value alone: not on the array's
size, layout or place in memory, nor on the number of threads or the CPU. Numbers below the
normal range are taken as zeros, and results there become zeros.
"""

from tinygrad_rnn.kernels._twin import Array, twin

__all__ = [
    "exp", "rectify", "rectify_slope", "sigmoid", "sigmoid_slope", "tanh", "tanh_slope",
]  # fmt: skip


def exp(x: Array, out: Array | None = None) -> Array:
    """Return e to the power of each element of x, in ``out`` or a new C-contiguous array."""
    return twin(__name__, x).exp(x, out)


def tanh(x: Array, out: Array | None = None) -> Array:
    """Return the hyperbolic tangent of each element of x, in ``out`` or a new array."""
    return twin(__name__, x).tanh(x, out)


def sigmoid(x: Array, out: Array | None = None) -> Array:
    """Return 1 / (1 + exp(-x)) of each element of x, in ``out`` or a new array."""
    return twin(__name__, x).sigmoid(x, out)


def tanh_slope(g: Array, y: Array) -> Array:
    """Return g (1 - y^2) of each element: the gradient of x where g is that of y = tanh(x)."""
    return twin(__name__, y).tanh_slope(g, y)


def sigmoid_slope(g: Array, y: Array) -> Array:
    """Return g y (1 - y) of each element: the gradient of x where y = sigmoid(x)."""
    return twin(__name__, y).sigmoid_slope(g, y)


def rectify(x: Array) -> Array:
    """Return each element of x that is not below 0, and 0 for the others."""
    return twin(__name__, x).rectify(x)


def rectify_slope(g: Array, y: Array) -> Array:
    """Return the gradient of x where g is that of y = rectify(x); 0 where y is."""
    return twin(__name__, y).rectify_slope(g, y)
