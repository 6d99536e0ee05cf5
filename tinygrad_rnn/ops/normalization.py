"""Layer normalisation and dropout."""

from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.arguments import bounded, number, shortened
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.primitive import unary
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["dropout", "layer_norm"]


def _standardize_forward(x: Array, eps: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)


def _standardize_rule(F: Any, g: Any, out: Any, x: Any, eps: Any) -> Any:
    def mean(v: Any) -> Any:
        return F.mean(v, axis=(v.ndim - 1,), keepdims=True, shape=v.shape)

    centred = x - mean(x)
    deviation = F.sqrt(mean(centred * centred) + eps)
    return (g - mean(g) - out * mean(g * out)) / deviation


_standardize = unary("standardize", _standardize_forward, _standardize_rule)


def layer_norm(x: object, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last axis."""
    x = as_tensor(x, "layer_norm")
    if not x.ndim or not x.shape[-1]:
        raise ShapeError(f"layer_norm: nothing to normalise in shape {x.shape}.")
    result = _standardize(x, eps=float(number("layer_norm", "eps", eps)))
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


def dropout(
    x: object,
    rate: float = 0.5,
    training: bool = True,
    generator: "np.random.Generator | None" = None,
) -> Tensor:
    """Each element is 0 with probability ``rate``, else divided by ``1 - rate``."""
    rate = bounded("dropout", "rate", rate, least=0, below=1)
    x = as_tensor(x, "dropout")
    if not training or rate == 0:
        return x
    if not isinstance(generator, np.random.Generator | None):
        raise TypeError(
            f"dropout: generator is {shortened(generator)}, expected a numpy.random.Generator or "
            "None for the library's own."
        )
    if x.dtype.kind in "biu":  # a scale is a fraction
        x = as_tensor(x._data.astype(np.float32))
    keep = random.uniform(x.shape, x.dtype, x.device, generator) >= rate
    scale = Tensor(keep.astype(x.dtype) * x.dtype.type(1 / (1 - rate)))
    return x * scale
