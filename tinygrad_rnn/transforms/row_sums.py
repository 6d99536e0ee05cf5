"""Sums over the places of each row: the gradients of what rows share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.engine import ARRAYS, Node, resolved, unbroadcast
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.primitive import Along

__all__ = ["Call", "RowSums"]


@dataclass
class Call:
    """A call of a primitive, and the gradient that came to it, with rows along an axis.

    ids     the row of each place of that axis; -1 for a gradient of zeros
    along   where the same places stand in the inputs
    shared  the number of each shared input that is wanted, and what it is
    """

    node: Node
    g: Array
    axis: int
    ids: Array
    along: Along
    shared: Mapping[int, Any]

    def key(self) -> Any:
        """Equal for calls that could have been one: in loops over time, for example."""
        node = self.node
        if node.attrs or node.out is not None:
            return id(node)
        places = (self.axis, *self.along.inputs)
        arrays = zip((self.g, *node.saved), places, strict=True)
        rest = tuple(_without(getattr(a, "shape", ()), axis) for a, axis in arrays)
        inputs = zip(self.along.inputs, node.parents, strict=True)
        shared = tuple(None if place is not None else id(parent) for place, parent in inputs)
        return node.op, self.axis, shared, rest


class RowSums:
    """For each shared input a gradient of every row: (B, *shape)."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.calls: dict[Any, list[Call]] = {}
        self.found: dict[Any, Array] = {}
        self.unwritten: dict[Any, set[int]] = {}  # what has been found but for these rows

    def total(self, source: Any, like: Array) -> Array:
        """The gradients so far, of an input that is like an array."""
        if source not in self.found:
            self.found[source] = np.zeros((self.rows, *like.shape), like.dtype)
        for row in self.unwritten.pop(source, ()):
            self.found[source][row] = 0
        return self.found[source]

    def taken(self, source: Any) -> Array | None:
        """The gradients of an input, out of here; None if nothing has been added."""
        if source not in self.found:
            return None
        self.total(source, self.found[source])
        return self.found.pop(source)

    def add(self, source: Any, row: int, part: Array) -> None:
        """Add to the gradient of one row."""
        if source not in self.found:
            self.found[source] = empty((self.rows, *part.shape), part.dtype)
            self.unwritten[source] = set(range(self.rows))
        if row in self.unwritten.get(source, ()):
            self.unwritten[source].remove(row)
            self.found[source][row] = part
        else:
            self.found[source][row] += part

    def add_places(self, source: Any, ids: Array, parts: Array) -> None:
        """Add what every place says: ``parts`` (n, *shape), a new array."""
        in_order = len(ids) == self.rows and ((ids < 0) | (ids == np.arange(len(ids)))).all()
        if in_order and source not in self.found:
            self.found[source] = parts
            return
        for row, part in zip(ids, parts, strict=True):
            if row >= 0:
                self.add(source, int(row), part)

    def add_call(self, call: Call) -> None:
        """Add what the rules of a primitive say about the places of each row."""
        self.calls.setdefault(call.key(), []).append(call)

    def finish(self) -> None:
        """Do the calls that have been added, those that are alike as one."""
        for calls in self.calls.values():
            self._do(calls)
        self.calls.clear()

    def _do(self, calls: list[Call]) -> None:
        first = calls[0]
        node, along = first.node, first.along
        rules, attrs = node.op.rules, node.attrs or {}
        g = _joined([call.g for call in calls], first.axis)
        saved = [
            _joined([call.node.saved[i] for call in calls], place)
            for i, place in enumerate(along.inputs)
        ]
        for row, index in _places(np.concatenate([call.ids for call in calls])):
            arrays = [_taken(a, index, p) for a, p in zip(saved, along.inputs, strict=True)]
            given = {
                name: _taken(value, index, along.attrs.get(name)) for name, value in attrs.items()
            }
            out = _taken(node.out, index, first.axis)
            for number, source in first.shared.items():
                own = _taken(g, index, first.axis)
                part = resolved(rules[number](ARRAYS, own, out, *arrays, **given))
                if node.shapes is not None:
                    part = unbroadcast(part, node.shapes[number])
                self.add(source, row, part)


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


def _joined(arrays: list[Any], axis: int | None) -> Any:
    """The places of several calls one after the other; what is shared is the same in all."""
    if axis is None or len(arrays) == 1 or arrays[0] is None:
        return arrays[0]
    return np.concatenate(arrays, axis=axis)


def _taken(array: Any, index: Any, axis: int | None) -> Any:
    """Some places of an axis; all of an array that has none, or that was not kept."""
    return array if axis is None or array is None else array[(slice(None),) * axis + (index,)]


def _places(ids: Array) -> Iterator[tuple[int, Any]]:
    """Each row and its places: a slice where they follow each other evenly, which gives views."""
    order = np.argsort(ids, kind="stable")
    rows, starts = np.unique(ids[order], return_index=True)
    for row, (start, stop) in zip(rows, pairwise(np.append(starts, len(ids))), strict=True):
        index = order[start:stop]
        steps = np.diff(index)
        if row >= 0 and (steps == steps[:1]).all():
            step = int(steps[0]) if len(steps) else 1
            yield row, slice(int(index[0]), int(index[-1]) + 1, step)
        elif row >= 0:
            yield row, index
