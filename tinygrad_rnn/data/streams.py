"""A long text as streams side by side, for truncated backpropagation through time."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import flag, shortened, whole
from tinygrad_rnn.data.collate import array_or_none
from tinygrad_rnn.data.epochs import Epochs
from tinygrad_rnn.data.order import LENGTHS, seed_of, share, uniform
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = ["Chunk", "Streams"]

Places = np.ndarray[Any, np.dtype[np.intp]]

_HALVED, _DEVIATION, _SHORTEST = 0.05, 5.0, 5  # of lengths that vary, as the paper has them


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
        vary: Let the length of each chunk differ, so that a token is not always first in the same
            place (Merity et al. 2017): drawn around ``steps``, or around half of it for one in
            twenty, with a deviation of 5, and 5 at least. Other ones in each epoch.
        seed: Of these lengths, which are a function of seed and epoch.
        rank, world_size: Of processes that train together: each reads its share of the streams,
            every so many-th column.
    """

    def __init__(
        self,
        tokens: Any,
        batch_size: int,
        steps: int,
        *,
        targets: Any = None,
        drop_last: bool = False,
        vary: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        tokens = _array("tokens", tokens)
        self.batch_size = whole("Streams", "batch_size", batch_size, 1)
        self.steps = whole("Streams", "steps", steps, 1)
        self.share = share("Streams", rank, world_size)
        if world_size > self.batch_size:
            raise ShapeError(
                f"Streams: batch_size is {self.batch_size}, but there are {world_size} processes, "
                "expected a stream for each."
            )
        self.drop_last = flag("Streams", "drop_last", drop_last)
        self.vary, self.seed = flag("Streams", "vary", vary), seed_of("Streams", seed)
        if self.vary and self.drop_last:
            raise ArgumentError(
                "Streams: given vary and drop_last, expected one of them: where lengths differ, no "
                "length is to be filled."
            )
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
        self._drawn: tuple[int, Places] = (-1, np.zeros(0, np.intp))
        self._x, self._y = self._side_by_side(x), self._side_by_side(y)

    def _side_by_side(self, array: Any) -> Any:
        rows = array[: self.length * self.batch_size]
        return rows.reshape(self.batch_size, self.length, *array.shape[1:]).swapaxes(0, 1)

    def _ends(self) -> Places:
        """Where the chunks of the epoch end."""
        epoch, ends = self._drawn
        if epoch != self.epoch:
            if self.vary:
                ends = np.cumsum(_lengths(self.length, self.steps, self.seed, self.epoch))
            else:
                ends = np.arange(self.steps, self.length + self.steps, self.steps)
            count = np.searchsorted(ends, self.length)  # of those before the last
            ends = np.minimum(ends[: count + 1], self.length)
            if self.drop_last and self.length % self.steps:
                ends = ends[:-1]
            self._drawn = self.epoch, ends
        return ends

    def __len__(self) -> int:
        """How many chunks the epoch has."""
        return len(self._ends())

    def _read(self, number: int) -> Chunk:
        ends = self._ends()
        steps = slice(ends[number - 1] if number else 0, ends[number])
        x, y = (np.array(part[steps, self.share], order="C") for part in (self._x, self._y))
        return Chunk(x, y, number == 0)

    def _settings(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "batch_size": self.batch_size,
            "steps": self.steps,
            "drop_last": self.drop_last,
            "vary": self.vary,
            "seed": self.seed,
        }


def _lengths(length: int, steps: int, seed: int, epoch: int) -> Places:
    """Lengths of chunks, enough to fill an epoch; made normal by Box's and Muller's transform."""
    shortest = min(_SHORTEST, steps)
    u, v, kind = uniform((3, -(-length // shortest)), seed, epoch, LENGTHS)
    around = np.where(kind < _HALVED, steps / 2, steps)
    drawn = around + _DEVIATION * np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)
    lengths: Places = np.maximum(drawn.astype(np.intp), shortest)
    return lengths


def _array(name: str, given: Any) -> Any:
    if isinstance(given, str | bytes):
        raise ArgumentError(
            f"Streams: {name} is {shortened(given)}, a text; expected its tokens as numbers."
        )
    array = array_or_none(given)
    if array is None or not array.ndim or array.dtype.kind not in "biufc":
        raise ArgumentError(f"Streams: {name} is {shortened(given)}, expected an array.")
    return array
