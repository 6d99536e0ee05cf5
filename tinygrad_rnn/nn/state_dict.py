"""State dicts: a snapshot of a module's numbers, and putting one back all or nothing."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.device import Array, to_host
from tinygrad_rnn.errors import StateDictError, TinygradError
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["IncompatibleKeys", "load", "prefix_of", "snapshot"]

_OF_PYTORCH = re.compile(r"(weight|bias)_(ih|hh)(_l\d+(_reverse)?)?$")


class IncompatibleKeys(NamedTuple):
    """The names that ``load_state_dict(..., strict=False)`` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def snapshot(entries: Mapping[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Copies in host memory; one array for each tensor, under all of its names."""
    copies = {
        id(tensor): np.array(to_host(tensor._data), order="C", copy=True)
        for tensor in entries.values()
    }
    return {name: copies[id(tensor)] for name, tensor in entries.items()}


def load(
    where: str, entries: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool
) -> IncompatibleKeys:
    """Check everything, then write everything."""
    if not isinstance(given, Mapping):
        raise StateDictError(
            f"load_state_dict: given a {type(given).__name__}, expected a mapping from names to "
            "arrays, such as another module's state_dict()."
        )
    arrays, unreadable = _arrays(entries, given)
    named = {id(entries[name]) for name in entries if name in given}
    missing = [name for name, tensor in entries.items() if id(tensor) not in named]
    unexpected = [str(name) for name in given if name not in entries]
    problems = {
        "missing": missing if strict else [],
        "unexpected": unexpected if strict else [],
        "not numbers": unreadable,
        "wrong shape": _misshapen(entries, arrays),
        "wrong dtype": _mistyped(entries, arrays),
        "one tensor here, but different numbers": _torn(entries, arrays),
        "read-only here": [name for name in arrays if not _writeable(entries[name])],
    }
    if any(problems.values()):
        raise StateDictError(_report(where, problems, missing, unexpected))
    tensors = [tensor._data for tensor in entries.values()]
    for name, array in arrays.items():
        arrays[name] = _apart(array, tensors)
    for name, array in arrays.items():
        entries[name].assign_(array)
    return IncompatibleKeys(missing, unexpected)


def _arrays(
    entries: Mapping[str, Tensor], given: Mapping[str, Any]
) -> tuple[dict[str, Array], list[str]]:
    arrays, unreadable = {}, []
    for name in entries:
        if name in given:
            try:
                arrays[name] = as_array(given[name])
            except TinygradError:
                unreadable.append(f"{name} is a {type(given[name]).__name__}")
    return arrays, unreadable


def _misshapen(entries: Mapping[str, Tensor], arrays: Mapping[str, Array]) -> list[str]:
    wrong = []
    for name, array in arrays.items():
        expected = entries[name].shape
        if array.shape != expected:
            turned = len(expected) == 2 and array.shape == expected[::-1]
            hint = ": transpose it, weights here are (in, out)" if turned else ""
            wrong.append(f"{name} is {array.shape}, expected {expected}{hint}")
    return wrong


def _mistyped(entries: Mapping[str, Tensor], arrays: Mapping[str, Array]) -> list[str]:
    return [
        f"{name} is {array.dtype}, expected {entries[name].dtype}"
        for name, array in arrays.items()
        if array.dtype != entries[name].dtype
    ]


def _torn(entries: Mapping[str, Tensor], arrays: Mapping[str, Array]) -> list[str]:
    """Names of one tensor under which different numbers are given: which would be right?"""
    first: dict[int, str] = {}
    torn = []
    for name, array in arrays.items():
        other = first.setdefault(id(entries[name]), name)
        same = array is arrays[other] or np.array_equal(
            to_host(array), to_host(arrays[other]), equal_nan=True
        )
        if not same:
            torn.append(f"{other} and {name}")
    return torn


def _writeable(tensor: Tensor) -> bool:
    return not isinstance(tensor._data, np.ndarray) or bool(tensor._data.flags.writeable)


def _apart(array: Array, tensors: Iterable[Array]) -> Array:
    """A copy if the array shares memory with what is about to be written, else itself."""
    if isinstance(array, np.ndarray):
        for other in tensors:
            if isinstance(other, np.ndarray) and np.may_share_memory(array, other):
                return array.copy()
    return array


def _report(
    where: str, problems: Mapping[str, list[str]], missing: list[str], unexpected: list[str]
) -> str:
    lines = [f"load_state_dict: the state dict does not fit {where}; nothing was changed."]
    lines += [f"  {kind}: {', '.join(names)}" for kind, names in problems.items() if names]
    if extra := prefix_of(missing, unexpected):
        lines.append(f"Every unexpected name is a missing one behind {extra!r}: remove it.")
    elif extra := prefix_of(unexpected, missing):
        lines.append(f"Every missing name is an unexpected one behind {extra!r}: add it.")
    elif any(_OF_PYTORCH.search(name) for name in problems["unexpected"]):
        lines.append(
            "Names such as weight_ih_l0 are PyTorch's. Its weights are (out, in) with two biases, "
            "here they are (in, out) with one; interop.from_torch(arrays, module) reads them."
        )
    elif problems["missing"] or problems["unexpected"]:
        lines.append("strict=False passes over names that are missing or unexpected.")
    if problems["wrong dtype"]:
        lines.append("Nothing is converted silently: call .astype() on the arrays or the module.")
    return "\n".join(lines)


def prefix_of(short: list[str], long: list[str]) -> str:
    """What stands before each of the short names in the long ones, or nothing."""
    if not short or len(short) != len(long) or not long[0].endswith(f".{short[0]}"):
        return ""
    prefix = long[0].removesuffix(short[0])
    return prefix if {prefix + name for name in short} == set(long) else ""
