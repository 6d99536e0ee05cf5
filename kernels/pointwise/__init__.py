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

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._twin import Array, only_reference, twin

__all__ = [
    "exp", "rectify", "rectify_slope", "sigmoid", "sigmoid_slope", "tanh", "tanh_slope",
]  # fmt: skip

# A dozen numbers are computed in a third of the time that it takes to find out who computes
# them. So small arrays go straight to the CPU's loop, once that is there: by function, then by
# element type, filled by cpu.py.
LOOPS: dict[str, Mapping[str, Any]] = {}
SMALL = 256  # elements

_ndarray = np.ndarray
_none: Mapping[str, Any] = {}


def _function(name: str, doc: str) -> Callable[..., Array]:
    """A function of an array and an optional place for the result."""

    def of_one(x: Array, out: Array | None = None) -> Array:
        if out is None and x.__class__ is _ndarray and x.size < SMALL and not only_reference():
            loop = LOOPS.get(name, _none).get(x.dtype.char)
            if loop is not None and x.ndim and x.flags.c_contiguous:
                return loop(x)
        return getattr(twin(__name__, x), name)(x, out)

    return _documented(of_one, name, doc)


def _slope(name: str, doc: str) -> Callable[[Array, Array], Array]:
    """A function of a gradient and a result."""

    def of_two(g: Array, y: Array) -> Array:
        if y.__class__ is _ndarray and y.size < SMALL and not only_reference():
            loop, dtype = LOOPS.get(name, _none).get(y.dtype.char), y.dtype
            if loop is not None and y.ndim and g.__class__ is _ndarray and g.dtype is dtype:
                return loop(g, y)
        return getattr(twin(__name__, y), name)(g, y)

    return _documented(of_two, name, doc)


def _documented(function: Callable[..., Array], name: str, doc: str) -> Callable[..., Array]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


exp = _function("exp", "Return e to the power of each element, in ``out`` or new.")
tanh = _function("tanh", "Return the hyperbolic tangent of each element, in ``out`` or new.")
sigmoid = _function("sigmoid", "Return 1 / (1 + exp(-x)) of each element, in ``out`` or new.")
tanh_slope = _slope(
    "tanh_slope", "Return g (1 - y^2): the gradient of x where g is that of y = tanh(x)."
)
sigmoid_slope = _slope(
    "sigmoid_slope", "Return g y (1 - y): the gradient of x where g is that of y = sigmoid(x)."
)


rectify = _function("rectify", "Return each element that is not below 0, and 0 for the others.")
rectify_slope = _slope(
    "rectify_slope", "Return the gradient of x where g is that of y = rectify(x); 0 where y is."
)
