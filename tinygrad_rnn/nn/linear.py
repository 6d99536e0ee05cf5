"""Linear: the affine map between two widths."""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import flag
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_dtype, check_size
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["Linear", "affine"]


def affine(where: str, x: Any, weight: Tensor, bias: Tensor | None, letter: str = "I") -> Tensor:
    """``x weight + bias`` for a layer, whose name stands in the errors."""
    x = as_tensor(x, where)
    if isinstance(x, Tensor):  # and no row of a cell that is being traced
        width = weight.shape[0]
        if not x.ndim or x.shape[-1] != width:
            raise ShapeError(
                f"{where}: x has shape {x.shape}, expected (..., {letter}) with {letter} = {width}."
            )
        if x.dtype.kind == "f":
            check_dtype(where, "x", x, weight)
    return ops.linear(x, weight, bias)


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
