"""The element-wise operations of fused steps, a row of the table each.

Symbols, interpreter, derivative and writer read what they need from here. What is not here:
the vectors that ``source`` calls (``_simd``), and the derivative rule, which is that of the
primitive of the same name (``ops``).
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = ["COMPARISONS", "ELEMENTWISE", "Elementwise"]


@dataclass(frozen=True)
class Elementwise:
    """An element-wise operation.

    source      the kernel's expression: ``{0}`` is the first operand, ``{exponent}`` an attribute
    numpy       the definition over arrays, complex ones too: there the real part decides
    operands    how many rows it takes
    attrs       the names of the numbers that belong to the operation itself
    costly      backward would rather keep the value than compute it again
    comparison  gives truth values, which only ``where`` takes
    """

    source: str | Callable[..., str]
    numpy: Callable[..., Any]
    operands: int = 1
    attrs: tuple[str, ...] = ()
    costly: bool = False
    comparison: bool = False

    def written(self, *operands: str, **attrs: Any) -> str:
        """The kernel's expression for operands that have these names."""
        write = self.source.format if isinstance(self.source, str) else self.source
        return write(*operands, **attrs)


def _by_real_part(choose: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """maximum or minimum that compares real parts only."""
    return lambda a, b: np.where(choose(np.real(a), np.real(b)), a, b)


def _comparison(source: str, compare: Callable[[Any, Any], Any]) -> Elementwise:
    def numpy(a: Any, b: Any) -> Any:
        # A Tensor has no such attribute; it compares real parts by itself.
        return compare(getattr(a, "real", a), getattr(b, "real", b))

    return Elementwise(source, numpy, operands=2, comparison=True)


def _clip(x: Any, low: float | None, high: float | None) -> Any:
    low = -math.inf if low is None else low
    high = math.inf if high is None else high
    return np.where(np.real(x) < low, low, np.where(np.real(x) > high, high, x))


def _clip_source(x: str, low: float | None, high: float | None) -> str:
    for name, bound in (("maximum", low), ("minimum", high)):
        x = x if bound is None else f"{name}({x}, fill(like, {float(bound)!r}))"
    return x


ELEMENTWISE: Mapping[str, Elementwise] = MappingProxyType({
    "add": Elementwise("add({0}, {1})", np.add, 2),
    "sub": Elementwise("sub({0}, {1})", np.subtract, 2),
    "mul": Elementwise("mul({0}, {1})", np.multiply, 2),
    "div": Elementwise("div({0}, {1})", np.true_divide, 2, costly=True),
    "neg": Elementwise("neg({0})", np.negative),
    "square": Elementwise("mul({0}, {0})", np.square),
    "sqrt": Elementwise("sqrt({0})", np.sqrt, costly=True),
    "reciprocal": Elementwise("div(fill(like, 1.0), {0})", np.reciprocal, costly=True),
    "power_of": Elementwise(
        "power({0}, fill(like, {exponent!r}))",
        lambda x, exponent: x**exponent,
        attrs=("exponent",),
        costly=True,
    ),
    "exp": Elementwise("exp({0})", np.exp, costly=True),
    "log": Elementwise("log({0})", np.log, costly=True),
    "log1p": Elementwise("log1p({0})", np.log1p, costly=True),
    "expm1": Elementwise("expm1({0})", np.expm1, costly=True),
    "sin": Elementwise("sin({0})", np.sin, costly=True),
    "cos": Elementwise("cos({0})", np.cos, costly=True),
    "sigmoid": Elementwise("sigmoid({0})", lambda x: 0.5 * (1 + np.tanh(0.5 * x)), costly=True),
    "tanh": Elementwise("tanh({0})", np.tanh, costly=True),
    "sign": Elementwise("sign({0})", lambda x: np.sign(np.real(x)).astype(x.dtype)),
    "abs": Elementwise("absolute({0})", lambda x: x * np.sign(np.real(x))),
    "relu": Elementwise(
        "maximum({0}, fill(like, 0.0))", lambda x: np.where(np.real(x) > 0, x, 0)
    ),
    "maximum": Elementwise("maximum({0}, {1})", _by_real_part(np.greater_equal), 2),
    "minimum": Elementwise("minimum({0}, {1})", _by_real_part(np.less_equal), 2),
    "clip": Elementwise(_clip_source, _clip, attrs=("low", "high")),
    "where": Elementwise("where({0}, {1}, {2})", np.where, 3),
    "gt": _comparison("gt({0}, {1})", operator.gt),
    "ge": _comparison("ge({0}, {1})", operator.ge),
    "lt": _comparison("lt({0}, {1})", operator.lt),
    "le": _comparison("le({0}, {1})", operator.le),
    "eq": _comparison("eq({0}, {1})", operator.eq),
})  # fmt: skip

COMPARISONS = frozenset(name for name, op in ELEMENTWISE.items() if op.comparison)
