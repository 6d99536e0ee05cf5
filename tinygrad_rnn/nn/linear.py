"""Linear: the affine map between two widths."""

import math

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor

__all__ = ["Linear"]


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
        self.bias = Parameter(np.zeros(self.out_features, np.float32)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1.0 / math.sqrt(max(1, self.in_features))
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., I) -> (..., O)."""
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """I, O and whether there is a bias."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
