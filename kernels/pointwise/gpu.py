"""On the GPU: one pass over memory for each function."""

from pathlib import Path

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._cuda import launch, load, require
from tinygrad_rnn.kernels.pointwise import reference

__all__ = [
    "exp", "rectify", "rectify_slope", "sigmoid", "sigmoid_slope", "tanh", "tanh_slope",
]  # fmt: skip

_SOURCE = Path(__file__).with_name("pointwise.cu")
_DEFINED = "eFD"  # element types that the definition computes: half precision, complex


def _applied(name, operands, out):
    xp, x = require(__name__), operands[-1]
    if out is None:
        if x.dtype.char not in "fd" or operands[0].dtype != x.dtype:
            given = " and ".join(str(operand.dtype) for operand in operands)
            raise DTypeError(f"pointwise: x is of {given}, expected float32 or float64.")
        out = xp.empty(x.shape, x.dtype)
    elif out.shape != x.shape or out.dtype != x.dtype:
        raise ShapeError(
            f"pointwise: out is {out.dtype} {out.shape}, expected {x.dtype} {x.shape} as x is."
        )
    target = out if out.flags.c_contiguous else xp.empty(x.shape, x.dtype)
    operands = [xp.ascontiguousarray(operand) for operand in operands]
    kernel = load(_SOURCE, Real=x.dtype).get_function(f"{name}_all")
    launch(kernel, x.size, *operands, target, np.int64(x.size))
    if target is not out:
        out[...] = target
    return out


def _one(name, x, out):
    if x.dtype.char in _DEFINED:
        return getattr(reference, name)(x, out)
    return _applied(name, [x], out)


def exp(x, out=None):
    return _one("exp", x, out)


def tanh(x, out=None):
    return _one("tanh", x, out)


def sigmoid(x, out=None):
    return _one("sigmoid", x, out)


def _slope(name, g, y):
    if y.dtype.char in _DEFINED or g.dtype != y.dtype:
        return getattr(reference, name)(g, y)
    return _applied(name, require(__name__).broadcast_arrays(g, y), None)


def tanh_slope(g, y):
    return _slope("tanh_slope", g, y)


def sigmoid_slope(g, y):
    return _slope("sigmoid_slope", g, y)


def rectify(x, out=None):
    return _applied("rectify", [x], out) if x.dtype.char in "fd" else reference.rectify(x, out)


def rectify_slope(g, y):
    if y.dtype.char not in "fd" or g.dtype != y.dtype:
        return reference.rectify_slope(g, y)
    return _applied("rectify_slope", require(__name__).broadcast_arrays(g, y), None)
