"""Dense: an affine map and an activation, whose input size may come with the first input."""

from typing import Any

import numpy as np

from tinygrad_rnn.arguments import flag
from tinygrad_rnn.errors import ModuleError, ShapeError
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.activations import Activation
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.functions import Function
from tinygrad_rnn.nn.linear import affine
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["Dense"]


class Dense(Module):
    """An affine map of the last axis, and an activation of what comes out.

        y = f(x weight + bias)

    x (..., I)  ->  y (..., O); weight (I, O), bias (O). The weight is drawn after Glorot &
    Bengio 2010, the bias starts at 0, as in Keras.

    Without ``input_dim``, I is the width of the first x. Until then there are no weights, and
    asking for parameters or the state dict is an error.

    Args:
        units: O.
        input_dim: I, or None to wait for the first input.
        activation: f, by name or a function; None for none. See ``Activation``.
        bias: Whether anything is added.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        units: int,
        input_dim: int | None = None,
        activation: str | Function | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.units = check_size("Dense", "units", units)
        self.has_bias = flag("Dense", "bias", bias)
        self.activation = None if activation is None else Activation(activation)
        self.weight = self.bias = None
        if input_dim is not None:
            self.build(input_dim)

    def build(self, input_dim: int, dtype: Any = np.float32) -> None:
        """Make the weights for inputs of this width."""
        size = check_size("Dense", "input_dim", input_dim)
        if self.weight is not None:
            known = self.weight.shape[0]
            raise ModuleError(f"Dense: it has weights for input_dim={known} already.")
        self.weight = Parameter(np.zeros((size, self.units), dtype))
        self.bias = Parameter(np.zeros(self.units, dtype)) if self.has_bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        if self.weight is not None:
            init.xavier_uniform_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Any) -> Tensor:
        """x (..., I) -> (..., O)."""
        x = as_tensor(x, "Dense")
        if not x.ndim:
            raise ShapeError("Dense: x is a single number, expected (..., I).")
        if self.weight is None:
            self.build(x.shape[-1], x.dtype if x.dtype.kind == "f" else np.float32)
            if x.device != "cpu":
                self.to(x.device)
        assert self.weight is not None
        y = affine("Dense", x, self.weight, self.bias)
        return y if self.activation is None else self.activation(y)

    def _check_made(self, place: str) -> None:
        if self.weight is None:
            raise ModuleError(
                f"Dense: {place or 'it'} has no weights yet, because its input size is not known; "
                "give input_dim=, or call the model once with an input."
            )

    def made_with(self) -> dict[str, Any]:
        """The arguments, the input size among them once it is known."""
        known = {} if self.weight is None else {"input_dim": self.weight.shape[0]}
        return super().made_with() | known

    def extra_repr(self) -> str:
        """O, and I if it is known."""
        known = "" if self.weight is None else f", input_dim={self.weight.shape[0]}"
        return f"{self.units}{known}, bias={self.has_bias}"
