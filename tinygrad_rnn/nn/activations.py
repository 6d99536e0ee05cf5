"""Activations as modules, for ``Sequential``."""

from functools import partial
from typing import Any

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import number
from tinygrad_rnn.nn.functions import Function, check_nonlinearity, nonlinearity_of
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = [
    "ELU", "GELU", "Activation", "HardSigmoid", "HardTanh", "Identity", "LeakyReLU", "LogSoftmax",
    "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh",
]  # fmt: skip

_BESIDE_CELLS = {"softmax": ops.softmax, "log_softmax": ops.log_softmax}  # of a whole row


class Activation(Module):
    """A function of every element, by its name or itself: ``nn.Activation("relu")``.

        y = f(x)

    x (...)  ->  y (...). Names: tanh, relu, sigmoid, identity, hard_tanh, hard_sigmoid,
    softsign, softplus, silu, gelu, elu; softmax and log_softmax, over the last axis.
    """

    def __init__(self, function: str | Function) -> None:
        super().__init__()
        check_nonlinearity(type(self).__name__, "function", function, _BESIDE_CELLS)
        self.function = function

    def forward(self, x: Any) -> Tensor:
        """x (...) -> (...)."""
        function = self.function
        known = _BESIDE_CELLS.get(function) if isinstance(function, str) else None
        y: Tensor = (known or nonlinearity_of(function))(as_tensor(x, type(self).__name__))
        return y

    def extra_repr(self) -> str:
        """The function."""
        name = getattr(self.function, "__name__", None)
        return repr(self.function) if isinstance(self.function, str) else name or "a function"


class _Named(Activation):
    """An activation that a class stands for."""

    name = ""

    def __init__(self) -> None:
        super().__init__(self.name)

    def extra_repr(self) -> str:
        """Nothing: the class says it."""
        return ""


class Identity(_Named):
    """y = x."""

    name = "identity"


class ReLU(_Named):
    """y = max(x, 0); its derivative at 0 is 0."""

    name = "relu"


class Tanh(_Named):
    """y = tanh(x)."""

    name = "tanh"


class Sigmoid(_Named):
    """y = 1 / (1 + exp(-x))."""

    name = "sigmoid"


class HardTanh(_Named):
    """y = min(max(x, -1), 1)."""

    name = "hard_tanh"


class HardSigmoid(_Named):
    """y = min(max(x / 6 + 1/2, 0), 1)."""

    name = "hard_sigmoid"


class Softsign(_Named):
    """y = x / (1 + |x|)."""

    name = "softsign"


class Softplus(_Named):
    """y = log(1 + exp(x))."""

    name = "softplus"


class SiLU(_Named):
    """y = x sigmoid(x), also called swish."""

    name = "silu"


class GELU(_Named):
    """y = x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³))), the tanh form."""

    name = "gelu"


class LeakyReLU(Activation):
    """y = x where it is positive, else slope x."""

    def __init__(self, slope: float = 0.01) -> None:
        slope = number("LeakyReLU", "slope", slope)
        super().__init__(partial(ops.leaky_relu, slope=slope))
        self.slope = slope

    def extra_repr(self) -> str:
        """The slope."""
        return f"slope={self.slope}"


class ELU(Activation):
    """y = x where it is positive, else alpha (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0) -> None:
        alpha = number("ELU", "alpha", alpha)
        super().__init__(partial(ops.elu, alpha=alpha))
        self.alpha = alpha

    def extra_repr(self) -> str:
        """The scale."""
        return f"alpha={self.alpha}"


class Softmax(Activation):
    """y = exp(x) / sum(exp(x)) along an axis."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__(partial(ops.softmax, axis=axis))
        self.axis = axis

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class LogSoftmax(Activation):
    """y = x - log(sum(exp(x))) along an axis."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__(partial(ops.log_softmax, axis=axis))
        self.axis = axis

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"
