"""What steps that are made ready consist of: recurrences one above the other, and products."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.recurrence.program import Program

__all__ = ["Layer", "Product"]


@dataclass(frozen=True)
class Layer:
    """A recurrence: program, weights, forms and settings as ``forward`` takes them.

    widths   of the states
    """

    program: Program
    widths: Sequence[int]
    params: Mapping[str, Array]
    forms: Mapping[str, dict[Any, Any]]
    settings: Mapping[str, float] | None


@dataclass(frozen=True)
class Product:
    """A product with a weight (K, N), whose packed form is kept in ``forms``, plus a bias (N)."""

    weight: Array
    forms: dict[Any, Any]
    bias: Array | None
