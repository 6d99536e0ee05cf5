"""The arrays of parameters and gradients, as kernels write them in place."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array, array_module, device_of, there, to_device
from tinygrad_rnn.errors import ArgumentError, DTypeError, GradientError
from tinygrad_rnn.kernels import _memory
from tinygrad_rnn.tensor import FLOATS, Tensor

__all__ = [
    "copy_of", "fitting", "gradients_of", "tensors_of", "weight_of", "writing", "zeros_like",
]  # fmt: skip


def zeros_like(array: Array) -> Array:
    """Zeros of its shape, type and device, in memory of the library's own."""
    if isinstance(array, np.ndarray):
        return _memory.zeros(array.shape, array.dtype)
    with there(array):
        return array_module(array).zeros_like(array)


def copy_of(array: Array) -> Array:
    """A copy, in memory of the library's own."""
    copy = zeros_like(array)
    with there(array):
        copy[...] = array
    return copy


@contextmanager
def writing(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Stamp the versions of what is written inside: saved graphs and packed weights notice.

    Twice, as ``Tensor.assign_`` does: what another thread makes of the numbers meanwhile must
    not pass for what stands there afterwards.
    """
    versions = [tensor.shared_version() for tensor in tensors]
    for version in versions:
        version.bump()
    try:
        yield
    finally:
        for version in versions:
            version.bump()


def tensors_of(where: str, given: Any) -> list[tuple[str, Tensor]]:
    """What a caller gives as parameters: tensors, or pairs with their names; each only once."""
    if isinstance(given, Tensor):
        given = [given]
    if hasattr(given, "parameters"):
        raise ArgumentError(
            f"{where}: params is a {type(given).__name__}, expected its parameters: write "
            "module.parameters()."
        )
    try:
        entries = list(given)
    except TypeError:
        raise ArgumentError(
            f"{where}: params is a {type(given).__name__}, expected tensors, such as "
            "module.parameters()."
        ) from None
    if not entries:
        raise ArgumentError(
            f"{where}: params is empty, expected at least one tensor. Is it an iterator that "
            "something else has used up, or a module without parameters?"
        )
    found: dict[int, tuple[str, Tensor]] = {}
    for number, entry in enumerate(entries):
        name, tensor = entry if isinstance(entry, tuple) and len(entry) == 2 else ("", entry)
        name = str(name) or f"parameter {number}"
        _check(where, name, tensor)
        if id(tensor) in found:
            raise ArgumentError(
                f"{where}: {name} is {found[id(tensor)][0]} again, expected each tensor once: it "
                "would be updated twice."
            )
        found[id(tensor)] = name, tensor
    return list(found.values())


def _check(where: str, name: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise ArgumentError(
            f"{where}: {name} is a {type(tensor).__name__}, expected a Tensor, such as those of "
            "module.parameters()."
        )
    if not tensor.is_leaf:
        raise GradientError(
            f"{where}: {name} ({tensor.dtype}{list(tensor.shape)}) is the result of an operation, "
            "expected a leaf: results have no gradient, and are not to be changed."
        )
    if tensor.dtype not in FLOATS:
        raise ArgumentError(
            f"{where}: {name} holds {tensor.dtype}, expected floating-point numbers: only they "
            "have a gradient."
        )


def weight_of(where: str, name: str, tensor: Tensor) -> Array:
    """The array of a tensor that is about to be written."""
    array = tensor._data
    if not _writable(array):
        raise ArgumentError(
            f"{where}: {name} stands on an array that is read-only or not contiguous, expected "
            "one of its own: make it with tg.tensor(), or as an nn.Parameter."
        )
    return array


def fitting(where: str, name: str, tensor: Tensor, what: str, array: Array) -> Array:
    """An array that was made for a tensor, if it still is like the tensor's own.

    It follows a tensor that has been moved to another device.
    """
    w = tensor._data
    if array.dtype != w.dtype or array.shape != w.shape:
        raise DTypeError(
            f"{where}: {name} is {w.dtype}{list(w.shape)}, but its {what!r} was kept as "
            f"{array.dtype}{list(array.shape)}, expected the same. Was it converted in the "
            "meantime? Make what keeps it after that."
        )
    home = device_of(w)
    return array if device_of(array) == home else to_device(array, home)


def gradients_of(tensors: Sequence[Tensor]) -> list[Array]:
    """The arrays of all gradients that there are, each of its own, to be written in place."""
    arrays: dict[int, Array] = {}
    for tensor in tensors:
        grad = tensor.grad
        if grad is not None:
            if not (grad.is_leaf and _writable(grad._data)):  # of a graph, or a view
                with there(grad._data):
                    tensor.grad = grad = Tensor(grad._data.copy(order="C"))
            arrays[id(grad._data)] = grad._data
    return list(arrays.values())


def _writable(array: Array) -> bool:
    """Whether a kernel can write it in place; CuPy's arrays know no read-only ones."""
    return bool(array.flags.c_contiguous and getattr(array.flags, "writeable", True))
