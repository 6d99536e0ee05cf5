"""Layer normalisation and dropout."""

from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.arguments import bounded, shortened
from tinygrad_rnn.device import where_it_is
from tinygrad_rnn.engine import ARRAYS, TENSORS
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels import normalization as kernel
from tinygrad_rnn.primitive import unary
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["dropout", "layer_norm"]


_standardize = unary(
    "standardize",
    kernel.standardize,
    lambda F, g, _out, x, eps: F.standardize_slope(g, x, eps=eps),
)


def _slope_of_tensors(g: Tensor, x: Tensor, eps: float) -> Tensor:
    """The same of Tensors, where the derivative is to be differentiated itself."""
    centred = x - x.mean(-1, keepdims=True)
    deviation = ((centred * centred).mean(-1, keepdims=True) + eps).sqrt()
    y = centred / deviation
    mean_g, mean_gy = g.mean(-1, keepdims=True), (g * y).mean(-1, keepdims=True)
    return (g - mean_g - y * mean_gy) / deviation


ARRAYS.standardize_slope = kernel.standardize_slope
TENSORS.standardize_slope = _slope_of_tensors


def layer_norm(x: object, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last axis."""
    x = as_tensor(x, "layer_norm")
    traced = getattr(x, "traced", False)  # a row of a cell, which has no shape yet
    if not traced and (not x.ndim or not x.shape[-1]):
        raise ShapeError(f"layer_norm: nothing to normalise in shape {x.shape}.")
    result = _standardize(x, eps=bounded("layer_norm", "eps", eps, least=0))
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias


@where_it_is
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
