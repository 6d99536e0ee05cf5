"""Pooling: one number for every window."""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import flag
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.ops.axes import Sizes, each_axis
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["AvgPool1d", "AvgPool2d", "MaxPool1d", "MaxPool2d"]


class _Pool(Module):
    """Windows over the last ``axes`` axes, as far apart as they are wide unless told otherwise."""

    axes = 0

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        where = type(self).__name__
        self.kernel_size = each_axis(where, "kernel_size", kernel_size, self.axes, 1)
        given = self.kernel_size if stride is None else stride
        self.stride = each_axis(where, "stride", given, self.axes, 1)
        self.padding = each_axis(where, "padding", padding, self.axes, 0)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ShapeError(
                f"{where}: padding is {padding}, expected at most half of the kernel, "
                f"{self.kernel_size}, or windows would hold nothing else."
            )

    def forward(self, x: Any) -> Tensor:
        """x (B, C, *sizes) -> (B, C, *places)."""
        where = type(self).__name__
        x = as_tensor(x, where)
        sizes = [n + 2 * p for n, p in zip(x.shape[2:], self.padding, strict=False)]
        if x.ndim != self.axes + 2 or any(
            n < k for n, k in zip(sizes, self.kernel_size, strict=True)
        ):
            axes = "(B, C, L)" if self.axes == 1 else "(B, C, H, W)"
            raise ShapeError(
                f"{where}: x has shape {x.shape}, expected {axes}, sizes from {self.kernel_size} "
                "up with their padding."
            )
        return self.pooled(x)

    def pooled(self, x: Tensor) -> Tensor:
        """x (B, C, *sizes) -> (B, C, *places)."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """The windows."""
        return f"{self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _MaxPool(_Pool):
    def pooled(self, x: Tensor) -> Tensor:
        """The largest; of equals the first, which alone gets the gradient."""
        return ops.max_pool(x, self.kernel_size, self.stride, self.padding)


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        count_padding: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.count_padding = flag(type(self).__name__, "count_padding", count_padding)

    def windows(self, x: Tensor) -> Tensor:
        """x (..., *sizes), padded with zeros -> (..., *places, N), N numbers a window."""
        if any(self.padding):
            x = ops.pad(x, [(0, 0)] * (x.ndim - self.axes) + [(p, p) for p in self.padding])
        found = ops.windows(x, self.kernel_size, self.stride, (1,) * self.axes)
        return found.reshape(*found.shape[: x.ndim], math.prod(self.kernel_size))

    def pooled(self, x: Tensor) -> Tensor:
        """The mean."""
        windows = self.windows(x)
        if self.count_padding:
            return windows.mean(-1)
        inside = self.windows(Tensor(np.ones(x.shape[2:], x.dtype)).to(x.device))
        return windows.sum(-1) / inside.sum(-1)


class MaxPool1d(_MaxPool):
    """The largest number of every window.

        y[b, c, t] = max over k of x[b, c, t stride + k - padding]

    x (B, C, L)  ->  y (B, C, L'), L' = (L + 2 padding - K) // stride + 1. Padding is -inf. The
    gradient goes to the largest, of several equal ones to the first.

    Args:
        kernel_size: K.
        stride: How far windows are apart; K unless given.
        padding: How many places are added at both ends, at most K / 2.
    """

    axes = 1


class MaxPool2d(_MaxPool):
    """The largest number of every window of an image.

        y[b, c, i, j] = max over k and l of x[b, c, i s + k, j s + l]

    x (B, C, H, W)  ->  y (B, C, H', W'); as ``MaxPool1d``, sizes being one number or two. Of
    equals the first counts, row by row.
    """

    axes = 2


class AvgPool1d(_AvgPool):
    """The mean of every window.

        y[b, c, t] = 1/K Σ_k x[b, c, t stride + k - padding]

    x (B, C, L)  ->  y (B, C, L'); as ``MaxPool1d``, but padding is 0.

    Args:
        count_padding: Whether padding counts in the mean; otherwise the sum is divided by the
            number of places that are none.
    """

    axes = 1


class AvgPool2d(_AvgPool):
    """The mean of every window of an image.

        y[b, c, i, j] = 1/(K L) Σ_k Σ_l x[b, c, i s + k, j s + l]

    x (B, C, H, W)  ->  y (B, C, H', W'); as ``AvgPool1d``, sizes being one number or two.
    """

    axes = 2
