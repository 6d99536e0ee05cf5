"""Flatten: several axes as one."""

import math
from typing import Any

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["Flatten"]


class Flatten(Module):
    """Axes from ``start`` to ``end`` as one, in row-major order.

    x (B, ...)  ->  y (B, N), N the product of the others.

    Args:
        start: The first of them; 1 keeps the rows of a batch apart.
        end: The last of them.
    """

    def __init__(self, start: int = 1, end: int = -1) -> None:
        super().__init__()
        self.start, self.end = whole("Flatten", "start", start), whole("Flatten", "end", end)

    def forward(self, x: Any) -> Tensor:
        """x (B, ...) -> (B, N)."""
        x = as_tensor(x, "Flatten")
        first, last = (a + x.ndim if a < 0 else a for a in (self.start, self.end))
        if not 0 <= first <= last < x.ndim:
            raise ShapeError(
                f"Flatten: x has shape {x.shape}, expected axes {self.start} to {self.end} in it."
            )
        joined = math.prod(x.shape[first : last + 1])
        y: Tensor = x.reshape(*x.shape[:first], joined, *x.shape[last + 1 :])
        return y

    def extra_repr(self) -> str:
        """The axes."""
        return f"{self.start}, {self.end}"
