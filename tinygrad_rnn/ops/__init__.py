"""Differentiable functions; the operators and methods of Tensor are bound here.

Operands may be Tensors, arrays or numbers. Nothing changes in place. Floating-point types are
never converted silently; integers and booleans follow the floating-point operand beside them,
and alone become float32 where the result has fractions (division, mean, exp).

What has no derivative is no Tensor: comparisons, argmax, argmin and the places of topk are
arrays of NumPy (of CuPy on a GPU), and whatever takes a condition or an index takes them.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array, on_gpu, there
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels.recurrence.symbols import Symbol
from tinygrad_rnn.ops import (
    activation,
    arithmetic,
    attention,
    convolution,
    index,
    normalization,
    pooling,
    products,
    reduce,
    shape,
    window,
)
from tinygrad_rnn.ops.activation import *  # noqa: F403
from tinygrad_rnn.ops.arithmetic import *  # noqa: F403
from tinygrad_rnn.ops.attention import *  # noqa: F403
from tinygrad_rnn.ops.convolution import *  # noqa: F403
from tinygrad_rnn.ops.index import *  # noqa: F403
from tinygrad_rnn.ops.normalization import *  # noqa: F403
from tinygrad_rnn.ops.pooling import *  # noqa: F403
from tinygrad_rnn.ops.products import *  # noqa: F403
from tinygrad_rnn.ops.recurrence import recurrence as recurrence
from tinygrad_rnn.ops.reduce import *  # noqa: F403
from tinygrad_rnn.ops.shape import *  # noqa: F403
from tinygrad_rnn.ops.window import *  # noqa: F403
from tinygrad_rnn.primitive import check_devices
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = (
    activation.__all__
    + arithmetic.__all__
    + attention.__all__
    + convolution.__all__
    + index.__all__
    + normalization.__all__
    + pooling.__all__
    + products.__all__
    + reduce.__all__
    + shape.__all__
    + window.__all__
)


def __dir__() -> list[str]:
    """What users call; not what it is made of."""
    return [*__all__, "recurrence", "__doc__", "__file__", "__name__", "__path__"]


def _compare(compare: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Array]:
    def method(self: Tensor, other: Any) -> Array:
        try:
            theirs = other if isinstance(other, int | float) else as_array(other)
        except DTypeError:  # no numbers, and so unequal and without order
            return NotImplemented
        mine = self._data
        if mine.dtype.kind == "c" or getattr(theirs, "dtype", mine.dtype).kind == "c":
            mine, theirs = mine.real, theirs.real  # complex steps decide by the real part
        if mine.__class__ is not np.ndarray or on_gpu(theirs):
            check_devices(compare, [mine, theirs])
        try:
            with there(mine):
                return compare(mine, theirs)
        except ValueError as error:
            raise ShapeError(
                f"{compare.__name__}: shapes {self.shape} and {np.shape(theirs)} do not broadcast: "
                "counted from the last axis, sizes are equal or one of them is 1."
            ) from error

    return method


def _flip(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    return lambda self, other: function(other, self)


def _in_place(function: Callable[[Any, Any], Tensor], symbol: str) -> Callable[[Tensor, Any], Any]:
    """``x += y``: as Python does it anyway, but not where ``x`` was meant to change."""

    def method(self: Tensor, other: Any) -> Tensor:
        if self._node is None:
            self.refuse_update(symbol)
        return function(self, other)

    return method


def _flatten(self: Tensor) -> Tensor:
    """All elements along one axis."""
    return shape.reshape(self, -1)


def _concat(self: Tensor, *others: Any, axis: int = 0) -> Tensor:
    """This tensor and others, one after the other along an axis that exists."""
    return shape.concat([self, *others], axis=axis)


def _bind() -> None:
    binary = {
        "add": (arithmetic.add, "+"), "sub": (arithmetic.sub, "-"), "mul": (arithmetic.mul, "*"),
        "truediv": (arithmetic.div, "/"), "pow": (arithmetic.pow, "**"),
        "matmul": (products.matmul, "@"),
    }  # fmt: skip
    for name, (function, symbol) in binary.items():
        setattr(Tensor, f"__{name}__", function)
        setattr(Tensor, f"__r{name}__", _flip(function))
        setattr(Tensor, f"__i{name}__", _in_place(function, symbol))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        method = _compare(getattr(operator, name))
        method.__name__, method.__qualname__ = f"__{name}__", f"Tensor.__{name}__"
        method.__doc__ = "Compare element by element: an array of booleans, which is no Tensor."
        setattr(Tensor, f"__{name}__", method)
    methods: dict[str, object] = {
        "__neg__": arithmetic.neg,
        "__pos__": lambda self: self,
        "__abs__": arithmetic.abs,
        "__getitem__": index.getitem,
        "__iter__": lambda self: iter(shape.unbind(self)),
        "T": property(shape.transpose, doc="The axes reversed."),
        "mT": property(
            lambda self: shape.swapaxes(self, -1, -2), doc="The last two axes exchanged."
        ),
        "view": shape.reshape,
        "flatten": _flatten,
        "clamp": arithmetic.clip,
        "dot": products.matmul,
        "concat": _concat,
    }
    for name, bound in methods.items():
        setattr(Tensor, name, bound)
    functions_only = {
        "additive_scores", "concat", "convolve", "dropout", "einsum", "embedding", "linear",
        "masked_softmax", "max_pool", "stack", "where", "windows",
    }  # fmt: skip
    for name in __all__:
        if name not in functions_only:
            setattr(Tensor, name, globals()[name])


def _bind_symbols() -> None:
    """What is made of functions that can be fused can be fused: a traced row has it, too."""
    for name in ("elu", "gelu", "leaky_relu", "matmul", "pow", "silu", "softplus", "clip"):
        setattr(Symbol, name, globals()[name])
    others = {
        "clamp": arithmetic.clip, "dot": products.matmul, "__rpow__": _flip(arithmetic.pow),
    }  # fmt: skip
    for name, function in others.items():
        setattr(Symbol, name, function)


_bind()
_bind_symbols()
