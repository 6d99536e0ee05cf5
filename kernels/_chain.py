"""Kernels that are called again and again with the same arguments, all of them in one call.

A small kernel takes less time than Python needs to call it: arrays are looked at one by one,
threads are called together. A chain has done that once for all. Its threads run one kernel
after the other without going back to Python, and wait for each other in between.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.kernels import _crew
from tinygrad_rnn.kernels._jit import DISABLED, kernel
from tinygrad_rnn.kernels._memory import zeros
from tinygrad_rnn.kernels._pool import team
from tinygrad_rnn.kernels._twin import Array

__all__ = ["Chain", "Link"]

_WORDS = 32  # the barrier's, on a line of their own, and behind them those of an error
_ERROR, _FAILED = 16 * 8, 24 * 8


class Link(NamedTuple):
    """A call of a kernel: of a slice, in ``pieces``, or of one of a team, where that is 0."""

    kernel: Any
    pieces: int
    arguments: tuple[Any, ...]  # after the two numbers that every such kernel takes first


@kernel("intp, intp, intp, intp, intp")
def _run(worker, workers, links, count, words):
    """Run links, each of three words: function, arguments, pieces."""
    for i in range(count):
        link = links + i * 24
        pieces = _crew.load(link + 16)
        first, second = worker, workers
        if pieces > 0:
            first, second = pieces * worker // workers, pieces * (worker + 1) // workers
        if pieces == 0 or first < second:
            function, arguments = _crew.load(link), _crew.load(link + 8)
            if _crew.call_slice(function, arguments, first, second, words + _ERROR) != 0:
                _crew.store(words + _FAILED, i + 1)
        if i + 1 < count:
            _crew.barrier(words, workers)


def _moved(moving: Sequence[Array], arrays: Sequence[Array], argument: Any) -> Any:
    """An argument, or what is given in its place, in its shape."""
    for old, new in zip(moving, arrays, strict=True):
        if argument is old:
            return new.reshape(old.shape)
    return argument


class Chain:
    """Links that run one after the other when it is called; one thread at a time may call it.

    What kernels read and write is what their arrays hold at the time of the call.

    Args:
        limit: How many threads at most.
        moving: Arrays that stand for others, which are given in each call: of the same type and
            with as many numbers, one behind the other. They must not be empty.
    """

    def __init__(
        self, links: Sequence[Link], limit: int | None = None, moving: Sequence[Array] = ()
    ) -> None:
        self.links, self.limit, self.moving = list(links), limit, list(moving)
        if DISABLED:
            return
        self._prepared = [link.kernel.prepared(*link.arguments) for link in links]
        # Nothing else among arguments is the address of an array that lives.
        self._places = [
            [
                (memoryview(words), int(place))  # an array would take five times as long to change
                for words in self._prepared
                for place in np.flatnonzero(words == array.ctypes.data)
            ]
            for array in moving
        ]
        table = [
            [words[0], words.ctypes.data + 16, link.pieces]
            for words, link in zip(self._prepared, links, strict=True)
        ]
        self._table = np.array(table, np.int64)
        self._words = zeros(_WORDS, np.int64)
        self._arguments = self._table.ctypes.data, len(links), self._words.ctypes.data

    def __call__(self, *arrays: Array) -> None:
        """Run all links, on arrays in place of those that move."""
        if DISABLED:
            moved = partial(_moved, self.moving, arrays)
            for link in self.links:
                link.kernel(0, link.pieces or 1, *map(moved, link.arguments))
            return
        for array, places in zip(arrays, self._places, strict=True):
            address = array.ctypes.data
            for words, place in places:
                words[place] = address
        team(_run, *self._arguments, limit=self.limit)
        if self._words[_FAILED // 8]:
            failed, self._words[_FAILED // 8] = self.links[self._words[_FAILED // 8] - 1], 0
            raise RuntimeError(f"{failed.kernel.name} failed in a chain.")
