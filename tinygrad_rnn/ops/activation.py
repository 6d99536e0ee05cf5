"""Activations and what belongs to them: gates, rectifiers, softmax.

Subgradients at kinks: relu, leaky_relu and elu have the derivative of their negative side
at 0 (relu: 0).
"""

import math

import numpy as np

from tinygrad_rnn.device import Array, where_it_is
from tinygrad_rnn.kernels import pointwise
from tinygrad_rnn.ops.arithmetic import expm1, operand, where
from tinygrad_rnn.ops.axes import axis_of, largest
from tinygrad_rnn.primitive import binary, unary
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = [
    "elu", "gelu", "leaky_relu", "log_softmax", "logsumexp", "relu", "sigmoid", "silu", "softmax",
    "softplus", "tanh",
]  # fmt: skip

# ----- gates -----

sigmoid = unary(
    "sigmoid",
    pointwise.sigmoid,
    lambda F, g, out, _x: F.sigmoid_slope(g, out),
    doc="``1 / (1 + exp(-x))``, without overflow.",
)
tanh = unary(
    "tanh",
    pointwise.tanh,
    lambda F, g, out, _x: F.tanh_slope(g, out),
    doc="The hyperbolic tangent of ``x``.",
)

# Their derivatives as one pass over the arrays instead of three.
_sigmoid_slope = binary(
    "sigmoid_slope",
    pointwise.sigmoid_slope,
    lambda F, g, _out, _slope, y: F.sigmoid_slope(g, y),
    lambda _F, g, _out, slope, y: g * slope * (1.0 - 2.0 * y),
)
_tanh_slope = binary(
    "tanh_slope",
    pointwise.tanh_slope,
    lambda F, g, _out, _slope, y: F.tanh_slope(g, y),
    lambda _F, g, _out, slope, y: g * slope * y * -2.0,
)

# ----- rectifiers -----


relu = unary(
    "relu",
    pointwise.rectify,
    lambda F, g, out, _x: F.rectify_slope(g, out),
    floats=False,
    doc="``x`` where it is positive, else 0, which is also its derivative at 0.",
)

# The derivative as one pass over the arrays, too.
_rectify_slope = binary(
    "rectify_slope",
    pointwise.rectify_slope,
    lambda F, g, _out, _slope, y: F.rectify_slope(g, y),
    lambda _F, g, _out, slope, _y: g * slope * 0.0,
)


@where_it_is
def leaky_relu(x: object, slope: float = 0.01) -> Tensor:
    """``x`` where it is positive, else ``slope * x``."""
    x = as_tensor(x, "leaky_relu")
    return where(x.data.real > 0, x, x * operand("leaky_relu", "slope", slope))


@where_it_is
def elu(x: object, alpha: float = 1.0) -> Tensor:
    """``x`` where it is positive, else ``alpha (exp(x) - 1)``."""
    x = as_tensor(x, "elu")
    positive = x.data.real > 0
    # Not minimum(x, 0), which would halve the slope where both are 0.
    return where(positive, x, expm1(where(positive, 0.0, x)) * operand("elu", "alpha", alpha))


def _softplus_forward(x: Array) -> Array:
    positive = x.real > 0
    return np.where(positive, x, 0) + np.log1p(pointwise.exp(np.where(positive, -x, x)))


_softplus = unary("softplus", _softplus_forward, lambda F, g, _out, x: g * F.sigmoid(x))


def softplus(x: object) -> Tensor:
    """``log(1 + exp(x))``, exact where exp would overflow."""
    return _softplus(x)


def silu(x: object) -> Tensor:
    """``x sigmoid(x)``, also called swish."""
    x = as_tensor(x, "silu")
    return x * sigmoid(x)


def gelu(x: object) -> Tensor:
    """``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``, the tanh form.

    Hendrycks & Gimpel 2016; within 5e-4 of the form with the error function.
    """
    x = as_tensor(x, "gelu")
    # (1 + tanh(z)) / 2 = sigmoid(2 z), which does not cancel where z is far below 0.
    return x * sigmoid((x + x * x * x * 0.044715) * math.sqrt(8 / math.pi))


# ----- softmax -----


def _shifted(x: Array, axis: int) -> tuple[Array, Array]:
    """``x`` less its maximum, and the maximum, which is 0 where a row is empty or all -inf."""
    top = largest(x.real, axis)
    top = np.where(np.isfinite(top), top, 0).astype(x.real.dtype)
    return x - top, top


# A row of -inf has no largest entry and the sum 0: what becomes of it is an answer (-inf for
# logsumexp, else NaN), not worth a warning.
_quiet = np.errstate(divide="ignore", invalid="ignore")


@_quiet
def _softmax_forward(x: Array, axis: int) -> Array:
    e = pointwise.exp(_shifted(x, axis)[0])
    return e / e.sum(axis=axis, keepdims=True)


@_quiet
def _log_softmax_forward(x: Array, axis: int) -> Array:
    shifted, _ = _shifted(x, axis)
    return shifted - np.log(pointwise.exp(shifted).sum(axis=axis, keepdims=True))


@_quiet
def _logsumexp_forward(x: Array, axis: int) -> Array:
    shifted, top = _shifted(x, axis)
    return np.log(pointwise.exp(shifted).sum(axis=axis, keepdims=True)) + top


_softmax = unary(
    "softmax",
    _softmax_forward,
    lambda F, g, out, _x, axis: (
        out * (g - F.sum(g * out, axis=(axis,), keepdims=True, shape=out.shape))
    ),
)

_log_softmax = unary(
    "log_softmax",
    _log_softmax_forward,
    lambda F, g, out, _x, axis: (
        g - F.exp(out) * F.sum(g, axis=(axis,), keepdims=True, shape=out.shape)
    ),
)

_logsumexp = unary("logsumexp", _logsumexp_forward, lambda F, g, out, x, axis: g * F.exp(x - out))


def softmax(x: object, axis: int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` along an axis; an entry of -inf gets the probability 0."""
    x = as_tensor(x, "softmax")
    return _softmax(x, axis=axis_of("softmax", axis, x.ndim))


def log_softmax(x: object, axis: int = -1) -> Tensor:
    """``log(softmax(x))`` along an axis, exact for very small probabilities."""
    x = as_tensor(x, "log_softmax")
    return _log_softmax(x, axis=axis_of("log_softmax", axis, x.ndim))


def logsumexp(x: object, axis: int = -1, keepdims: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` along an axis, without overflow."""
    x = as_tensor(x, "logsumexp")
    axis = axis_of("logsumexp", axis, x.ndim)
    result = _logsumexp(x, axis=axis)
    return result if keepdims else result.squeeze(axis)
