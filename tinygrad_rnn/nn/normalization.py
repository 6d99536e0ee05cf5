"""Normalisation: of each row by itself (LayerNorm), of each channel over a batch (BatchNorm)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import bounded, flag, shape_of
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.checks import check_like, check_size
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["BatchNorm", "LayerNorm"]


class LayerNorm(Module):
    """Each row brought to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016).

        y = (x - mean) / √(var + eps) * weight + bias

    x (..., *size)  ->  y (..., *size), mean and variance over the axes of ``size``; weight and
    bias (*size) start at 1 and 0.

    Args:
        size: The width of the last axis, or the sizes of several last axes.
        eps: What keeps the root from being 0.
        affine: Whether there are weight and bias.
        bias: Whether there is a bias.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, size: int | Sequence[int], eps: float = 1e-5, affine: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        self.size = shape_of("LayerNorm", (size,), "size", least=1)
        if not self.size:
            raise ShapeError("LayerNorm: size is (), expected at least one width.")
        self.eps = bounded("LayerNorm", "eps", eps, least=0)
        affine = flag("LayerNorm", "affine", affine)
        shifted = flag("LayerNorm", "bias", bias) and affine
        self.weight = Parameter(_ones(self.size)) if affine else None
        self.bias = Parameter(np.zeros(self.size, np.float32)) if shifted else None

    def reset_parameters(self) -> None:
        """Scale by 1 and shift by 0 again."""
        _reset(self.weight, self.bias)

    def forward(self, x: Any) -> Tensor:
        """x (..., *size) -> (..., *size)."""
        x = as_tensor(x, "LayerNorm")
        axes = len(self.size)
        if x.shape[x.ndim - axes :] != self.size or x.ndim < axes:
            wanted = ", ".join(map(str, self.size))
            raise ShapeError(f"LayerNorm: x has shape {x.shape}, expected (..., {wanted}).")
        check_like("LayerNorm", "x", x, self.weight)
        weight, bias = self.weight, self.bias
        if axes == 1:
            return ops.layer_norm(x, weight, bias, self.eps)
        y = ops.layer_norm(x.reshape(*x.shape[: x.ndim - axes], -1), eps=self.eps).reshape(x.shape)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    def extra_repr(self) -> str:
        """Sizes and options."""
        size = self.size[0] if len(self.size) == 1 else self.size
        return f"{size}, eps={self.eps}, affine={self.weight is not None}"


class BatchNorm(Module):
    """Each channel brought to mean 0 and variance 1 over a batch (Ioffe & Szegedy 2015).

        y = (x - mean) / √(var + eps) * weight + bias

    x (B, C, ...)  ->  y (B, C, ...), after Linear, Conv1d and Conv2d alike: a mean and a
    variance for each of C channels, over all other axes. While training they are those of
    the batch, and running ones follow them, of the variance with B - 1 in the place of B:

        running = (1 - momentum) running + momentum batch

    A batch whose mean or variance is not finite leaves them as they are. Outside of training the
    running ones are used. weight and bias (C) start at 1 and 0.

    Args:
        channels: C.
        eps: What keeps the root from being 0.
        momentum: How fast running values follow; None for the mean over all batches so far.
        affine: Whether there are weight and bias.
        track: Whether there are running values; without them, those of the batch are always used.
    """

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        channels: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track: bool = True,
    ) -> None:
        super().__init__()
        self.channels = C = check_size("BatchNorm", "channels", channels)
        self.eps = bounded("BatchNorm", "eps", eps, least=0)
        if momentum is not None:
            momentum = bounded("BatchNorm", "momentum", momentum, least=0, most=1)
        self.momentum = momentum
        affine = flag("BatchNorm", "affine", affine)
        self.track = flag("BatchNorm", "track", track)
        self.weight = Parameter(_ones(C)) if affine else None
        self.bias = Parameter(np.zeros(C, np.float32)) if affine else None
        self.register_buffer("running_mean", np.zeros(C, np.float32) if track else None)
        self.register_buffer("running_var", _ones(C) if track else None)
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64) if track else None)

    def reset_parameters(self) -> None:
        """Scale by 1 and shift by 0 again, and forget the running values."""
        _reset(self.weight, self.bias)
        if self.running_mean is not None:
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            self.num_batches_tracked.assign_(0)

    def forward(self, x: Any) -> Tensor:
        """x (B, C, ...) -> (B, C, ...)."""
        x = as_tensor(x, "BatchNorm")
        if x.ndim < 2 or x.shape[1] != self.channels:
            raise ShapeError(
                f"BatchNorm: x has shape {x.shape}, expected (B, {self.channels}, ...)."
            )
        check_like("BatchNorm", "x", x, self.running_mean if self.weight is None else self.weight)
        each = (1, self.channels, *[1] * (x.ndim - 2))
        if self.training or self.running_mean is None or self.running_var is None:
            mean, var = self._of_batch(x)
        else:
            mean, var = self.running_mean.reshape(each), self.running_var.reshape(each)
        y: Tensor = (x - mean) / ops.sqrt(var + self.eps)
        y = y if self.weight is None else y * self.weight.reshape(each)
        return y if self.bias is None else y + self.bias.reshape(each)

    def _of_batch(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and variance of each channel; the running ones take a step towards them."""
        axes = (0, *range(2, x.ndim))
        count = math.prod(x.shape[axis] for axis in axes)
        if count < 2 and self.training:
            raise ShapeError(
                f"BatchNorm: x has shape {x.shape}, one value for each channel, expected several "
                "to take the variance of while training; use .eval(), or a larger batch."
            )
        mean = x.mean(axes, keepdims=True)
        var = ops.square(x - mean).mean(axes, keepdims=True)
        if self.training and self.running_mean is not None:
            with no_grad():
                self._follow(mean.reshape(-1), var.reshape(-1) * (count / (count - 1)))
        return mean, var

    def _follow(self, mean: Tensor, var: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        # One bad batch would stay in the averages for ever. All of it happens where the numbers
        # are: to look at one here, training on a GPU would have to wait for it.
        good = np.isfinite((mean.sum() + var.sum())._data)
        seen = self.num_batches_tracked._data + good
        self.num_batches_tracked.assign_(seen)
        share: Any = 1 / np.maximum(seen, 1) if self.momentum is None else self.momentum
        rest = 1 - share
        if self.momentum is None:
            share, rest = share.astype(mean.dtype), rest.astype(mean.dtype)
        for running, batch in ((self.running_mean, mean), (self.running_var, var)):
            running.assign_(ops.where(good, running * rest + batch * share, running))

    def extra_repr(self) -> str:
        """C and options."""
        affine = self.weight is not None
        return (
            f"{self.channels}, eps={self.eps}, momentum={self.momentum}, affine={affine}, "
            f"track={self.track}"
        )


def _ones(shape: Any) -> Array:
    """Ones that take no memory until a parameter copies them, if its file allows so many."""
    return np.broadcast_to(np.float32(1), shape)


def _reset(weight: Parameter | None, bias: Parameter | None) -> None:
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
