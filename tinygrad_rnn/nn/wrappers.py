"""What leads around a module: its input is added to its output, mixed with it, or kept beside it.

A module that gives several results, as a recurrent layer does, has the first of them changed
and the others passed on.
"""

from typing import Any

from tinygrad_rnn import ops
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.nn import connection
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.containers import check_module
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["DenselyConnected", "Highway", "Residual"]


class _Around(Module):
    """A module with a way around it."""

    def __init__(self, inner: Module) -> None:
        super().__init__()
        check_module(self, "inner", inner)
        self.inner = inner

    def forward(self, x: Any, *more: Any, **options: Any) -> Any:
        """What ``inner`` is called with -> what it gives, the first of it changed."""
        x = as_tensor(x, type(self).__name__)
        result = self.inner(x, *more, **options)
        y, *others = result if isinstance(result, tuple) else (result,)
        y = self.joined(x, y)
        return (y, *others) if isinstance(result, tuple) else y

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """Input and output as one."""
        raise NotImplementedError

    def _check_alike(self, x: Tensor, y: Tensor) -> None:
        if x.shape != y.shape:
            raise ShapeError(
                f"{type(self).__name__}: {type(self.inner).__name__} makes {y.shape} of an x of "
                f"{x.shape}, expected the same shape, as the two are added."
            )


class Residual(_Around):
    """The input added (He et al. 2016): a sum leaves gradients a way past ``inner``.

        y = inner(x) + x

    x (..., H)  ->  y (..., H).
    """

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y (..., H) -> (..., H)."""
        self._check_alike(x, y)
        return y + x


class Highway(_Around):
    """A gate between the input and the output (Srivastava et al. 2015).

        g = sigmoid(x w + b)
        y = g inner(x) + (1 - g) x

    x (..., H)  ->  y (..., H); gate.w (H, H), gate.b (H), which starts at -1: at first, more
    of x passes.

    Args:
        inner: What makes an output as wide as its input.
        size: H.
    """

    def __init__(self, inner: Module, size: int) -> None:
        super().__init__(inner)
        self.gate = connection.Highway(check_size("Highway", "size", size))

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """x, y (..., H) -> (..., H)."""
        self._check_alike(x, y)
        return self.gate(x, y)  # type: ignore[no-any-return]


class DenselyConnected(_Around):
    """The input kept beside the output (Huang et al. 2017): what follows reads both.

        y = [x; inner(x)]

    x (..., I)  ->  y (..., I + H).
    """

    def joined(self, x: Tensor, y: Tensor) -> Tensor:
        """x (..., I), y (..., H) -> (..., I + H)."""
        if x.shape[:-1] != y.shape[:-1]:
            raise ShapeError(
                f"DenselyConnected: {type(self.inner).__name__} makes {y.shape} of an x of "
                f"{x.shape}, expected all axes but the last to be the same."
            )
        return ops.concat([x, y], axis=-1)
