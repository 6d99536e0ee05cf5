"""Kernels that are called again and again with the same arguments, all of them in one call.

A small kernel takes less time than Python needs to call it: arrays are looked at one by one,
threads are called together. A chain has done that once for all. Its threads run one kernel
after the other without going back to Python, and wait for each other in between.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.kernels import _crew
from tinygrad_rnn.kernels._jit import DISABLED, kernel
from tinygrad_rnn.kernels._memory import zeros
from tinygrad_rnn.kernels._pool import team

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


class Chain:
    """Links that run one after the other when it is called; one thread at a time may call it.

    What kernels read and write is what their arrays hold at the time of the call.
    """

    def __init__(self, links: Sequence[Link], limit: int | None = None) -> None:
        self.links, self.limit = list(links), limit
        if DISABLED:
            return
        self._prepared = [link.kernel.prepared(*link.arguments) for link in links]
        table = [
            [words[0], words.ctypes.data + 16, link.pieces]
            for words, link in zip(self._prepared, links, strict=True)
        ]
        self._table = np.array(table, np.int64)
        self._words = zeros(_WORDS, np.int64)
        self._arguments = self._table.ctypes.data, len(links), self._words.ctypes.data

    def __call__(self) -> None:
        """Run all links."""
        if DISABLED:
            for kernel, pieces, arguments in self.links:
                kernel(0, pieces or 1, *arguments)
            return
        team(_run, *self._arguments, limit=self.limit)
        if self._words[_FAILED // 8]:
            failed, self._words[_FAILED // 8] = self.links[self._words[_FAILED // 8] - 1], 0
            raise RuntimeError(f"{failed.kernel.name} failed in a chain.")
