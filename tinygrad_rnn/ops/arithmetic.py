"""Element-wise arithmetic with broadcasting: NumPy's names, NumPy's rules.

Subgradients at kinks: |x| has derivative 0 at 0; where maximum and minimum are given equal
operands, each gets half; clip passes the gradient on the closed interval.
"""

import math
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import number
from tinygrad_rnn.device import Array
from tinygrad_rnn.kernels import pointwise
from tinygrad_rnn.ops.places import check_held, kept
from tinygrad_rnn.primitive import binary, nary, place_for_place, unary
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = [
    "abs", "add", "clip", "cos", "div", "exp", "expm1", "log", "log1p", "maximum", "minimum",
    "mul", "neg", "pow", "reciprocal", "sign", "sin", "sqrt", "square", "sub", "where",
]  # fmt: skip

# ----- two operands -----

add = binary(
    "add",
    np.add,
    lambda _F, g, _out, _a, _b: g,
    lambda _F, g, _out, _a, _b: g,
    doc="``x + y``, element by element.",
)

sub = binary(
    "sub",
    np.subtract,
    lambda _F, g, _out, _a, _b: g,
    lambda _F, g, _out, _a, _b: -g,
    doc="``x - y``, element by element.",
)

mul = binary(
    "mul",
    np.multiply,
    lambda _F, g, _out, _a, b: g * b,
    lambda _F, g, _out, a, _b: g * a,
    doc="``x * y``, element by element.",
)

div = binary(
    "div",
    np.true_divide,
    lambda _F, g, _out, _a, b: g / b,
    lambda _F, g, out, _a, b: -g * out / b,
    floats=True,
    doc="``x / y``, element by element; of integers, too, it is float32.",
)


def _share(F: Any, g: Any, a: Any, b: Any, mine_wins: Any) -> Any:
    """The gradient of max or min: all of it to the winner, half to each of two equals."""
    return F.where(a == b, g * 0.5, F.where(mine_wins, g, 0.0))


def _larger(a: Array, b: Array) -> Array:
    if getattr(a, "dtype", None) == np.complex128 or getattr(b, "dtype", None) == np.complex128:
        return np.where(np.real(a) >= np.real(b), a, b)
    return np.maximum(a, b)


def _smaller(a: Array, b: Array) -> Array:
    if getattr(a, "dtype", None) == np.complex128 or getattr(b, "dtype", None) == np.complex128:
        return np.where(np.real(a) <= np.real(b), a, b)
    return np.minimum(a, b)


maximum = binary(
    "maximum",
    _larger,
    lambda F, g, _out, a, b: _share(F, g, a, b, a > b),
    lambda F, g, _out, a, b: _share(F, g, a, b, b > a),
    doc="The larger of ``x`` and ``y``, element by element; equals share the gradient.",
)

minimum = binary(
    "minimum",
    _smaller,
    lambda F, g, _out, a, b: _share(F, g, a, b, a < b),
    lambda F, g, _out, a, b: _share(F, g, a, b, b < a),
    doc="The smaller of ``x`` and ``y``, element by element; equals share the gradient.",
)


def _chosen(condition: Any, a: Any, b: Any) -> Array:
    if a.__class__ is int and hasattr(b, "dtype"):
        check_held(b, a)
    if b.__class__ is int and hasattr(a, "dtype"):
        check_held(a, b)
    return np.where(condition, a, b)


# 0.0, not g * 0.0: infinite and undefined gradients stop at what was not chosen.
_where = nary(
    "where",
    _chosen,
    None,
    lambda F, g, _out, condition, _a, _b: F.where(condition, g, 0.0),
    lambda F, g, _out, condition, _a, _b: F.where(condition, 0.0, g),
    broadcasts=True,
    along=place_for_place,
)


def operand(where: str, name: str, value: Any) -> Any:
    """A number, or a Tensor or array of them, that an operation is to be given."""
    return value if isinstance(value, Tensor | np.ndarray) else number(where, name, value)


def where(condition: object, a: object, b: object) -> Tensor:
    """``a`` where the condition holds, else ``b``; the condition has no gradient."""
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    if numbers and float in (type(a), type(b)):
        # NumPy would make float64 of numbers alone.
        a = np.float32(a)  # type: ignore[arg-type]
    # What is changed in a Tensor is noticed, in an array it is not.
    return _where(kept(condition) if isinstance(condition, np.ndarray) else condition, a, b)


# ----- powers -----

