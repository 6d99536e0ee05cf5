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
    from tinygrad_rnn import inspect
else:

    def __getattr__(name: str) -> Any:
        """Load ``tg.inspect`` when it is asked for: training needs none of it."""
        if name == "inspect":
            return importlib.import_module("tinygrad_rnn.inspect")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = creation.__all__ + [
    "Tensor", "backward", "bool_", "checkpoint", "debug", "empty_cache", "enable_grad", "errors",
    "float32", "float64", "grad", "graph", "hvp", "inference_mode", "inspect", "int32", "int64",
    "is_grad_enabled", "jacobian", "jvp", "load", "losses", "nn", "no_grad", "num_threads", "ops",
    "optim", "per_sample_grads", "random", "save", "seed", "set_grad_enabled", "set_num_threads",
    "vjp",
]  # fmt: skip
