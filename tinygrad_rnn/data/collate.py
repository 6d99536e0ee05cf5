"""From examples to a batch: stacked, or padded where they are of different lengths."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["Padded", "array_or_none", "pad", "padded", "padding_share", "stack"]

Array = np.ndarray[Any, Any]


class Padded(NamedTuple):
    """Sequences of different lengths side by side, (T, B, ...), and how long each is."""

    data: Array
    lengths: Array


def pad(sequences: Sequence[Any], value: Any = 0, *, batch_first: bool = False) -> Padded:
    """Put sequences (T_i, ...) side by side, with ``value`` behind the shorter ones.

    data (T, B, ...), or (B, T, ...) with ``batch_first``; lengths (B,), whole numbers.
    """
    if not hasattr(sequences, "__iter__"):
        raise ArgumentError(
            f"pad: sequences is {shortened(sequences)}, expected a list of arrays or of lists of "
            "numbers."
        )
    arrays = [_sequence(number, given) for number, given in enumerate(sequences)]
    if not arrays:
        raise ArgumentError("pad: sequences is empty, expected at least one.")
    # An empty list has neither a type nor a shape.
    telling = [
        (number, array)
        for number, (array, given) in enumerate(zip(arrays, sequences, strict=True))
        if array.size or not isinstance(given, list | tuple)
    ] or [(0, arrays[0])]
    rest = telling[0][1].shape[1:]
    for number, array in telling:
        if array.shape[1:] != rest:
            raise ShapeError(
                f"pad: sequences[{number}] has shape {array.shape}, but sequences[{telling[0][0]}] "
                f"{telling[0][1].shape}; only the first axis may differ."
            )
    dtype = np.result_type(*{array.dtype for _, array in telling})
    lengths = np.array([len(array) for array in arrays])
    data = np.full((len(arrays), lengths.max(), *rest), _filling(value, dtype), dtype)
    for row, array in zip(data, arrays, strict=True):
        if len(array):
            row[: len(array)] = array
    return Padded(data if batch_first else np.ascontiguousarray(data.swapaxes(0, 1)), lengths)


def _sequence(number: int, given: Any) -> Array:
    array = array_or_none(given)
    if array is None or not array.ndim or array.dtype.kind not in "biufc":
        raise ArgumentError(
            f"pad: sequences[{number}] is {shortened(given)}, expected an array or a list of "
            "numbers."
        )
    return array


def array_or_none(given: Any) -> Array | None:
    """An array; None where it could only be one of Python objects.

    Python's own numbers with a fraction become float32, as they do in Tensors.
    """
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    if array.dtype == np.float64:
        leaf = given
        while isinstance(leaf, list | tuple) and leaf:
            leaf = leaf[0]
        return array if hasattr(leaf, "dtype") else array.astype(np.float32)
    return None if array.dtype == object and not hasattr(given, "__array__") else array


def _filling(value: Any, dtype: np.dtype[Any]) -> Any:
    """``value``, if the type can hold it; floating-point numbers may be rounded."""
    given = np.asarray(value if np.isscalar(value) else None)
    fits = given.dtype.kind in ("biufc" if dtype.kind == "c" else "biuf")
    if fits:
        with np.errstate(all="ignore"):
            held = given.astype(dtype)
        rounded = dtype.kind in "fc" and np.isfinite(held) == np.isfinite(given)
        fits = bool(rounded or held == given)
    if not fits:
        raise DTypeError(f"pad: value is {shortened(value)}, which {dtype} cannot hold.")
    return given.astype(dtype)


def stack(examples: Sequence[Any]) -> Any:
    """Put examples of one shape side by side: arrays (B, ...).

    Of examples that are tuples or dicts, one array for each field.
    """
    if not len(examples):
        raise ArgumentError("stack: examples is empty, expected at least one.")
    return _by_field(examples, lambda values, field: _stacked(values))


def padded(
    fields: Iterable[Any] | None = None, *, value: Any = 0, batch_first: bool = False
) -> Callable[[Sequence[Any]], Any]:
    """A function for ``collate`` that pads fields of examples, and stacks the others.

    Args:
        fields: The places in a tuple, or keys of a dict, of those with different lengths. None
            pads all that have an axis.
    """
    chosen = None if fields is None else tuple(fields)

    def one(values: Sequence[Any], field: Any) -> Any:
        ragged = np.ndim(values[0]) if chosen is None else field in chosen
        return pad(values, value, batch_first=batch_first) if ragged else _stacked(values)

    def collate(examples: Sequence[Any]) -> Any:
        known = _keys(examples[0])
        for field in chosen or ():
            if field not in known:
                raise ArgumentError(
                    f"padded: fields has {field!r}, but an example has {known or 'no fields'}."
                )
        return _by_field(examples, one)

    return collate


def _keys(example: Any) -> list[Any]:
    if isinstance(example, Mapping):
        return list(example)
    return list(range(len(example))) if isinstance(example, tuple) else []


def _by_field(
    examples: Sequence[Any], column: Callable[[Sequence[Any], Any], Any], field: Any = None
) -> Any:
    """``column(values, field)`` of every field; ``field`` is its name in the outermost tuple."""
    first = examples[0]
    if not isinstance(first, tuple | Mapping):
        return column(examples, field)
    keys = _keys(first)
    for example in examples:
        if type(example) is not type(first) or _keys(example) != keys:
            raise ShapeError(
                f"stack: the examples of a batch differ: {shortened(example)} beside "
                f"{shortened(first)}."
            )
    columns = {
        key: _by_field(
            [example[key] for example in examples], column, key if field is None else field
        )
        for key in keys
    }
    return columns if isinstance(first, Mapping) else tuple(columns.values())


def _stacked(values: Sequence[Any]) -> Array:
    array = array_or_none(values)
    if array is None:
        shapes = sorted({np.shape(part) for part in map(array_or_none, values) if part is not None})
        if len(shapes) > 1:
            raise ShapeError(
                f"stack: examples of a batch have shapes {shortened(shapes)}, expected one; "
                "collate=data.padded() pads them, and lengths= makes batches of like lengths."
            )
        raise ArgumentError(
            f"stack: cannot make an array of {shortened(values[0])}; give a function as collate= "
            "that makes a batch of a list of examples."
        )
    return array


def padding_share(lengths: Iterable[Any]) -> float:
    """How much of padded batches is padding, of the lengths in each of them: 0 is none.

    data.padding_share(x.lengths for x, labels in batches)
    """
    filled = places = 0
    for each in lengths:
        row = np.asarray(each)
        filled += int(row.sum())
        places += int(row.max(initial=0)) * row.size
    return 1 - filled / places if places else 0.0
