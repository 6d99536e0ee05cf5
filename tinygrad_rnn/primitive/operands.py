"""Operands on their way into an operation: arrays of one type, or the reason why not."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import beside, device_of, out_of_memory
from tinygrad_rnn.errors import (
    DeviceError,
    DTypeError,
    IndexRangeError,
    ShapeError,
    TinygradError,
)
from tinygrad_rnn.primitive.table import Primitive
from tinygrad_rnn.tensor import CONSTANT, Tensor, as_operand

__all__ = ["array_of", "check_devices", "of_one_type", "parent_of", "raise_as_ours", "show"]

_ON_CPU = {np.ndarray, type(None)}
_COMPLEX_STEP = {np.dtype(np.complex128), np.dtype(np.float64)}


def parent_of(x: Any) -> Any:
    """Where an input came from, as a node remembers it (see ``Node``)."""
    if not isinstance(x, Tensor):
        return CONSTANT
    return (x._node or x) if x._requires_grad else x.shared_version()


def array_of(x: Any, where: str) -> Any:
    """The array of a Tensor or of anything array-like; Python numbers as they are."""
    if isinstance(x, Tensor):
        return x._data
    if isinstance(x, bool | int | float | complex):
        # NumPy's float64 is a Python float, and what np.sqrt(2) gives: it follows anything too.
        return x.item() if isinstance(x, np.generic) else x
    return as_operand(x, where)


def show(
    op: Any, results: tuple[Tensor, ...], inputs: Sequence[Any], attrs: dict[str, Any], node: Any
) -> None:
    """Let a debug session, if there is one, see a call."""
    current = modes.recording.get()
    if not isinstance(current, bool):
        current.observe(op, results, inputs, attrs, node)


def of_one_type(op: Primitive, arrays: list[Any]) -> list[Any]:
    """Bring the operands to one element type, or say why that must not be.

    Integers and booleans follow the floating-point operand, Python numbers follow anything.
    Operands without a rule (indices, masks) keep their type, and are sent to where the numbers
    are.
    """
    indices = [
        i
        for i, (a, rule) in enumerate(zip(arrays, op.rules, strict=True))
        if rule is not None and hasattr(a, "dtype")
    ]
    arrays = _on_one_device(op, arrays, indices)
    types = {arrays[i].dtype for i in indices}
    floats = {dtype for dtype in types if dtype.kind in "fc"}
    if floats == _COMPLEX_STEP:  # constants in a function that is being differentiated so
        floats = {np.dtype(np.complex128)}
    if len(floats) > 1:
        raise DTypeError(
            f"{op.name}: got {' and '.join(sorted(map(str, floats)))}, expected one type of "
            "floating-point numbers: nothing is converted silently. Convert one side with "
            ".astype(); NumPy makes float64 unless told otherwise."
        )
    target = next(iter(floats), None)
    if target is None and op.makes_floats(arrays):
        target = np.dtype(np.float32)
    if target is None and len(types) > 1 and np.result_type(*types).kind == "f":
        raise DTypeError(  # NumPy would go over to float64
            f"{op.name}: got {' and '.join(sorted(map(str, types)))}, expected integers that one "
            "integer type holds: nothing is converted silently. Convert one side with .astype()."
        )
    if target is not None and types != {target}:
        arrays = [
            a.astype(target) if i in indices and a.dtype != target else a
            for i, a in enumerate(arrays)
        ]
    return arrays


def _on_one_device(op: Any, arrays: list[Any], indices: list[int]) -> list[Any]:
    """The operands, those without a rule beside the others; these have to be on one device."""
    if all(a.__class__ is np.ndarray for a in arrays if hasattr(a, "dtype")):
        return arrays
    homes = {device_of(arrays[i]): arrays[i] for i in indices}
    if len(homes) > 1:
        raise _mixed_devices(op, homes)
    return [
        beside(op.name, a, home) if i not in indices and hasattr(a, "dtype") else a
        for home in homes.values()
        for i, a in enumerate(arrays)
    ] or arrays


def check_devices(op: Any, arrays: Sequence[Any]) -> None:
    """Raise unless all arrays, None and numbers beside them, are on one device."""
    if not {a.__class__ for a in arrays} <= _ON_CPU:
        homes = {device_of(a) for a in arrays if hasattr(a, "dtype")}
        if len(homes) > 1:
            raise _mixed_devices(op, homes)


def _mixed_devices(op: Any, homes: Iterable[str]) -> DeviceError:
    return DeviceError(
        f"{getattr(op, 'name', None) or op.__name__}: got arrays of "
        f"{' and '.join(sorted(homes))}, expected all on one device: "
        "numbers are never moved silently. Move one side with .to()."
    )


def raise_as_ours(op: Any, arrays: Sequence[Any], error: Exception) -> None:
    """Raise what a forward function raised as this library's kind of error, with the operands."""
    if isinstance(error, TinygradError):
        return
    homes = {device_of(a) for a in arrays if hasattr(a, "dtype")}
    if len(homes) > 1:
        raise _mixed_devices(op, homes) from error
    if isinstance(error, MemoryError):
        raise out_of_memory(op.name, arrays, error) from error
    given = " and ".join(
        f"{a.dtype}{list(a.shape)}" if hasattr(a, "shape") else shortened(a) for a in arrays
    )
    if isinstance(error, ValueError) and getattr(op, "paired", False):
        raise ShapeError(
            f"{op.name}: got {given}, expected shapes that broadcast: counted from the last axis, "
            "sizes are equal or one of them is 1."
        ) from error
    kinds: tuple[tuple[type[Exception], type[TinygradError]], ...] = (
        (IndexError, IndexRangeError),
        (ValueError, ShapeError),
        (TypeError, DTypeError),
        (OverflowError, DTypeError),
    )
    for kind, ours in kinds:
        if isinstance(error, kind):
            raise ours(f"{op.name}: got {given}: {str(error).strip(' .')}.") from error
