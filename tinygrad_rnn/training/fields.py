"""The arrays of a call of fit: one or several inputs and targets, cut into batches together."""

from typing import Any

import numpy as np

from tinygrad_rnn import data, random
from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = ["batches_of", "fields_of", "rows_of", "taken"]

Fields = dict[str, Any]


def fields_of(where: str, **given: Any) -> Fields:
    """Arrays by the name of the argument; several as x[0], x[1] of a list, x.NAME of a dict."""
    fields: Fields = {}
    for name, value in given.items():
        if isinstance(value, dict):
            parts = {f"{name}.{key}": part for key, part in value.items()}
        elif isinstance(value, list | tuple) and value and all(map(_is_array, value)):
            parts = {f"{name}[{place}]": part for place, part in enumerate(value)}
        else:
            parts = {name: value}
        fields |= {key: _rows(where, key, part) for key, part in parts.items()}
    counts = {name: len(array) for name, array in fields.items()}
    if len(set(counts.values())) != 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ShapeError(f"{where}: expected as many examples everywhere, given of {told}.")
    return fields


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor) and value.ndim > 0


def _rows(where: str, name: str, value: Any) -> Any:
    if value is None or not np.ndim(array := as_array(value, where)):
        raise ArgumentError(f"{where}: {name} is {value!r}, expected an array of examples.")
    return array


def taken(name: str, batch: Any) -> Any:
    """What was given as an argument: an array, a list of several, or a dict."""
    if not isinstance(batch, dict):
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise ArgumentError(
                f"fit: a batch is a {type(batch).__name__}, expected a pair (x, y), each an array "
                "or several in a list or dict."
            )
        return batch[0 if name == "x" else 1]
    if name in batch:
        return batch[name]
    listed = [part for key, part in batch.items() if key.startswith(f"{name}[")]
    return listed or {k[2:]: part for k, part in batch.items() if k.startswith(f"{name}.")}


def batches_of(where: str, fields: Fields, batch_size: int, shuffle: bool = False) -> data.Batches:
    """Batches of them; their order is drawn from the seeded stream."""
    whole(where, "batch_size", batch_size, 1)
    seed = int(random.generator().integers(2**31)) if shuffle else 0
    return data.Batches(fields, batch_size, shuffle=shuffle, seed=seed)


def rows_of(batch: Any) -> int:
    """How many examples a batch has: how much it counts in a mean."""
    x = taken("x", batch)
    if isinstance(x, dict):
        x = list(x.values())
    return len(x[0] if isinstance(x, list | tuple) else x)
