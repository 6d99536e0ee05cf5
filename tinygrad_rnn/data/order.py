"""In which order an epoch reads its examples: a function of seed and epoch, and of nothing else."""

import math
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ArgumentError

__all__ = [
    "EXAMPLES", "LENGTHS", "SPLIT", "TURNS", "Plan", "by_length", "in_order", "permutation",
    "seed_of", "share", "uniform",
]  # fmt: skip

Rows = np.ndarray[Any, np.dtype[np.intp]]

EXAMPLES, TURNS, SPLIT, LENGTHS = range(4)  # streams of random numbers that do not meet


def seed_of(where: str, seed: Any) -> int:
    """A seed that Philox can have as its key."""
    found = whole(where, "seed", seed, 0, ArgumentError)
    if found >= 2**128:
        raise ArgumentError(f"{where}: seed is {found}, expected a whole number below 2^128.")
    return found


def share(where: str, rank: Any, world_size: Any) -> slice:
    """Which of some rows a process reads, of those that train together."""
    size = whole(where, "world_size", world_size, 1, ArgumentError)
    rank = whole(where, "rank", rank, 0, ArgumentError)
    if rank >= size:
        raise ArgumentError(
            f"{where}: rank is {rank}, expected one from 0 to {size - 1}: world_size is {size}."
        )
    return slice(rank, None, size)


def permutation(count: int, seed: int, epoch: int, stream: int) -> Rows:
    """The numbers below ``count``, shuffled."""
    return np.argsort(_drawn(count, seed, epoch, stream), kind="stable")


def uniform(shape: tuple[int, ...], seed: int, epoch: int, stream: int) -> Any:
    """Numbers from 0 up to but not 1."""
    drawn = _drawn(math.prod(shape), seed, epoch, stream)
    return (drawn >> np.uint64(11)).reshape(shape) * 2.0**-53


def _drawn(count: int, seed: int, epoch: int, stream: int) -> Any:
    """Random bits, 64 a number.

    Philox computes its numbers from a key and a place, so there is nothing to keep. They are
    used as they are rather than by a Generator, whose methods may change with NumPy's version.
    """
    return np.random.Philox(key=seed, counter=[0, 0, stream, epoch]).random_raw(count)


class Plan:
    """An epoch: its examples in order, and where in them each batch begins and ends."""

    def __init__(self, order: Rows, ends: Rows) -> None:
        self.order = order
        self.ends = ends
        self.begins = np.concatenate([np.zeros(1, np.intp), ends[:-1]])

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, batch: int) -> Rows:
        return self.order[self.begins[batch] : self.ends[batch]]

    def shuffled(self, seed: int, epoch: int) -> "Plan":
        """The same batches in another order."""
        turns = permutation(len(self), seed, epoch, TURNS)
        self.begins, self.ends = self.begins[turns], self.ends[turns]
        return self


def in_order(order: Rows, batch_size: int) -> Plan:
    """Batches of equal size; the last one may be smaller."""
    ends = np.arange(batch_size, len(order) + batch_size, batch_size)
    return Plan(order, np.minimum(ends, len(order)))


def by_length(
    order: Rows, lengths: Rows, pool: int, batch_size: int | None, max_tokens: int | None
) -> Plan:
    """Batches of like lengths: sorted within pools of so many examples, then cut."""
    order = order.copy()
    ends = []
    for begin in range(0, len(order), pool):
        part = order[begin : begin + pool]
        part[:] = part[np.argsort(lengths[part], kind="stable")]
        sizes = cut(lengths[part], batch_size or len(part), max_tokens)
        ends.append(begin + np.cumsum(sizes))
    return Plan(order, np.concatenate(ends))


def cut(lengths: Rows, batch_size: int, max_tokens: int | None) -> list[int]:
    """How many rows each batch takes of rows that become longer and longer."""
    sizes = []
    begin = 0
    while begin < len(lengths):
        most = min(batch_size, len(lengths) - begin)
        if max_tokens is not None:
            # The last row is the longest: with it, n rows make n times its length.
            most = min(most, max_tokens // max(1, int(lengths[begin])))
            allowed = max_tokens // np.maximum(lengths[begin : begin + most], 1)
            most = int(np.count_nonzero(np.arange(1, most + 1) <= allowed))
        sizes.append(most)
        begin += most
    return sizes
