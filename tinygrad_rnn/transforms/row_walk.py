"""One walk back that gives every row of a batch its own gradients.

Rows stay apart on most of the way, each in its places of the gradients that all share; they are
added up where an input is shared, such as a weight. There the sum is taken row by row. The walk
carries marks along (``row_marks.py``), which say whose each place is, and whether rows have
been mixed on the way: then nothing can be told, and ``Mixed`` is raised.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.engine import ARRAYS, FREED, Node, Walk, resolved, unbroadcast, wrap
from tinygrad_rnn.engine.faults import already_freed, check_unchanged
from tinygrad_rnn.primitive import Along, Fused
from tinygrad_rnn.tensor import Tensor, Version
from tinygrad_rnn.transforms.row_marks import Marked, RowMarks
from tinygrad_rnn.transforms.row_sums import Call, RowSums

__all__ = ["Mixed", "gradients_by_rows"]


class Mixed(Exception):
    """Rows have been mixed: their gradients cannot be told from each other."""


def gradients_by_rows(losses: Tensor, wanted: Sequence[Tensor]) -> list[Array | None]:
    """The gradient of each row's loss for every tensor: (B, *shape), None for zeros."""
    plain = isinstance(losses._data, np.ndarray) and losses.shape[0] <= RowMarks.most
    if not plain or not all(t._requires_grad and not t._hooks for t in (losses, *wanted)):
        raise Mixed
    sources = [p._node or p for p in wanted]
    with np.errstate(all="ignore"):
        walk = _RowWalk(sources, RowMarks(losses.shape[0]))
        walk.begin(losses)
        walk.sums.finish()
        _go_on(walk.sums, sources)
        for source, marked in walk.arrived():
            _place(walk, source, marked)
    found = {source: walk.sums.taken(source) for source in dict.fromkeys(sources)}
    given, results = set(), []
    for source in sources:
        g = found[source]
        results.append(g.copy() if g is not None and source in given else g)
        given.add(source)
    return results


def _place(walk: "_RowWalk", source: Any, marked: Marked) -> None:
    """What has come to a wanted tensor with rows side by side."""
    for axis in range(marked[0].ndim):
        ids = walk.marks.along([(marked, axis)])
        if ids is not None:
            places = np.moveaxis(marked[0], axis, 0)
            for i in np.flatnonzero(ids >= 0):
                total = walk.sums.total(source, marked[0])
                np.moveaxis(total[ids[i]], axis, 0)[i] += places[i]
            return
    raise Mixed


def _go_on(sums: RowSums, sources: Sequence[Any]) -> None:
    """From shared inputs that were computed, on to the tensors that they were computed from.

    No row has a place of its own there, so each walks by itself: a few steps, as a rule.
    """
    nodes = [source for source in sums.found if isinstance(source, Node)]
    inside = [(node, rows) for node in nodes if (rows := sums.taken(node)) is not None]
    if not inside:
        return
    for row in range(sums.rows):
        walk = Walk(graph=False, retain=True, targets=sources)
        pairs = [(wrap(rows[row], node), wrap(rows[row])) for node, rows in inside]
        walk.go([root for root, _ in pairs], [g for _, g in pairs])
        for source in dict.fromkeys(sources):
            slot = walk.found.get(source) if isinstance(source, Node) else walk.ends.get(source)
            if slot is not None:
                sums.add(source, row, slot[1])


