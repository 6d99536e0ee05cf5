"""Dropout by noise, outside of the kernels: of weights, and of what a layer gives to the next."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tinygrad_rnn import random
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["dropped", "dropped_output", "noise_of"]

Output = Tensor | tuple[Tensor, Tensor]


def dropped(x: Tensor, rate: float, numbers: Array) -> Tensor:
    """x with zeros where a number is below the rate, and the rest grown by as much."""
    return x * Tensor((numbers >= rate).astype(x.dtype) * x.dtype.type(1 / (1 - rate)))


def dropped_output(y: Output, rate: float, noise: Noise, locked: bool) -> Output:
    """y with some of it dropped, at each step or the same at all of them.

    y (T, B, width), or (B, width) of the last steps, or two of them
    """
    if not rate:
        return y
    if isinstance(y, tuple):
        a, b = (_dropped(each, rate, noise.fold(k), locked) for k, each in enumerate(y))
        return a, b
    return _dropped(y, rate, noise, locked)


def _dropped(y: Tensor, rate: float, noise: Noise, locked: bool) -> Tensor:
    rows = y if y.ndim == 3 else y.reshape(1, *y.shape)
    T, B, width = rows.shape
    numbers = noise.at(0, range(T), B, width, y._data, locked=locked)
    return dropped(rows, rate, numbers).reshape(y.shape)


def noise_of(layer: "Recurrent", rows: int, noise: Any, row_ids: Any) -> Noise | None:
    """What a call of a layer is to draw its random numbers from; None where it draws none."""
    where = type(layer).__name__
    if noise is None and row_ids is None and not layer.training:
        return None
    if noise is not None and not isinstance(noise, Noise):
        raise ArgumentError(
            f"{where}: noise is a {type(noise).__name__}, expected what random.noise() gives."
        )
    if row_ids is not None:
        row_ids = random.row_ids(where, "row_ids", row_ids)
    ids = row_ids if row_ids is not None or noise is None else noise.rows
    if ids is not None and len(ids) != rows:
        raise ShapeError(f"{where}: given {len(ids)} row_ids, expected {rows}: one for each row.")
    between = layer.dropout > 0 and layer.num_layers > 1
    drops = layer.training and (between or layer.output_dropout > 0)
    if not drops and not any(cell.draws for cell in layer.cells()):
        return None
    given = random.noise() if noise is None else noise
    return replace(given, rows=ids)
