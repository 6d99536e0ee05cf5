"""Work of kernels that is done again and again, on other arrays each time, as one call.

Around a small kernel Python takes longer than the kernel itself. The second time that such work
is done, the calls that it makes are written down; from then on they are a chain.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tinygrad_rnn.kernels import _pool
from tinygrad_rnn.kernels._chain import Chain, side_by_side
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._memory import empty, seen_by
from tinygrad_rnn.kernels._twin import Array

__all__ = ["Kept", "repeated"]

_MOST = 64  # kinds of work that are kept
_SMALL = 1 << 14  # bytes that may wait for the next time

# None after the first time that work of a kind was done; then what is written down, or nothing,
# while a thread uses it or where it cannot be written down.
Kept = dict[Any, "list[_Written] | None"]


Given = Sequence[Mapping[str, Any]]  # groups of arrays by name, and anything else among them


def repeated(
    kept: Kept, key: Any, given: Given, work: Callable[[], list[Array]],
    parts: frozenset[str] = frozenset(),
) -> list[Array]:  # fmt: skip
    """What ``work()`` returns, which may not be called for it.

    It calls kernels and makes arrays, and nothing else. Arrays of floating-point numbers that its
    kernels touch are made by it, or among those that are given; arrays of whole numbers stay those
    of the time of writing. ``key`` tells shapes and strides, and all else that calls depend on.
    What ``parts`` names may be an array of the first group or a part of one, and is then each time.
    """
    if DISABLED:
        return work()
    if key not in kept:
        if len(kept) >= _MOST:
            kept.clear()
        kept[key] = None
        return work()
    stock = kept.get(key)
    if stock is None:
        made, written = _write_down(given, parts, work)
        if written is not None and kept.get(key) is None:
            kept[key] = written
        return made
    try:
        written_down = stock.pop()  # at once: other threads do the work themselves meanwhile
    except IndexError:
        return work()
    try:
        return written_down(given)
    finally:
        stock.append(written_down)


class _Written:
    """Calls of kernels that were made once, to be made on other arrays.

    touched  group and name of those given arrays that they are about
    new      the shapes and types of the arrays that come out and are not given
    room     the bytes of memory that they need between; if these are few, they stay with it
    places   which of the given and the new arrays come out
    """

    def __init__(
        self,
        notes: _pool.Notes,
        given: Given,
        parts: frozenset[str],
        made: Sequence[Array],
        own: Sequence[Array],
    ) -> None:
        arguments = [a for link in notes.links for a in link.arguments if _moves(a)]
        roots = _roots(given, parts, arguments)
        new = [a for a in made if not any(a is root for root in roots.values())]
        known = [*roots.values(), *new]
        between = _between(arguments, known, own)
        _refuse_shared([*known, *between])
        _refuse_unmade(new, arguments)
        limit = None if any(notes.spread) else 1
        self.chain = Chain(notes.links, limit=limit, moving=[*known, between])
        self.touched = list(roots)
        self.new = [(a.shape, a.dtype) for a in new]
        self.room = side_by_side(between)[1]
        self.own_room = empty(self.room, np.uint8) if self.room <= _SMALL else None
        self.places = [next(i for i, a in enumerate(known) if a is each) for each in made]

    def __call__(self, given: Given) -> list[Array]:
        arrays = [given[group][name] for group, name in self.touched]
        for shape, dtype in self.new:
            arrays.append(empty(shape, dtype))
        room = self.own_room
        self.chain(*arrays, empty(self.room, np.uint8) if room is None else room)
        return [arrays[i] for i in self.places]


class _Unclear(Exception):
    """It cannot be told which array an argument is."""


def _write_down(
    given: Given, parts: frozenset[str], work: Callable[[], list[Array]]
) -> tuple[list[Array], list[_Written] | None]:
    """Do work; and what was written down, nothing where it is unclear, None if it was not."""
    own: list[Array] = []
    given = [dict(group) for group in given]  # before work adds what it makes

    def watched() -> list[Array]:
        try:
            seen_by(own)
            return work()
        finally:
            seen_by(None)

    noted = _pool.noted(watched)
    if noted is None:
        return work(), None
    made, notes = noted
    if notes is None:
        return made, None
    try:
        return made, [_Written(notes, given, parts, made, own)]
    except _Unclear:
        return made, []


def _moves(array: Any) -> bool:
    """Whether it is an array of floating-point numbers."""
    return isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size > 0


def _roots(
    given: Given, parts: frozenset[str], arguments: Sequence[Array]
) -> dict[tuple[int, str], Array]:
    """The given arrays that arguments are, or are parts of, by group and name."""
    wholes = {id(array) for array in given[0].values()}
    return {
        (group, name): array
        for group, arrays in enumerate(given)
        for name, array in arrays.items()
        if _moves(array)
        and not (group and name in parts and (id(array) in wholes or id(array.base) in wholes))
        and any(np.may_share_memory(array, other) for other in arguments)
    }


def _between(
    arguments: Sequence[Array], known: Sequence[Array], own: Sequence[Array]
) -> list[Array]:
    """The arrays of the work's own that are nobody's afterwards."""
    found: list[Array] = []
    for argument in arguments:
        if not any(np.may_share_memory(argument, array) for array in [*known, *found]):
            parts = [array for array in own if np.may_share_memory(argument, array)]
            if not parts and argument.size > 1:  # one alone is a constant of the kernel
                raise _Unclear
            found += parts
    return found


def _refuse_shared(arrays: Sequence[Array]) -> None:
    """Raise if two arrays share memory: later ones may not."""
    bounds = sorted(byte_bounds(array) for array in arrays)
    if any(stop > start for (_, stop), (start, _) in pairwise(bounds)):
        raise _Unclear


def _refuse_unmade(new: Sequence[Array], arguments: Sequence[Array]) -> None:
    """Raise if no kernel has made an array."""
    if not all(any(np.may_share_memory(a, b) for b in arguments) for a in new):
        raise _Unclear
