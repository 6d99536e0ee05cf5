"""The states of all layers and directions as PyTorch has them: one tensor for each name."""

from collections.abc import Sequence
from typing import Any

from tinygrad_rnn import ops
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["StateLayout"]


class StateLayout:
    """How states are given and returned: (L D, B, H), or L D tensors where widths differ.

    Args:
        where: The layer's name, for messages.
        sizes: The widths of each cell's states by name, layer by layer, direction by direction.
    """

    def __init__(self, where: str, sizes: Sequence[dict[str, int]]) -> None:
        self.where = where
        self.sizes = list(sizes)
        self.names = list(sizes[0])
        self.uniform = all(s == sizes[0] for s in sizes)

    def rows_of(self, state: Any) -> int | None:
        """B of a state as it is given; None where it is one without a batch."""
        if len(self.names) > 1 and isinstance(state, tuple | list) and state:
            state = state[0]
        by_cell = isinstance(state, tuple | list) and len(state) > 0
        shape = as_tensor(state[0] if by_cell else state).shape
        return shape[-2] if len(shape) == (2 if by_cell else 3) else None

    def first_rows(self, state: Any, count: int) -> Any:
        """The states of some rows, the first ones."""
        if isinstance(state, tuple | list):
            return tuple(self.first_rows(part, count) for part in state)
        return state[..., :count, :]

    def unpack(self, state: Any, rows: tuple[int, ...]) -> list[list[Tensor]]:
        """The states (B, width) of each cell; ``rows`` is (B,), or () without a batch."""
        given = list(state) if len(self.names) > 1 and isinstance(state, tuple | list) else [state]
        if len(given) != len(self.names):
            raise ShapeError(
                f"{self.where}: given {len(given)} states, expected a tuple of "
                f"{len(self.names)}: {', '.join(self.names)}."
            )
        by_name = [self._cells_of(n, s, rows) for n, s in zip(self.names, given, strict=True)]
        return [list(cell) for cell in zip(*by_name, strict=True)]

    def _cells_of(self, name: str, state: Any, rows: tuple[int, ...]) -> list[Tensor]:
        """One state of each cell."""
        count = len(self.sizes)
        shapes = [(*rows, s[name]) for s in self.sizes]
        given: Any = list(state) if isinstance(state, tuple | list) else [state]
        if any(s is None for s in given):
            raise ShapeError(
                f"{self.where}: {name} is None, expected {(count, *shapes[0])}; with no state at "
                "all, each starts from the initial one."
            )
        if isinstance(state, tuple | list):
            parts = [as_tensor(s) for s in state]
            given = [p.shape for p in parts]
            expected: Any = shapes
        else:
            state = as_tensor(state)
            given, expected = state.shape, (count, *shapes[0])
            parts = [state[k] for k in range(count)] if given == expected else []
        if given != expected or not (self.uniform or isinstance(state, tuple | list)):
            raise ShapeError(
                f"{self.where}: {name} is {given}, expected "
                f"{expected if self.uniform else f'a tuple of {shapes}'}: one for each of "
                f"{count} layers and directions, with the rows of x."
            )
        return parts if rows else [p.reshape(1, -1) for p in parts]

    def pack(self, states: Sequence[Sequence[Tensor]], batched: bool) -> Any:
        """What is returned: a Tensor, or a tuple with one for each name."""
        named: list[Any] = []
        for cells in zip(*states, strict=True):
            parts = list(cells) if batched else [c.reshape(-1) for c in cells]
            if not self.uniform:
                named.append(tuple(parts))
            elif len(parts) == 1:
                named.append(parts[0].reshape(1, *parts[0].shape))
            else:
                named.append(ops.stack(parts))
        return named[0] if len(named) == 1 else tuple(named)
