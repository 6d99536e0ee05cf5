"""New tensors: filled, counted, drawn."""

from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.device import array_module, to_device
from tinygrad_rnn.tensor import Tensor

__all__ = ["arange", "eye", "full", "linspace", "ones", "ones_like", "rand", "randn", "zeros",
           "zeros_like"]  # fmt: skip


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) == 1 and not isinstance(shape[0], int | np.integer):
        shape = tuple(shape[0])
    return tuple(int(n) for n in shape)


def _made(array: Any, device: str, requires_grad: bool) -> Tensor:
    return Tensor(to_device(array, device), requires_grad=requires_grad)


def zeros(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """All zeros."""
    return _made(np.zeros(_shape(shape), dtype), device, requires_grad)


def ones(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """All ones."""
    return _made(np.ones(_shape(shape), dtype), device, requires_grad)


def full(
    shape: Any, value: float, *, dtype: Any = np.float32, device: str = "cpu",
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """All ``value``."""
    return _made(np.full(shape, value, dtype), device, requires_grad)


def zeros_like(x: Tensor) -> Tensor:
    """All zeros, with the shape, type and device of ``x``."""
    return Tensor(array_module(x._data).zeros(x.shape, x.dtype))


def ones_like(x: Tensor) -> Tensor:
    """All ones, with the shape, type and device of ``x``."""
    return Tensor(array_module(x._data).ones(x.shape, x.dtype))


def eye(n: int, *, dtype: Any = np.float32, device: str = "cpu") -> Tensor:
    """The identity matrix."""
    return _made(np.eye(n, dtype=dtype), device, False)


def arange(*bounds: Any, dtype: Any = None, device: str = "cpu") -> Tensor:
    """Numbers from start up to, not including, stop; float32 if a bound is a float."""
    if dtype is None and any(isinstance(b, float) for b in bounds):
        dtype = np.float32
    return _made(np.arange(*bounds, dtype=dtype), device, False)


def linspace(
    start: float, stop: float, count: int, *, dtype: Any = np.float32, device: str = "cpu"
) -> Tensor:
    """``count`` numbers at equal distances, both ends included."""
    return _made(np.linspace(start, stop, count, dtype=dtype), device, False)


def rand(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """Drawn evenly from [0, 1), by the library's seeded generator."""
    return Tensor(random.uniform(_shape(shape), dtype, device), requires_grad=requires_grad)


def randn(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """Drawn from the standard normal distribution, by the library's seeded generator."""
    return Tensor(random.standard_normal(_shape(shape), dtype, device), requires_grad=requires_grad)
