"""New tensors: from data, filled, counted, drawn."""

from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.device import array_module, to_device
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = [
    "arange", "eye", "from_dlpack", "from_numpy", "full", "linspace", "ones", "ones_like", "rand",
    "randn", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def tensor(
    data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf with its own copy of ``data``.

    Python floats become float32; NumPy arrays keep their type.
    """
    array = as_array(data)
    array = array.astype(dtype) if dtype is not None else array.copy()
    if device is not None:
        array = to_device(array, device)
    return Tensor(array, requires_grad=requires_grad)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A leaf that shares the memory of ``array``."""
    return Tensor(array)


def from_dlpack(x: Any) -> Tensor:
    """A leaf that shares the memory of an array of any library that speaks DLPack."""
    kind, _ = x.__dlpack_device__()
    return Tensor(np.from_dlpack(x) if kind == 1 else _cuda.require("from_dlpack").from_dlpack(x))


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
