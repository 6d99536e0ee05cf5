"""Lists of sequences of different lengths: one padded batch, and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.device import array_module, on_gpu, to_host
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

__all__ = ["is_ragged", "lengths_of", "padded", "padded_booleans", "unpadded"]


def is_ragged(x: Any) -> bool:
    """Whether this is a list of arrays, rather than of numbers that make up one array."""
    if not isinstance(x, list | tuple):
        return False
    return not x or any(map(_is_array, x))


def lengths_of(where: str, x: Sequence[Any], size: int | None) -> list[int]:
    """How many steps each of the sequences has, if they are (T_i, I) all."""
    for k, part in enumerate(x):
        if not _is_array(part):
            raise ArgumentError(
                f"{where}: x[{k}] is a {type(part).__name__}, expected Tensors or arrays (T, I) "
                "throughout, one for each sequence."
            )
        if part.ndim != 2 or part.shape[1] != size:
            raise ShapeError(
                f"{where}: x[{k}] has shape {part.shape}, expected (T, {size}): x is a list of "
                "sequences, each without a batch."
            )
        if part.dtype != x[0].dtype:
            raise DTypeError(
                f"{where}: x[{k}] holds {part.dtype}, but x[0] {x[0].dtype}; expected one type."
            )
    return [part.shape[0] for part in x]


def padded(x: Sequence[Any], lengths: Sequence[int], like: Tensor | None, width: int) -> Tensor:
    """The sequences side by side, (T, B, width), with zeros behind the shorter ones."""
    T, B = max(lengths, default=0), len(lengths)
    if not B:
        xp, dtype = (np, np.float32) if like is None else (array_module(like._data), like.dtype)
        return Tensor(xp.zeros((0, 0, width), dtype))
    rows = ops.concat([as_tensor(part) for part in x])
    places = np.concatenate([np.arange(n) * B + b for b, n in enumerate(lengths)])
    nothing = array_module(rows._data).zeros((T * B, width), rows.dtype)
    return ops.index_update(nothing, places, rows).reshape(T, B, width)


def padded_booleans(where: str, name: str, given: Any, lengths: Sequence[int]) -> Any:
    """Booleans for the steps of each sequence, side by side, (T, B)."""
    if not isinstance(given, list | tuple) or len(given) != len(lengths):
        raise ShapeError(
            f"{where}: {name} is a {type(given).__name__}, expected a list of {len(lengths)}, one "
            "for each sequence in the list x."
        )
    side_by_side = np.zeros((max(lengths, default=0), len(lengths)), np.bool_)
    for b, (part, n) in enumerate(zip(given, lengths, strict=True)):
        array = to_host(as_array(part))
        if array.shape != (n,):
            raise ShapeError(
                f"{where}: {name}[{b}] has shape {array.shape}, expected {(n,)}, as x[{b}] has "
                f"{n} steps."
            )
        if n and array.dtype != np.bool_:
            raise DTypeError(f"{where}: {name}[{b}] holds {array.dtype}, expected booleans.")
        side_by_side[:n, b] = array
    return side_by_side


def unpadded(y: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """Of a batch (T, B, width), each sequence by itself, without its padding."""
    return [y[:n, b] for b, n in enumerate(lengths)]


def _is_array(part: Any) -> bool:
    """Whether this is an array, on any device, rather than numbers that make one up."""
    return isinstance(part, Tensor | np.ndarray) or on_gpu(part)
