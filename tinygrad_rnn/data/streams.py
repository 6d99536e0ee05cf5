"""A long text as streams side by side, for truncated backpropagation through time."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import flag, shortened, whole
from tinygrad_rnn.data.collate import array_or_none
from tinygrad_rnn.data.epochs import Epochs
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = ["Chunk", "Streams"]


class Chunk(NamedTuple):
    """So many steps of every stream, (T, B, ...), and what comes one step later."""

    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    first: bool  # the streams begin here: a state that was carried so far ends


class Streams(Epochs):
    """A text, cut into streams that run side by side, chunk by chunk.

    Column b of the chunks of an epoch, one below the other, is the b-th part of the text, so
    that the state after a chunk is the one before the next. Targets are the next token.

        for x, y, first in data.Streams(tokens, batch_size=20, steps=35):
            state = None if first else detached(state)

    tokens (N, ...)  ->  x, y (steps, batch_size, ...)

    Args:
        batch_size: How many streams. The few tokens at the end that do not fill a step are left.
        steps: Of a chunk; the last one has what is left.
        targets: (N, ...) what to say at each step, in place of the next token.
        drop_last: Leave out what does not fill a chunk.
    """

    def __init__(
        self,
        tokens: Any,
        batch_size: int,
        steps: int,
        *,
        targets: Any = None,
        drop_last: bool = False,
    ) -> None:
        super().__init__()
        tokens = _array("tokens", tokens)
        self.batch_size = whole("Streams", "batch_size", batch_size, 1)
        self.steps = whole("Streams", "steps", steps, 1)
        self.drop_last = flag("Streams", "drop_last", drop_last)
        self.tokens = len(tokens)
        x, y = tokens[:-1], tokens[1:]
        if targets is not None:
            x, y = tokens, _array("targets", targets)
            if len(y) != len(x):
                raise ShapeError(f"Streams: targets has {len(y)} steps, but tokens {len(x)}.")
        self.length = len(x) // self.batch_size
        if self.length < (self.steps if self.drop_last else 1):
            raise ShapeError(
                f"Streams: {self.tokens} tokens make {self.batch_size} streams of {self.length} "
                f"steps, expected {self.steps if self.drop_last else 1} at least."
            )
        self._x, self._y = self._side_by_side(x), self._side_by_side(y)

    def _side_by_side(self, array: Any) -> Any:
        rows = array[: self.length * self.batch_size]
        return rows.reshape(self.batch_size, self.length, *array.shape[1:]).swapaxes(0, 1)

    def __len__(self) -> int:
        """How many chunks an epoch has."""
        return self.length // self.steps if self.drop_last else -(-self.length // self.steps)

    def _read(self, number: int) -> Chunk:
        steps = slice(number * self.steps, (number + 1) * self.steps)
        x, y = (np.array(part[steps], order="C") for part in (self._x, self._y))
        return Chunk(x, y, number == 0)

    def _settings(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "drop_last": self.drop_last,
        }


def _array(name: str, given: Any) -> Any:
    if isinstance(given, str | bytes):
        raise ArgumentError(
            f"Streams: {name} is {shortened(given)}, a text; expected its tokens as numbers."
        )
    array = array_or_none(given)
    if array is None or not array.ndim or array.dtype.kind not in "biufc":
        raise ArgumentError(f"Streams: {name} is {shortened(given)}, expected an array.")
    return array
