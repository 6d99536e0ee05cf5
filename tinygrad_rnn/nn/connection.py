"""What leads around a layer: residual and highway connections between layers."""

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.linear import affine
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor

__all__ = ["Highway", "Residual"]


class Residual(Module):
    """The input added: y + x."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y (..., H) -> (..., H)."""
        return y + x


class Highway(Module):
    """A gate between a layer's input and its output (Srivastava et al. 2015).

        g = sigmoid(x w + b)
        g * y + (1 - g) * x

    b starts at -1: at first, more of x passes than of y.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = Parameter(np.zeros((size, size), np.float32))
        self.b = Parameter(np.zeros(size, np.float32))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        init.xavier_uniform_(self.w)
        init.constant_(self.b, -1.0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y (..., H) -> (..., H)."""
        g = ops.sigmoid(affine("Highway", x, self.w, self.b, "H"))
        return g * y + (1.0 - g) * x
