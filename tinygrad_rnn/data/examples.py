"""Examples as users have them: arrays side by side, or anything with a length and [number]."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.data.collate import stack
from tinygrad_rnn.device import on_gpu
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = ["Examples"]


class Examples:
    """Columns of one length, of which each example has an item.

    A tuple or a dict is several columns, anything else is one.
    """

    def __init__(self, where: str, given: Any) -> None:
        self.names: list[Any] | None = None
        columns = {"examples": given}
        if isinstance(given, tuple):
            columns = {f"examples[{number}]": column for number, column in enumerate(given)}
        elif isinstance(given, Mapping):
            columns = {f"examples[{name!r}]": column for name, column in given.items()}
            self.names = list(given)
        self.single = not isinstance(given, tuple | Mapping)
        self.columns = [_column(where, name, column) for name, column in columns.items()]
        sizes = {name: len(column) for name, column in zip(columns, self.columns, strict=True)}
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise ShapeError(f"{where}: {told}; expected as many in each.")
        self.size = next(iter(sizes.values()), 0)
        if not self.size:
            raise ShapeError(f"{where}: examples is empty, expected at least one.")

    def __len__(self) -> int:
        return self.size

    def _put_together(self, parts: list[Any]) -> Any:
        if self.single:
            return parts[0]
        return tuple(parts) if self.names is None else dict(zip(self.names, parts, strict=True))

    def __getitem__(self, number: int) -> Any:
        try:
            return self._put_together([column[number] for column in self.columns])
        except Exception as error:
            error.add_note(f"while example {number} was read.")
            raise

    def batch(self, rows: Any, collate: Callable[[Sequence[Any]], Any] | None) -> Any:
        """The examples of these numbers, side by side."""
        if collate is None and all(map(_is_array, self.columns)):
            return self._put_together([column[rows] for column in self.columns])
        return (collate or stack)([self[number] for number in rows.tolist()])

    def part(self, rows: Any) -> Any:
        """The examples of these numbers, by themselves."""
        return self._put_together([_part(column, rows) for column in self.columns])


class _Part:
    """Some items of a sequence, each read when it is asked for."""

    def __init__(self, column: Any, rows: Any) -> None:
        self.column = column
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return _Part(self.column, self.rows[number])
        return self.column[int(self.rows[number])]


def _part(column: Any, rows: Any) -> Any:
    if _is_array(column):
        return column[rows]
    found = _Part(column, rows)
    return list(found) if isinstance(column, list) else found


def _is_array(column: Any) -> bool:
    """Whether rows are taken out at once: arrays of a GPU are cut there."""
    return isinstance(column, np.ndarray) or on_gpu(column)


def _column(where: str, name: str, given: Any) -> Any:
    if hasattr(given, "__array__") and not on_gpu(given):
        given = np.asarray(given)
    if (
        isinstance(given, str | bytes)
        or not all(hasattr(given, needed) for needed in ("__len__", "__getitem__"))
        or (_is_array(given) and not given.ndim)
    ):
        raise ArgumentError(
            f"{where}: {name} is {shortened(given)}, expected an array, or a sequence of examples "
            "with a length."
        )
    return given
