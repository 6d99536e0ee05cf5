"""Where arrays live: "cpu", "gpu", "gpu:1"; which module computes on them; moving them.

NumPy's functions dispatch to CuPy when they are given CuPy arrays, so most of the library
needs no choice at all; ``array_module`` is for making new arrays.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from tinygrad_rnn.errors import DeviceError, OutOfMemoryError
from tinygrad_rnn.kernels import _cuda

Array = Any  # numpy.ndarray or cupy.ndarray
F = TypeVar("F", bound=Callable[..., Any])
_NUMPY = (np.ndarray, np.generic)  # a union of types would be made anew by every test

__all__ = [
    "array_module", "beside", "device_of", "empty_cache", "gpu_named", "host_array",
    "normalize_device", "num_threads", "on_gpu", "out_of_memory", "set_num_threads", "there",
    "there_beside", "to_device", "to_host", "where_it_is",
]  # fmt: skip


def device_of(array: Array) -> str:
    """The device name of an array: "cpu" or "gpu:N"."""
    if isinstance(array, np.ndarray):
        return "cpu"
    return f"gpu:{array.device.id}"


def on_gpu(given: Any) -> bool:
    """Whether it is an array of a GPU; a Tensor is none."""
    return hasattr(given, "__cuda_array_interface__")


def array_module(array: Array) -> ModuleType:
    """NumPy for an array on the CPU, CuPy for one on a GPU."""
    if isinstance(array, _NUMPY):
        return np
    module: ModuleType = _cuda.require()
    return module


def normalize_device(device: str) -> str:
    """Check a device name and complete "gpu" to "gpu:0"."""
    if device == "cpu":
        return device
    kind, _, index = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind == "gpu" and (index == "" or index.isdecimal()):
        return f"gpu:{index or 0}"
    raise DeviceError(f'device is {device!r}, expected "cpu", "gpu" or "gpu:N" with a number N.')


def to_device(array: Array, device: str) -> Array:
    """The array on ``device``; itself where it already is there."""
    name = normalize_device(device)
    if device_of(array) == name:
        return array
    if name == "cpu":
        return to_host(array)
    with gpu_named(name):
        try:
            return _cuda.require().asarray(array)
        except MemoryError as error:
            raise out_of_memory(f"to {name!r}", [array], error) from error


def gpu_named(device: str, where: str = "gpu") -> Any:
    """The GPU of this machine that "gpu" or "gpu:N" names, as CuPy's Device."""
    name = normalize_device(device)
    cuda = _cuda.require(where).cuda
    index, count = int(name.partition(":")[2]), cuda.runtime.getDeviceCount()
    if index >= count:
        raise DeviceError(f"device {name!r} was asked for, but this machine has {count} GPU(s).")
    return cuda.Device(index)


def beside(where: str, array: Array, home: Array) -> Array:
    """An index, a mask or ids where ``home`` is, sent there from the CPU.

    That waits for nothing and changes no number. The way back would wait, so it is an error,
    and so is an array of another GPU.
    """
    if isinstance(array, np.ndarray):
        return array if isinstance(home, np.ndarray) else to_device(array, device_of(home))
    if device_of(array) == device_of(home):
        return array
    raise DeviceError(
        f"{where}: got an array of {device_of(array)} for numbers of {device_of(home)}, expected "
        "both on one device: only from the CPU are indices, masks and ids moved silently. Move "
        "one side with .to()."
    )


def there(array: Array) -> AbstractContextManager[Any]:
    """Inside, new arrays of a GPU are made where this one is, and kernels run there."""
    if array is None or isinstance(array, _NUMPY) or not _cuda.several():
        return _HERE
    device: AbstractContextManager[Any] = array.device
    return device


_HERE = nullcontext()


def there_beside(arrays: Sequence[Any]) -> AbstractContextManager[Any]:
    """The same for the first array among these operands."""
    several = _cuda.several()
    return there(next((a for a in arrays if hasattr(a, "dtype")), None) if several else None)


def where_it_is(function: F) -> F:
    """A function of a tensor and more, with all that it makes made where that tensor is."""

    @wraps(function)
    def called(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not _cuda.several():
            return function(x, *args, **kwargs)
        with there(getattr(x, "_data", None)):
            return function(x, *args, **kwargs)

    return called  # type: ignore[return-value]


def out_of_memory(where: str, arrays: Sequence[Any], error: Exception) -> OutOfMemoryError:
    """The error of a device, or of the CPU, that has no room for more beside these arrays."""
    known = [a for a in arrays if hasattr(a, "dtype")]
    given = ", ".join(f"{a.dtype}{list(a.shape)}" for a in known)
    beside = f" beside {given} ({sum(a.nbytes for a in known):,} bytes)" if known else ""
    return OutOfMemoryError(
        f"{where}: there is no memory left{beside}: {str(error).strip(' .')}. Take smaller batches "
        "or shorter sequences, or give back what is kept for later, with tg.empty_cache()."
    )


def to_host(array: Array) -> np.ndarray[Any, Any]:
    """The array in the CPU's memory; itself where it already is there."""
    return array if isinstance(array, np.ndarray) else array.get()


def host_array(given: Any) -> np.ndarray[Any, Any]:
    """Anything array-like as an array in the CPU's memory, fetched from a GPU if it is there."""
    return given.get() if on_gpu(given) else np.asarray(given)


# ----- the machine; the kernels' modules are loaded when they are first asked -----


def num_threads() -> int:
    """How many threads a kernel may use, the caller's included."""
    from tinygrad_rnn.kernels import _pool

    return _pool.num_threads()


def set_num_threads(count: int) -> None:
    """Let kernels use ``count`` threads from their next call on; no result depends on it."""
    from tinygrad_rnn.kernels import _pool

    _pool.set_num_threads(count)


def empty_cache() -> None:
    """Give memory that is kept for the next arrays back to the system, and to the GPU."""
    from tinygrad_rnn.kernels import _memory

    _memory.empty_cache()
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        cupy.get_default_memory_pool().free_all_blocks()
