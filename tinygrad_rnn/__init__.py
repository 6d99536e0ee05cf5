"""Recurrent networks on a small autograd engine: a cell is its equations."""

import importlib
from typing import TYPE_CHECKING, Any

from numpy import bool_, float32, float64, int32, int64

from tinygrad_rnn import creation, errors, losses, nn, ops, optim, random
from tinygrad_rnn.creation import *  # noqa: F403
from tinygrad_rnn.debug import debug
from tinygrad_rnn.device import empty_cache, num_threads, set_num_threads
from tinygrad_rnn.engine import backward, grad
from tinygrad_rnn.files import load, save
from tinygrad_rnn.graph import graph
from tinygrad_rnn.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tinygrad_rnn.random import seed
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.transforms import checkpoint, hvp, jacobian, jvp, per_sample_grads, vjp

if TYPE_CHECKING:
    from tinygrad_rnn import (
        data,
        decoding,
        inspect,
        interop,
        metrics,
        models,
        testing,
        text,
        training,
    )
else:
    _LATER = "data decoding inspect interop metrics models testing text training".split()

    def __getattr__(name: str) -> Any:
        """Load ``tg.inspect`` and its likes when they are asked for: not everybody needs them."""
        if name in _LATER:
            return importlib.import_module(f"tinygrad_rnn.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return [*__all__, "__version__"]


__version__ = "0.1.0"

__all__ = creation.__all__ + [
    "Tensor", "backward", "bool_", "checkpoint", "data", "debug", "decoding", "empty_cache",
    "enable_grad", "errors", "float32", "float64", "grad", "graph", "hvp", "inference_mode",
    "inspect", "int32", "int64", "interop", "is_grad_enabled", "jacobian", "jvp", "load", "losses",
    "metrics", "models", "nn", "no_grad", "num_threads", "ops", "optim", "per_sample_grads",
    "random", "save", "seed", "set_grad_enabled", "set_num_threads", "testing", "text", "training",
    "vjp",
]  # fmt: skip
