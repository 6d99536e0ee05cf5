"""The tensor: an array, whether it wants a gradient, and the node that made it."""

from tinygrad_rnn.tensor.tensor import (
    FLOATS,
    HookHandle,
    Tensor,
    as_array,
    as_operand,
    as_tensor,
    constant,
)
from tinygrad_rnn.tensor.version import CONSTANT, Version, tick

__all__ = [
    "CONSTANT", "FLOATS", "HookHandle", "Tensor", "Version", "as_array", "as_operand", "as_tensor",
    "constant", "tick",
]  # fmt: skip
