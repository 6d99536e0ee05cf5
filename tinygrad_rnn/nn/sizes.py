"""Checks of the numbers that layers are made with."""

from operator import index
from typing import Any

from tinygrad_rnn.errors import ShapeError

__all__ = ["check_size"]


def check_size(where: str, name: str, size: Any) -> int:
    """A whole number from 1 up, or the error that names the layer and its argument."""
    try:
        whole = 0 if isinstance(size, bool) else index(size)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ShapeError(f"{where}: {name} is {size!r}, expected a whole number from 1 up.")
    return whole