neg = unary("neg", np.negative, lambda _F, g, _out, _x: -g, floats=False, doc="``-x``.")
square = unary(
    "square", np.square, lambda _F, g, _out, x: g * x * 2.0, floats=False, doc="``x * x``."
)
sqrt = unary("sqrt", np.sqrt, lambda _F, g, out, _x: g * 0.5 / out, doc="The square root of ``x``.")
reciprocal = unary(
    "reciprocal", np.reciprocal, lambda _F, g, out, _x: -g * out * out, doc="``1 / x``."
)


_power = binary(
    "power",
    np.power,
    # 0**0 is 1 and stays 1 along a: only there the slope b a**(b - 1) has to be told so.
    lambda F, g, _out, a, b: g * b * F.power(F.where((a == 0) & (b == 0), 1.0, a), b - 1.0),
    # The limit of a**b log a at a = 0 < b is 0; log 1 gives it.
    lambda F, g, out, a, _b: g * out * F.log(F.where(a == 0, 1.0, a)),
    floats=True,
)

_power_of = unary(
    "power_of",
    lambda x, exponent: np.power(x, exponent),
    lambda F, g, _out, x, exponent: (
        g * exponent * F.power_of(x, exponent=exponent - 1.0) if exponent else g * 0.0
    ),
)


def _log_of_base(base: float) -> float:
    if base == 0:
        return 0.0  # 0**x is constant where it is differentiable
    return math.log(base) if base > 0 else math.nan


_number_to_the = unary(
    "number_to_the",
    lambda x, base: np.power(x.dtype.type(base), x),
    lambda _F, g, out, _x, base: g * out * _log_of_base(base),
)


def pow(a: object, b: object) -> Tensor:
    """``a ** b``; a plain number as the exponent keeps negative bases differentiable."""
    if isinstance(b, int | float):
        return square(a) if b == 2 else _power_of(a, exponent=float(b))
    if isinstance(a, int | float):
        return _number_to_the(b, base=float(a))
    return _power(a, b)


# ----- functions -----

exp = unary("exp", pointwise.exp, lambda _F, g, out, _x: g * out, doc="e to the power of ``x``.")
log = unary("log", np.log, lambda _F, g, _out, x: g / x, doc="The natural logarithm of ``x``.")
log1p = unary(
    "log1p",
    np.log1p,
    lambda _F, g, _out, x: g / (x + 1.0),
    doc="``log(1 + x)``, exact where ``x`` is small.",
)
expm1 = unary(
    "expm1",
    np.expm1,
    lambda _F, g, out, _x: g * (out + 1.0),
    doc="``exp(x) - 1``, exact where ``x`` is small.",
)
sin = unary("sin", np.sin, lambda F, g, _out, x: g * F.cos(x), doc="The sine of ``x`` radians.")
cos = unary("cos", np.cos, lambda F, g, _out, x: -g * F.sin(x), doc="The cosine of ``x`` radians.")


def _sign(x: Array) -> Array:
    return np.sign(np.real(x)).astype(x.dtype) if x.dtype.kind == "c" else np.sign(x)


def _abs(x: Array) -> Array:
    return x * _sign(x) if x.dtype.kind == "c" else np.abs(x)  # complex steps follow the real part


sign = unary(
    "sign",
    _sign,
    lambda _F, g, _out, _x: g * 0.0,
    floats=False,
    doc="1 where ``x`` is positive, -1 where it is negative, else 0; its derivative is 0.",
)
abs = unary(
    "abs",
    _abs,
    lambda F, g, _out, x: g * F.sign(x),
    floats=False,
    doc="``x`` without its sign; its derivative at 0 is 0.",
)


def _clip(x: Array, low: float | None, high: float | None) -> Array:
    if x.dtype.kind == "c":
        inside = _inside(x.real, low, high)
        return np.where(inside, x, np.clip(x.real, low, high))
    return np.clip(x, low, high)


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


_clip_op = unary(
    "clip",
    _clip,
    lambda F, g, _out, x, low, high: F.where(_inside(x, low, high), g, 0.0),
    floats=False,
)


def clip(x: object, low: float | None = None, high: float | None = None) -> Tensor:
    """``x`` held between the numbers ``low`` and ``high``; None leaves a side open."""
    if low is None and high is None:
        raise ValueError("clip: give low, high or both.")
    low = None if low is None else number("clip", "low", low)
    high = None if high is None else number("clip", "high", high)
    if low is not None and high is not None and low > high:
        raise ValueError(f"clip: low is {low}, expected at most high, which is {high}.")
    bounds = (low, high)
    if any(isinstance(b, float) for b in bounds) and as_tensor(x, "clip").dtype.kind not in "fc":
        x = as_tensor(x, "clip")._data.astype(np.float32)
    return _clip_op(x, low=bounds[0], high=bounds[1])
