"""Trees of arrays and numbers, such as state dicts of a run, as named arrays and JSON.

    tree:   {"step": 3, "moments": [array], "place": (7, None)}
    arrays: {"moments/0": array}
    rest:   {"dict": [["step", 3], ["moments", [{"array": "moments/0"}]],
                      ["place", {"tuple": [7, null]}]]}

Lists, texts, numbers, booleans and None are themselves in JSON. Everything else is a dict with
one key that says what it is, so nothing can be mistaken for it.
"""

from typing import Any

import numpy as np

from tinygrad_rnn.device import on_gpu, to_host
from tinygrad_rnn.errors import ArgumentError, FileFormatError
from tinygrad_rnn.files.layout import CODES, Arrays
from tinygrad_rnn.tensor import Tensor

__all__ = ["flatten", "restored"]

_PLAIN = (bool, int, float, str, type(None))


def flatten(tree: Any, where: str = "flatten") -> tuple[Arrays, Any]:
    """The arrays of a tree by the way that leads to them, and the rest, which JSON can hold.

    A tree is made of dicts, lists and tuples of arrays, Tensors, numbers (also NumPy's), texts
    and None. ``restored`` gives back the same types, all on the CPU, Tensors without graphs;
    dicts of any kind, such as OrderedDict, as dicts.
    """
    arrays: Arrays = {}

    def taken(value: Any, way: str) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is list:
            return [taken(item, f"{way}/{n}") for n, item in enumerate(value)]
        if kind is tuple:
            return {"tuple": [taken(item, f"{way}/{n}") for n, item in enumerate(value)]}
        if isinstance(value, dict):
            return {"dict": [[taken(k, way), taken(v, f"{way}/{k}")] for k, v in value.items()]}
        if isinstance(value, Tensor):
            return {"tensor": named(to_host(value._data), way)}
        if isinstance(value, np.generic):
            return {"scalar": named(np.asarray(value), way)}
        if kind is np.ndarray or on_gpu(value):
            return {"array": named(to_host(value), way)}
        raise ArgumentError(
            f"{where}: {way.strip('/') or 'the tree'} is a {kind.__name__}, expected a dict, list "
            "or tuple, an array, a Tensor, a number, a text or None."
        )

    def named(array: np.ndarray[Any, Any], way: str) -> str:
        if array.dtype.newbyteorder("=") not in CODES:
            raise ArgumentError(
                f"{where}: {way.strip('/')} holds {array.dtype}, expected one of "
                f"{', '.join(str(dtype) for dtype in CODES)}."
            )
        name = way.strip("/") or "array"
        while name in arrays:  # keys such as 1 and "1"
            name += "'"
        arrays[name] = array
        return name

    return arrays, taken(tree, "")


def restored(arrays: Arrays, rest: Any) -> Any:
    """The tree that ``flatten`` took apart."""
    try:
        return _restored(arrays, rest)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        raise FileFormatError("restored: this is nothing that flatten has made.") from None


def _restored(arrays: Arrays, rest: Any) -> Any:
    if isinstance(rest, _PLAIN):
        return rest
    if isinstance(rest, list):
        return [_restored(arrays, item) for item in rest]
    ((kind, held),) = rest.items()
    if kind == "tuple":
        return tuple(_restored(arrays, item) for item in held)
    if kind == "dict":
        return {_restored(arrays, key): _restored(arrays, value) for key, value in held}
    array = arrays[held]
    if kind == "array":
        return array
    if kind == "scalar":
        return array[()]
    if kind == "tensor":
        return Tensor(array)
    raise ValueError(kind)
