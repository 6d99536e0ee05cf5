"""Which rows step when: the steps that a mask leaves, close together.

Rows are independent of each other, so a step that a row is held at needs neither time nor
memory: a row's own steps follow one another, and rows stand in the order of how many they
have, the longest first. What is left looks like sequences of falling lengths, whatever the
mask was, and step after step of the run the rows that still step are the first ones.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._room import module_of
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.recurrence.reference import CUT, RESET, STEP

__all__ = ["Schedule", "schedule_of"]

_NO_FLAGS = np.zeros(0, np.uint8)
_IN_ORDER = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Schedule:
    """The packed steps of a run, numbered in the order of time: backwards, the last is the first.

    steps             P, as many as the longest row has
    rows              how many rows step at all
    size              N, how many steps all rows have together
    offsets (P + 1)   where each packed step starts among all; its rows are the first of these
    places (N)        where each packed row stands among the caller's (T, B), as t B + b; empty
                      where they stand as they came
    flags (N)         RESET and CUT before each, or empty
    order (rows)      which row of the caller each is, or None: they stand as they came
    first, last (B)   the flags before each row's first step, and after its last, or None
    resets            whether there is a RESET among the flags
    """

    steps: int
    rows: int
    size: int
    offsets: Array
    places: Array
    flags: Array
    order: Array | None = None
    first: Array | None = None
    last: Array | None = None
    resets: bool = False
    _besides: "dict[Any, Schedule]" = field(default_factory=dict)  # copies, by device

    def beside(self, like: Array) -> "Schedule":
        """The same with its arrays where ``like`` lives; offsets stay, steps are counted here."""
        if isinstance(like, np.ndarray):
            return self
        where = like.device.id
        found = self._besides.get(where)
        if found is None:
            put = module_of(like).asarray
            moved: dict[str, Any] = {
                name: None if array is None else put(array)
                for name in ("places", "flags", "order", "first", "last")
                for array in [getattr(self, name)]
            }
            found = self._besides[where] = replace(self, **moved, _besides={None: self})
        return found

    @property
    def host(self) -> "Schedule":
        """The same with its arrays in the CPU's memory."""
        return self._besides.get(None, self)

    @cached_property
    def plain(self) -> bool:
        """Whether every row steps every time, and nothing else happens to it."""
        return self.order is None and not self.flagged

    @cached_property
    def flagged(self) -> bool:
        """Whether states are put back or cut off anywhere."""
        return len(self.flags) > 0 or self.first is not None or self.last is not None


def schedule_of(mask: Array | None, T: int, B: int, reverse: bool) -> Schedule:
    """The schedule of a mask (T, B), one byte of flags each; None: every row steps every time."""
    if mask is None:
        return _full(T, B)
    return _masked(mask.tobytes(), T, B, reverse)


@lru_cache(maxsize=256)
def _full(T: int, B: int) -> Schedule:
    return Schedule(T, B, T * B, np.arange(T + 1) * B, _IN_ORDER, _NO_FLAGS)


@lru_cache(maxsize=16)  # the layers and directions of a call have the same one
def _masked(flags: bytes, T: int, B: int, reverse: bool) -> Schedule:
    mask = np.frombuffer(flags, np.uint8).reshape(T, B)
    stepping = (mask & STEP) != 0
    if stepping.all():
        rows, offsets, places, order = B, np.arange(T + 1) * B, _IN_ORDER, None
    else:
        offsets, places, order = _packed(stepping, reverse)
        rows = len(order)
    extent = len(offsets) - 1, rows, int(offsets[-1])
    if not (mask > STEP).any():
        return Schedule(*extent, offsets, places, _NO_FLAGS, order)
    before, last = _carried_over(mask & (RESET | CUT), stepping, reverse)
    packed = before.reshape(-1) if order is None else before.reshape(-1)[places]
    first = np.zeros(B, np.uint8)
    of_rows = packed[len(packed) - rows :] if reverse else packed[:rows]
    first[slice(None) if order is None else order] = of_rows
    return Schedule(
        *extent, offsets, places, packed if packed.any() else _NO_FLAGS, order,
        first=first if first.any() else None,
        last=last if last.any() else None,
        resets=bool((packed & RESET).any()),
    )  # fmt: skip


def _packed(stepping: Array, reverse: bool) -> tuple[Array, Array, Array]:
    """The offsets, the places and the order of the steps that rows take."""
    T, B = stepping.shape
    lengths = stepping.sum(axis=0)
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    lengths = lengths[order]
    longest = int(lengths[0]) if len(order) else 0
    # Each row's own steps one after the other; backwards, all begin at the last of them.
    number = np.arange(longest)[:, None]
    if reverse:
        times = np.argsort(stepping, axis=0, kind="stable")[T - longest :]
        taken = number >= longest - lengths
    else:
        times = np.argsort(~stepping, axis=0, kind="stable")[:longest]
        taken = number < lengths
    offsets = np.concatenate([[0], np.cumsum(taken.sum(axis=1))])
    return offsets, (times[:, order] * B + order)[taken], order


def _carried_over(before: Array, stepping: Array, reverse: bool) -> tuple[Array, Array]:
    """Flags of held steps, carried over to the next one that the row takes; the rest in the end.

    Nobody sees the state between. Of several, the last reset counts, and what comes after it.
    """
    moved, waiting = np.zeros_like(before), np.zeros_like(before[0])
    if not before[~stepping].any():
        return before, waiting
    for t in reversed(range(len(before))) if reverse else range(len(before)):
        waiting = np.where(before[t] & RESET, before[t], waiting | before[t])
        moved[t] = np.where(stepping[t], waiting, 0)
        waiting = np.where(stepping[t], 0, waiting).astype(np.uint8)
    return moved, waiting
