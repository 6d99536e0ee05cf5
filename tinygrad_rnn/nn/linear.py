"""Linear: the affine map between two widths."""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import flag
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels import matmul
from tinygrad_rnn.kernels.recurrence import has_steps
from tinygrad_rnn.modes import recording
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_like, check_size
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["Linear", "affine", "product_of"]


_MOST_ROWS = 1024  # from then on the packing that a product does itself hardly counts
_LEAST = 4096  # numbers of a weight; smaller ones are read as they lie


def affine(
    where: str,
    x: Any,
    weight: Parameter,
    bias: Tensor | None,
    letter: str = "I",
    turned: bool = False,
) -> Tensor:
    """``x weight + bias``, or weightᵀ, for a layer, whose name stands in the errors."""
    x = as_tensor(x, where)
    if isinstance(x, Tensor):  # and no row of a cell that is being traced
        width = weight.shape[1 if turned else 0]
        if not x.ndim or x.shape[-1] != width:
            raise ShapeError(
                f"{where}: x has shape {x.shape}, expected (..., {letter}) with {letter} = {width}."
            )
        if x.dtype.kind == "f":
            check_like(where, "x", x, weight)
        packed = _packed(x._data, weight, turned) if recording.get() is False else None
        if packed is not None:
            begin = None if bias is None else bias._data
            return Tensor(matmul.matmul(x._data, packed, bias=begin))
    return ops.linear(x, weight.T if turned else weight, bias)


def product_of(
    x: Array, weight: Parameter, bias: Tensor | None, turned: bool, out: Array | None = None
) -> Array:
    """The same over arrays that fit, where nothing is recorded; written in ``out``."""
    array = weight._data.T if turned else weight._data
    begin = None if bias is None else bias._data
    return matmul.matmul(x, _packed(x, weight, turned) or array, out=out, bias=begin)


def _packed(x: Array, weight: Parameter, turned: bool) -> matmul.PackedMatrix | None:
    """The weight laid out for few rows of x, which is kept; None where x goes the usual way.

    To lay it out costs more than a product, so that is done when it is met again. The bits of
    the result are the same.
    """
    few = 0 < x.size <= _MOST_ROWS * weight.shape[1 if turned else 0] and weight.size >= _LEAST
    if x.ndim < 2 or not few or x.dtype != weight.dtype or not has_steps(x):
        return None
    kept, key = weight.forms(), "packed transpose" if turned else "packed"
    met = f"met {key}"
    if key not in kept and met in kept:
        kept[key] = matmul.pack(weight._data.T if turned else weight._data)
    kept[met] = True
    found: matmul.PackedMatrix | None = kept.get(key)
    return found


class Linear(Module):
    """An affine map of the last axis.

        y = x weight + bias

    x (..., I)  ->  y (..., O); weight (I, O), bias (O), both drawn evenly from -1/√I to 1/√I.

    Args:
        in_features: I.
        out_features: O.
        bias: Whether anything is added.
    """

    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = check_size("Linear", "in_features", in_features)
        self.out_features = check_size("Linear", "out_features", out_features)
        self.weight = Parameter(np.zeros((self.in_features, self.out_features), np.float32))
        has_bias = flag("Linear", "bias", bias)
        self.bias = Parameter(np.zeros(self.out_features, np.float32)) if has_bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1.0 / math.sqrt(max(1, self.in_features))
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, x: Any) -> Tensor:
        """x (..., I) -> (..., O)."""
        return affine("Linear", x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """I, O and whether there is a bias."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
