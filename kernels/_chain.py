"""Kernels that are called again and again with the same arguments, all of them in one call.

A small kernel takes less time than Python needs to call it: arrays are looked at one by one,
threads are called together. A chain has done that once for all. Its threads run one kernel
after the other without going back to Python, and wait for each other in between.
"""

from collections.abc import Sequence
from functools import partial
from struct import Struct
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tinygrad_rnn.kernels import _crew
from tinygrad_rnn.kernels._jit import DISABLED, kernel
from tinygrad_rnn.kernels._memory import LINE, address_of, zeros
from tinygrad_rnn.kernels._pool import Link, team
from tinygrad_rnn.kernels._twin import Array

__all__ = ["Chain", "Link", "side_by_side"]

_WORDS = 32  # the barrier's, on a line of their own, and behind them those of an error
_ERROR, _FAILED = 16 * 8, 24 * 8


@kernel("intp, intp, intp, intp, intp, intp, intp, intp")
def _run(worker, workers, links, count, words, moves, begins, moved):
    """Run links, each of three words: function, arguments, pieces.

    But first write the addresses that have moved, by three words each, too: where it is among the
    arguments, the number of the array that it is in, and how far from where that begins.
    """
    if moved > 0:
        if worker == 0:
            for i in range(moved):
                move = moves + i * 24
                begin = _crew.load(begins + _crew.load(move + 8) * 8)
                _crew.store(_crew.load(move), begin + _crew.load(move + 16))
        _crew.barrier(words, workers)
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


def _staying(moving: Sequence[Sequence[Array]], links: Sequence[Link]) -> list[Array]:
    """The arguments that do not move, and so are to live as long as the chain."""
    gone = [array for each in moving for array in each]
    return [
        argument
        for link in links
        for argument in link.arguments
        if isinstance(argument, np.ndarray)
        and not any(np.may_share_memory(argument, array) for array in gone)
    ]


def side_by_side(arrays: Sequence[Array]) -> tuple[list[int], int]:
    """Where arrays begin in memory for all of them, each on a line; and how long it is."""
    starts, size = [], 0
    for array in arrays:
        starts.append(size)
        size += -(-array.nbytes // LINE) * LINE
    return starts, size


def _table_of_moves(
    prepared: Sequence[Array], links: Sequence[Link], groups: Sequence[Sequence[Array]]
) -> list[tuple[int, int, int]]:
    """Where addresses in arrays are among the arguments, in whose group, and how far within it."""
    homes = []
    for number, arrays in enumerate(groups):
        for array, distance in zip(arrays, side_by_side(arrays)[0], strict=True):
            homes.append((number, *byte_bounds(array), distance - array.ctypes.data))
    found = []
    for words, link in zip(prepared, links, strict=True):
        given = [a for a in link.arguments if isinstance(a, np.ndarray) and a.size]
        for address in {a.ctypes.data for a in given}:
            places = words.ctypes.data + 8 * np.flatnonzero(words == address)
            for number, start, stop, distance in homes:
                if start <= address < stop:  # nothing else is an address in an array that lives
                    found += [(int(place), number, distance + address) for place in places]
    return found


class Chain:
    """Links that run one after the other when it is called; one thread at a time may call it.

    What kernels read and write is what their arrays hold at the time of the call.

    Args:
        limit: How many threads at most.
        moving: Arrays that stand for others, which are given in each call: of the same type and
            with as many numbers, one behind the other. They must not be empty, nor share memory.
            Arguments may be views of them, and several in a list stand for one in which they lie
            side by side; without JIT arguments can only be such an array itself.
    """

    def __init__(
        self, links: Sequence[Link], limit: int | None = None, moving: Sequence[Any] = ()
    ) -> None:
        self.limit, self._count = limit, len(moving)
        if DISABLED:
            self.links, self.moving = list(links), list(moving)
            return
        groups = [each if isinstance(each, list) else [each] for each in moving]
        self._kernels = [link.kernel for link in links]
        self._prepared = [link.kernel.prepared(*link.arguments) for link in links]
        self._held = _staying(groups, links)
        table = [
            [words[0], words.ctypes.data + 16, link.pieces]
            for words, link in zip(self._prepared, links, strict=True)
        ]
        barrier: Any = zeros(_WORDS, np.int64)
        begins: Any = zeros(len(groups), np.int64)  # of the arrays that it is set to
        self._table = np.array(table, np.int64)
        self._moves = np.array(_table_of_moves(self._prepared, links, groups), np.int64)
        self._set_begins = partial(Struct(f"{len(groups)}q").pack_into, begins, 0)
        self._begins: list[int] | None = None
        self._failed = memoryview(barrier)[_FAILED // 8 :]  # an array would take longer
        first, *others = (a.ctypes.data for a in (self._table, barrier, self._moves, begins))
        self._arguments = first, len(links), *others

    def __call__(self, *arrays: Array) -> None:
        """Run all links, on arrays in place of those that move."""
        if len(arrays) != self._count:
            raise ValueError(f"Chain: given {len(arrays)} arrays, expected {self._count}.")
        if DISABLED:
            given = partial(_moved, self.moving, arrays)
            for link in self.links:
                link.kernel(0, link.pieces or 1, *map(given, link.arguments))
            return
        begins, moved = list(map(address_of, arrays)), 0
        if begins != self._begins:
            self._begins, moved = None, len(self._moves)  # None: whatever happens meanwhile
            self._set_begins(*begins)
        team(_run, *self._arguments, moved, limit=self.limit)
        self._begins = begins
        if self._failed[0]:
            failed, self._failed[0] = self._kernels[self._failed[0] - 1], 0
            raise RuntimeError(f"{failed.name} failed in a chain.")
