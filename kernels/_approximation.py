"""exp, tanh, sigmoid and two slopes as chains of exactly rounded operations, for any number type.

    x = n ln 2 + r,  |r| <= ln 2 / 2,  p(r) = e^r - 1 = r + r^2 q(r)

    exp(x)     = 2^n (1 + p)
    sigmoid(x) = 1 / (1 + exp(-x))
    tanh(x)    = t / (t + 2),  t = e^2x - 1 = 2^n p + (2^n - 1),  for x >= 0, and odd

q is a polynomial whose worst relative error, of p, is 1.5e-8 (float32) and 2e-17 (float64),
found by Remez exchange. All but the additions in (1 + p), (t + 2) and the division keep t
and p to their last bits, small ones too, so one core serves all three.

``F`` performs the operations: on LLVM vectors when a kernel is compiled, on NumPy
numbers in tests. Each of them is rounded once and none may be fused or reordered, so every
executor, with vectors of any width, gives the same bits.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "CONSTANTS", "FUNCTIONS", "SLOPES", "exp", "rectified", "rectified_slope", "sigmoid", "tanh",
]  # fmt: skip


class Constants(NamedTuple):
    """What an element type needs. Multiples of ln2_high by n are exact."""

    ln2_high: float
    ln2_low: float
    largest: float  # the last x whose exponential is finite
    smallest: float  # the first x whose exponential is a normal number
    saturated: float  # tanh rounds to 1 from here on
    q: tuple[float, ...]  # coefficients of q, constant term first


CONSTANTS = {
    np.dtype(np.float32): Constants(
        ln2_high=0.693145751953125,
        ln2_low=1.428606765330187e-06,
        largest=88.72283172607422,
        smallest=-87.33654022216797,
        saturated=9.1,
        q=(
            0.5,
            0.1666654497385025,
            0.041666287928819656,
            0.008366378955543041,
            0.0013946059625595808,
        ),
    ),
    np.dtype(np.float64): Constants(
        ln2_high=0.6931471805598903,
        ln2_low=5.497923018708371e-14,
        largest=709.782712893384,
        smallest=-708.3964185322641,
        saturated=19.1,
        q=(
            0.5000000000000004,
            0.16666666666666685,
            0.04166666666658173,
            0.008333333333315584,
            0.0013888888930291118,
            0.0001984126990108278,
            2.4801506535360262e-05,
            2.755722953986759e-06,
            2.762561125711358e-07,
            2.511401306762845e-08,
        ),
    ),
}
LOG2_E = 1.4426950408889634


def exp(F: Any, x: Any) -> Any:
    """Return e^x; inf and 0 beyond the finite and the normal range."""
    limits = F.constants
    n, p = _split(F, _clamped(F, x, limits.smallest, limits.largest))
    inside = F.scale(F.add(p, F.number(1.0)), n)
    result = F.select(F.less(F.number(limits.largest), x), F.number(float("inf")), inside)
    result = F.select(F.less(x, F.number(limits.smallest)), F.number(0.0), result)
    return F.select(F.is_nan(x), x, result)


def sigmoid(F: Any, x: Any) -> Any:
    """Return 1 / (1 + e^-x)."""
    limits, one = F.constants, F.number(1.0)
    n, p = _split(F, _clamped(F, F.negative(x), limits.smallest, limits.largest))
    e = F.scale(F.add(p, one), n)
    return F.select(F.is_nan(x), x, F.divide(one, F.add(one, e)))


def tanh(F: Any, x: Any) -> Any:
    """Return the hyperbolic tangent."""
    size = _clamped(F, F.magnitude(x), 0.0, F.constants.saturated)
    n, p = _split(F, F.add(size, size))
    power = F.scale(F.number(1.0), n)
    t = F.fma(power, p, F.add(power, F.number(-1.0)))
    result = F.divide(t, F.add(t, F.number(2.0)))
    return F.select(F.is_nan(x), x, F.with_sign(result, x))


# What is compiled: over arrays by ``pointwise.cpu``, for vectors by ``_simd``.
FUNCTIONS = (exp, tanh, sigmoid)


def tanh_slope(F: Any, g: Any, y: Any) -> Any:
    """Return g (1 - y^2)."""
    return F.multiply(g, F.add(F.number(1.0), F.negative(F.multiply(y, y))))


def sigmoid_slope(F: Any, g: Any, y: Any) -> Any:
    """Return g y (1 - y)."""
    return F.multiply(F.multiply(g, y), F.add(F.number(1.0), F.negative(y)))


def rectified(F: Any, x: Any) -> Any:
    """Return x where it is not 0 or below, else 0."""
    return rectified_slope(F, x, x)


def rectified_slope(F: Any, g: Any, y: Any) -> Any:
    """Return g where y is not 0 or below, else 0."""
    zero = F.number(0.0)
    return F.select(F.is_nan(y), g, F.select(F.less(zero, y), g, zero))


SLOPES = (tanh_slope, sigmoid_slope)  # of a gradient and a result, over arrays


def _clamped(F: Any, x: Any, low: float, high: float) -> Any:
    """Return x within bounds; NaN becomes one of them, so that it turns into an integer."""
    x = F.select(F.less(x, F.number(high)), x, F.number(high))
    return F.select(F.less(F.number(low), x), x, F.number(low))


def _split(F: Any, x: Any) -> tuple[Any, Any]:
    """Return the integer n as a number, and p."""
    limits = F.constants
    n = F.round(F.multiply(x, F.number(LOG2_E)))
    r = F.fma(n, F.number(-limits.ln2_high), x)
    r = F.fma(n, F.number(-limits.ln2_low), r)
    q = F.number(limits.q[-1])
    for coefficient in limits.q[-2::-1]:
        q = F.fma(q, r, F.number(coefficient))
    return n, F.fma(F.multiply(r, r), q, r)
