"""Batches of examples, in an order that seed and epoch alone decide."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import flag, function_of, shortened, whole
from tinygrad_rnn.data import order
from tinygrad_rnn.data.epochs import Epochs
from tinygrad_rnn.data.examples import Examples
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError

__all__ = ["Batches"]


class Batches(Epochs):
    """Batches of examples; each loop over them goes through one epoch.

        for x, y in data.Batches((x, y), 32, shuffle=True):
            ...

    Args:
        examples: An array, a tuple or dict of arrays with as many rows, or any sequence
            with ``len`` and ``[number]``, whose examples are read when their batch is.
        batch_size: Rows of a batch; the last one of an epoch has what is left.
        shuffle: Another order in each epoch, of which ``seed`` and its number decide.
        drop_last: Leave out what does not fill a batch.
        collate: Makes a batch of a list of examples; None stacks them.
        lengths: How long each example is, or a function that tells it of one. Batches are then
            of examples of like lengths.
        max_tokens: A batch has as many rows as fit into so many places, padding included;
            beside ``batch_size`` or in place of it.
        pool: Like lengths are looked for among the examples of so many batches.
        rank, world_size: Of processes that train together: each reads its share of every batch,
            every so many-th row. The order is that of one process; a share without a row is None.
    """

    _place = ("epoch", "batch", "seed")

    def __init__(
        self,
        examples: Any,
        batch_size: int | None = None,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        collate: Callable[[Sequence[Any]], Any] | None = None,
        lengths: Any = None,
        max_tokens: int | None = None,
        pool: int = 100,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        self.examples = Examples("Batches", examples)
        self.batch_size = _optional("batch_size", batch_size)
        self.max_tokens = _optional("max_tokens", max_tokens)
        self.seed = order.seed_of("Batches", seed)
        self.pool = whole("Batches", "pool", pool, 1)
        self.shuffle = flag("Batches", "shuffle", shuffle)
        self.drop_last = flag("Batches", "drop_last", drop_last)
        self.collate = collate if collate is None else function_of("Batches", "collate", collate)
        self.lengths = None if lengths is None else self._lengths(lengths)
        self._lengths_digest = None if self.lengths is None else zlib.crc32(self.lengths.tobytes())
        self.share = order.share("Batches", rank, world_size)
        self._usual_rows = self._checked_size()
        self._plan: tuple[tuple[int, int], order.Plan] | None = None

    def _checked_size(self) -> int:
        """How many rows a batch has, or about has."""
        size, most = self.batch_size, self.max_tokens
        if most is None:
            if size is None:
                raise ArgumentError("Batches: expected batch_size, or max_tokens in its place.")
            if self.drop_last and size > len(self.examples):
                raise ShapeError(
                    f"Batches: batch_size is {size}, but there are {len(self.examples)} examples, "
                    "and drop_last leaves out the only batch."
                )
            return min(size, len(self.examples))
        if self.lengths is None:
            raise ArgumentError("Batches: max_tokens needs lengths= of the examples.")
        if self.drop_last:
            raise ArgumentError(
                "Batches: drop_last leaves out the batch that is not full, but by max_tokens any "
                "may not be."
            )
        longest = int(self.lengths.argmax())
        if self.lengths[longest] > most:
            raise ShapeError(
                f"Batches: max_tokens is {most}, but example {longest} alone has "
                f"{self.lengths[longest]}."
            )
        return size or max(1, int(most / max(1, self.lengths.mean())))

    def _lengths(self, given: Any) -> Any:
        if given is len and isinstance(self.examples[0], tuple | Mapping):
            raise ArgumentError(
                "Batches: lengths is len, which counts the fields of an example; expected a "
                "function of all of them, such as lambda example: len(example[0])."
            )
        if callable(given):
            given = [given(self.examples[number]) for number in range(len(self.examples))]
        try:
            found = np.asarray(given)
        except ValueError:  # rows of different lengths
            found = np.empty(())
        if found.shape != (len(self.examples),) or found.dtype.kind not in "iuf":
            raise ShapeError(
                f"Batches: lengths is {shortened(given)}, expected {len(self.examples)} whole "
                "numbers, one for each example."
            )
        wrong = ~((found >= 0) & (found < 2**62) & (found == np.floor(found)))
        if wrong.any():
            first = int(wrong.argmax())
            raise IndexRangeError(
                f"Batches: lengths[{first}] is {found[first]}, expected a whole number from 0 up."
            )
        return found.astype(np.intp)

    def _epoch_plan(self) -> order.Plan:
        """The rows of each batch; computed once an epoch."""
        key = self.seed, self.epoch
        if self._plan is None or self._plan[0] != key:
            self._plan = key, self._new_plan(*key)
        return self._plan[1]

    def _new_plan(self, seed: int, epoch: int) -> order.Plan:
        count = len(self.examples)
        rows = np.arange(count)
        if self.shuffle:
            rows = order.permutation(count, seed, epoch, order.EXAMPLES)
        if self.drop_last:  # before sorting, lest it be the longest that are left out
            rows = rows[: count - count % self._usual_rows]
        if self.lengths is None:
            return order.in_order(rows, self._usual_rows)
        pool = self.pool * self._usual_rows
        plan = order.by_length(rows, self.lengths, pool, self.batch_size, self.max_tokens)
        return plan.shuffled(seed, epoch) if self.shuffle else plan

    def rows(self) -> list[Any]:
        """The numbers of the examples in each batch of the epoch."""
        plan = self._epoch_plan()
        return [plan[number][self.share] for number in range(len(plan))]

    def __len__(self) -> int:
        """How many batches the epoch has."""
        return len(self._epoch_plan())

    def _read(self, number: int) -> Any:
        rows = self._epoch_plan()[number][self.share]
        return self.examples.batch(rows, self.collate) if len(rows) else None

    def _settings(self) -> dict[str, Any]:
        return {
            "examples": len(self.examples),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "max_tokens": self.max_tokens,
            "pool": self.pool,
            "lengths": self._lengths_digest,
        }


def _optional(name: str, value: Any) -> int | None:
    return None if value is None else whole("Batches", name, value, 1)
