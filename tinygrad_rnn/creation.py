"""New tensors: from data, filled, counted, drawn."""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.arguments import dtype_of, number, shape_of, shortened, whole
from tinygrad_rnn.device import array_module, to_device
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.tensor import Tensor, as_operand, as_tensor

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
    array = as_operand(data)
    array = array.copy() if dtype is None else array.astype(dtype_of("tensor", dtype))
    if device is not None:
        array = to_device(array, device)
    return Tensor(array, requires_grad=requires_grad)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A leaf that shares the memory of ``array``."""
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"from_numpy: got {shortened(array)}, expected a NumPy array, whose memory is shared; "
            "tg.tensor() copies anything else."
        )
    return Tensor(array)


def from_dlpack(x: Any) -> Tensor:
    """A leaf that shares the memory of an array of any library that speaks DLPack."""
    if not hasattr(x, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: got {shortened(x)}, expected an array that speaks DLPack.")
    kind, _ = x.__dlpack_device__()
    return Tensor(np.from_dlpack(x) if kind == 1 else _cuda.require("from_dlpack").from_dlpack(x))


def _type(where: str, dtype: Any, kinds: str = "biufc") -> np.dtype[Any]:
    """An element type; None stands for the library's own, not NumPy's float64."""
    return dtype_of(where, np.float32 if dtype is None else dtype, kinds)


def _made(array: Any, device: str, requires_grad: bool) -> Tensor:
    return Tensor(to_device(array, device), requires_grad=requires_grad)


def zeros(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """All zeros."""
    return _made(
        np.zeros(shape_of("zeros", shape, least=0), _type("zeros", dtype)), device, requires_grad
    )


def ones(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """All ones."""
    return _made(
        np.ones(shape_of("ones", shape, least=0), _type("ones", dtype)), device, requires_grad
    )


def full(
    shape: Any, value: float, *, dtype: Any = np.float32, device: str = "cpu",
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """All ``value``."""
    value = value if isinstance(value, complex) else number("full", "value", value)
    array = np.full(shape_of("full", (shape,), least=0), value, _type("full", dtype))
    return _made(array, device, requires_grad)


def zeros_like(x: Tensor) -> Tensor:
    """All zeros, with the shape, type and device of ``x``."""
    x = as_tensor(x, "zeros_like")
    return Tensor(array_module(x._data).zeros(x.shape, x.dtype))


def ones_like(x: Tensor) -> Tensor:
    """All ones, with the shape, type and device of ``x``."""
    x = as_tensor(x, "ones_like")
    return Tensor(array_module(x._data).ones(x.shape, x.dtype))


def eye(n: int, *, dtype: Any = np.float32, device: str = "cpu") -> Tensor:
    """The identity matrix."""
    return _made(np.eye(whole("eye", "n", n, least=0), dtype=_type("eye", dtype)), device, False)


def arange(*bounds: Any, dtype: Any = None, device: str = "cpu") -> Tensor:
    """Numbers from start up to, not including, stop; float32 if a bound is a float."""
    limits = [
        number("arange", "a bound", b.item() if np.ndim(b) == 0 and hasattr(b, "item") else b)
        for b in bounds
    ]
    finite = all(map(math.isfinite, limits))
    if not 1 <= len(limits) <= 3 or not finite or (len(limits) == 3 and limits[2] == 0):
        raise ShapeError(
            f"arange: got {shortened(bounds)}, expected (stop), (start, stop) or (start, stop, "
            "step), all finite and step not 0."
        )
    if dtype is None and any(isinstance(b, float) for b in limits):
        dtype = np.float32
    target = None if dtype is None else dtype_of("arange", dtype)
    return _made(np.arange(*limits, dtype=target), device, False)


def linspace(
    start: float, stop: float, count: int, *, dtype: Any = np.float32, device: str = "cpu"
) -> Tensor:
    """``count`` numbers at equal distances, both ends included."""
    ends = number("linspace", "start", start), number("linspace", "stop", stop)
    count = whole("linspace", "count", count, least=0)
    array = np.linspace(*ends, count, dtype=_type("linspace", dtype))
    return _made(array, device, False)


def rand(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """Drawn evenly from [0, 1), by the library's seeded generator."""
    target = _type("rand", dtype, "fc")
    array = random.uniform(shape_of("rand", shape, least=0), target, device)
    return Tensor(array, requires_grad=requires_grad)


def randn(
    *shape: Any, dtype: Any = np.float32, device: str = "cpu", requires_grad: bool = False
) -> Tensor:
    """Drawn from the standard normal distribution, by the library's seeded generator."""
    target = _type("randn", dtype, "fc")
    array = random.standard_normal(shape_of("randn", shape, least=0), target, device)
    return Tensor(array, requires_grad=requires_grad)