class _RowWalk(Walk):
    """A walk that stops at shared inputs, which it has summed row by row."""

    careful = True

    def __init__(self, targets: Sequence[Any], marks: RowMarks) -> None:
        super().__init__(graph=False, retain=True, targets=targets, quiet=True)
        self.marks = marks
        self.marked = [Walk(graph=False, retain=True, targets=targets, quiet=True) for _ in "12"]
        self.sums = RowSums(marks.rows)
        self.inside: dict[Node, Marked] = {}  # wanted results of operations

    def begin(self, losses: Tensor) -> None:
        """Walk back from the losses of all rows, with each row's marks."""
        plain, *others = self.marks.seeds(losses.dtype)
        for walk, seed in zip(self.marked, others, strict=True):
            walk.deliver(losses._node or losses, seed, False)
        self.go([losses], [wrap(plain)])

    def arrived(self) -> Iterator[tuple[Any, Marked]]:
        """The wanted tensors that gradients have come to, other than as shared inputs."""
        yield from self.inside.items()
        for leaf, slot in self.ends.items():
            yield leaf, [slot[1], *(walk.ends[leaf][1] for walk in self.marked)]

    def _run(self) -> None:
        for walk in self.marked:
            walk.useful = self.useful
        super()._run()

    def _visit(self, node: Node, slot: Any) -> None:
        """Pass the gradients of a node on to its parents, or to the sums of shared ones."""
        gs = [slot[1], *(walk.pending.pop(node.seq)[1] for walk in self.marked)]
        if node.notes is not None and node.notes.hooks:
            raise Mixed  # what a hook does may depend on all that it sees
        if self.targets is not None and node in self.targets:
            self.inside[node] = gs
        if not any(map(self.wants, node.parents)):
            return
        if node.saved is FREED:
            raise already_freed(node)
        if Version.latest > node.seq:
            check_unchanged(node)
        walks = [self, *self.marked]
        for number, parts, new in self._parts(node, gs, walks):
            for walk, part in zip(walks, parts, strict=True):
                walk.deliver(node.parents[number], part, new)

    def _parts(
        self, node: Node, gs: list[Any], walks: list[Walk]
    ) -> Iterator[tuple[int, Sequence[Any], bool]]:
        """The number of every input that is not shared, and its gradients."""
        op = node.op
        if isinstance(op, Fused) and op.rows is not None:
            yield from self._fused(node, gs)
            return
        found = self._along(node, gs) if getattr(op, "along", None) else None
        if found is not None:
            yield from self._place_for_place(node, gs, *found)
            return
        pull = self._by_rules if op.rules is not None else op.pull
        for same in zip(*map(lambda g, walk: pull(node, g, walk), gs, walks), strict=True):
            yield same[0][0], [part for _, part, _ in same], same[0][2]

    def _fused(self, node: Node, gs: list[Any]) -> Iterator[tuple[int, Sequence[Any], bool]]:
        """Through an operation that knows its rows: once, as it keeps them apart."""
        count, residuals = node.out
        several = gs if count else [[g] for g in gs]
        attrs = node.attrs or {}
        outputs, inputs = node.op.rows.axes(node.saved, **attrs)
        ids = self.marks.along(
            [(m, axis) for *m, axis in zip(*several, outputs, strict=True) if m[0] is not None]
        )
        if ids is None:
            raise Mixed
        needs = tuple(map(self.wants, node.parents))
        parts = node.op.rows.backward(residuals, several[0], needs, *node.saved, **attrs)
        for number, (part, need, axis) in enumerate(zip(parts, needs, inputs, strict=True)):
            if not need or part is None:
                continue
            if axis is None:
                self.sums.add_places(node.parents[number], ids, part)
            else:
                yield number, self._with_marks(part, ids, axis), True

    def _along(self, node: Node, gs: list[Any]) -> tuple[int, Array, Along] | None:
        """An axis that rows stand along and that some input has not, and the rows there."""
        out = gs[0].shape
        shapes = node.shapes or (out,) * len(node.parents)
        shared = False
        for axis in range(len(out)):
            along = node.op.along(axis, out, shapes, node.attrs or {})
            if along is None or not any(
                place is None and self.wants(parent)
                for place, parent in zip(along.inputs, node.parents, strict=True)
            ):
                continue
            shared = True
            ids = self.marks.along([(gs, axis)])
            if ids is not None:
                return axis, ids, along
        if shared:
            raise Mixed
        return None

    def _place_for_place(
        self, node: Node, gs: list[Any], axis: int, ids: Array, along: Along
    ) -> Iterator[tuple[int, Sequence[Any], bool]]:
        """Through a primitive that goes place for place along an axis."""
        wanted = [(i, p) for i, p in enumerate(node.parents) if self.wants(p)]
        shared = {number: parent for number, parent in wanted if along.inputs[number] is None}
        self.sums.add_call(Call(node, gs[0], axis, ids, along, shared))
        attrs = node.attrs or {}
        for number, _ in wanted:
            place = along.inputs[number]
            if place is not None:
                part = resolved(
                    node.op.rules[number](ARRAYS, gs[0], node.out, *node.saved, **attrs)
                )
                if node.shapes is not None:
                    part = unbroadcast(part, node.shapes[number])
                yield number, self._with_marks(part, ids, place), False

    def _with_marks(self, part: Array, ids: Array, axis: int) -> list[Array]:
        """A gradient and what it would have come out as from the marked seeds."""
        return [part, *(part * factor for factor in self.marks.factors(ids, part, axis))]
