"""Convolution over one or two axes, as layers."""

import math
from typing import Any, Literal

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import flag
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_like, check_size
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.ops.axes import Sizes, each_axis
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["Conv1d", "Conv2d"]


class _Conv(Module):
    """Convolution over the last ``axes`` axes."""

    axes = 0
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | Literal["same"] = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.in_channels = check_size(where, "in_channels", in_channels)
        self.out_channels = check_size(where, "out_channels", out_channels)
        self.kernel_size = each_axis(where, "kernel_size", kernel_size, self.axes, 1)
        self.stride = each_axis(where, "stride", stride, self.axes, 1)
        self.dilation = each_axis(where, "dilation", dilation, self.axes, 1)
        self.groups = check_size(where, "groups", groups)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ShapeError(
                f"{where}: groups is {groups}, expected a number that divides in_channels "
                f"({in_channels}) and out_channels ({out_channels})."
            )
        self.padding = self._widths(padding)
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(np.zeros(shape, np.float32))
        has_bias = flag(where, "bias", bias)
        self.bias = Parameter(np.zeros(self.out_channels, np.float32)) if has_bias else None
        self.reset_parameters()

    def _widths(self, padding: Any) -> tuple[tuple[int, int], ...]:
        """How many zeros are put before and behind each axis."""
        where = type(self).__name__
        if isinstance(padding, str) and padding != "same":
            raise ArgumentError(
                f"{where}: padding is {padding!r}, expected 'same', or how many zeros: 0 for none."
            )
        if padding != "same":
            return tuple((n, n) for n in each_axis(where, "padding", padding, self.axes, 0))
        if any(s != 1 for s in self.stride):
            raise ShapeError(f"{where}: padding is 'same' with a stride of {self.stride}, not 1.")
        spans = [(k - 1) * d for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in spans)

    def reset_parameters(self) -> None:
        """Draw the parameters anew, evenly from -1/√n to 1/√n, n the inputs of an output."""
        bound = 1.0 / math.sqrt(math.prod(self.weight.shape[1:]))
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, x: Any) -> Tensor:
        """x (B, C, *sizes) -> (B, O, *places)."""
        where = type(self).__name__
        x = as_tensor(x, where)
        if x.ndim != self.axes + 2 or x.shape[1] != self.in_channels:
            sizes = "(B, C, L)" if self.axes == 1 else "(B, C, H, W)"
            raise ShapeError(
                f"{where}: x has shape {x.shape}, expected {sizes} with C = {self.in_channels}."
            )
        check_like(where, "x", x, self.weight)
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        whole = tuple(n + sum(p) for n, p in zip(x.shape[2:], self.padding, strict=True))
        if any(n < span for n, span in zip(whole, spans, strict=True)):
            raise ShapeError(
                f"{where}: x is {whole} with its padding, expected {tuple(spans)} at least, "
                "which is what the kernel spans."
            )
        return ops.convolve(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Channels, kernel and whatever is not as it comes."""
        padding = tuple(a if a == b else (a, b) for a, b in self.padding)
        options = {
            "stride": self.stride, "padding": padding,
            "dilation": self.dilation, "groups": self.groups,
        }  # fmt: skip
        plain = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        given = [
            f"{name}={value}"
            for name, value in options.items()
            if set(value if isinstance(value, tuple) else [value]) != {plain[name]}
        ]
        parts = [str(self.in_channels), str(self.out_channels), f"kernel_size={self.kernel_size}"]
        return ", ".join([*parts, *given, f"bias={self.bias is not None}"])


class Conv1d(_Conv):
    """Convolution over time or any one axis: correlation, as everywhere in deep learning.

        y[b, o, t] = bias[o] + Σ_c Σ_k weight[o, c, k] x[b, c, t stride + k dilation - padding]

    x (B, C, L)  ->  y (B, O, L'), L' = (L + 2 padding - dilation (K - 1) - 1) // stride + 1;
    weight (O, C / groups, K), bias (O), as in PyTorch.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K.
        stride: How far windows are apart.
        padding: How many zeros are put at both ends; "same" gives y the length of x.
        dilation: How far the places of a window are apart.
        groups: Into how many parts channels are divided, which have nothing to do with each other.
        bias: Whether anything is added.
    """

    axes = 1


class Conv2d(_Conv):
    """Convolution over images.

        y[b, o, i, j] = bias[o] + Σ_c Σ_k Σ_l weight[o, c, k, l] x[b, c, i + k, j + l]

    at stride and dilation 1. x (B, C, H, W)  ->  y (B, O, H', W'), each axis as in ``Conv1d``;
    weight (O, C / groups, K, L), bias (O). Arguments are those of ``Conv1d``; sizes are one
    number for both axes, or two.
    """

    axes = 2
