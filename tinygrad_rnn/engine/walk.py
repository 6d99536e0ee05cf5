"""The walk from the results of a graph back to its leaves.

Nodes are visited in the reverse order of their creation, by a heap: a node is reached only
after everything that used it, and nothing recurses, however deep the graph.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.device import Array, device_of, out_of_memory, there
from tinygrad_rnn.engine.faults import already_freed, check_unchanged, leaf_replaced, wrong_answer
from tinygrad_rnn.engine.namespaces import ARRAYS, TENSORS
from tinygrad_rnn.engine.node import FREED, Node, Notes, wrap
from tinygrad_rnn.engine.parts import OutputGrad, Part, unbroadcast
from tinygrad_rnn.errors import OutOfMemoryError
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.tensor import CONSTANT, Tensor, Version, as_tensor

__all__ = ["Walk", "call_hooks", "inputs_as_tensors", "stands_alone"]

ndarray = np.ndarray
_RECORDED, _NOT_RECORDED = modes.recorded(), modes.no_grad()

# What has been gathered for a node or a leaf: whose it is, the sum so far, and whether the
# array was made for this walk alone. The last counts only if the array is no view, too.
Slot = list[Any]


class Walk:
    """One walk from roots back.

    graph     record the walk itself, so that its results can be differentiated again
    retain    keep what the nodes saved, for another walk
    targets   visit only what lies between the roots and these (leaf Tensors or Nodes)
    floor     go no further than nodes made before this time
    outer     the walk that gets what arrives there, in the order in which it arrives
    quiet     call no hooks

    A subclass that visits nodes in a way of its own says so, by ``careful``.
    """

    careful = False  # whether every node goes through _visit()

    def __init__(
        self,
        *,
        graph: bool,
        retain: bool,
        targets: Sequence[Any] | None = None,
        floor: int = 0,
        outer: "Walk | None" = None,
        quiet: bool = False,
    ) -> None:
        self.graph = graph
        self.quiet = quiet
        self.F = TENSORS if graph else ARRAYS
        self.retain = retain or graph
        self.floor = floor
        self.outer = outer
        self.pending: dict[float, Slot] = {}  # nodes to be visited, by their time of creation
        self.heap: list[float] = []  # those times, negative: heapq gives the smallest
        self.ends: dict[Tensor, Slot] = {}  # leaves
        self.found: dict[Node, Slot] = {}  # targets that are nodes, once visited
        self.kept: list[tuple[Tensor, Any]] = []  # gradients for tensors that retain theirs
        self.targets: set[Any] | None = None if targets is None else set(targets)
        self.useful: set[Node] | None = None
        self.several = _cuda.several()  # GPUs, so that gradients may be on another than the current

    def go(self, roots: Sequence[Tensor], gradients: Sequence[Any]) -> None:
        """Walk back from ``roots``, whose gradients (Tensors) are given."""
        if self.targets is not None:
            self.useful = _between(roots, self.targets, self.floor)
        # Derivatives of overflowing values overflow: that is an answer, not worth a warning.
        mode = _RECORDED if self.graph else _NOT_RECORDED
        with np.errstate(all="ignore"), mode:
            for root, g in zip(roots, gradients, strict=True):
                source = root._node or root
                if self.useful is None or self.wants(source):
                    with there(g._data):
                        self.deliver(source, g if self.graph else g._data, False)
            try:
                self._run()
            except MemoryError as error:
                if isinstance(error, OutOfMemoryError):
                    raise
                raise out_of_memory("backward", [], error) from error

    def wants(self, parent: Any) -> bool:
        """Whether this walk needs the gradient of a node's parent."""
        if parent.__class__ is Version:
            return False
        if self.useful is None:
            return True
        if parent.__class__ is Node and parent.seq >= self.floor:
            return parent in self.useful
        return self.targets is not None and parent in self.targets

    def wanted(self, parents: Sequence[Any]) -> tuple[bool, ...]:
        """Whether it needs that of each."""
        if self.useful is None:
            return tuple([parent.__class__ is not Version for parent in parents])
        return tuple(map(self.wants, parents))

    def deliver(self, parent: Any, part: Any, new: bool) -> None:
        """Add ``part`` to the gradient of ``parent``.

        ``new`` says that the array was made for this delivery and nobody else holds it: it
        may be added to in place, unless it is a view of another.
        """
        if parent.__class__ is Node and parent.seq >= self.floor:
            slot = self.pending.get(parent.seq)
            if slot is None:
                slot = self.pending[parent.seq] = [parent, None, False]
                heappush(self.heap, -parent.seq)
        elif self.outer is not None:
            if self.wants(parent):
                self.outer.deliver(parent, part, new)
            return
        else:
            slot = self.ends.get(parent)
            if slot is None:
                slot = self.ends[parent] = [parent, None, False]
        total = slot[1]
        kind = part.__class__
        if kind is OutputGrad:
            slot[1] = part.add_to(total)
            return
        if isinstance(part, Part):
            if total is not None and not (slot[2] and stands_alone(total)):
                total = total.copy()
            slot[1] = part.add_to(total)
            slot[2] = True
            return
        if isinstance(part, np.generic):  # what NumPy makes of arrays without axes
            part = np.asarray(part)
        if total is None:
            slot[1] = part
            slot[2] = new
        elif slot[2] and not self.graph and stands_alone(total):
            total += part
        else:
            total = total + part
            slot[1] = np.asarray(total) if isinstance(total, np.generic) else total
            slot[2] = True

    def sums_of(self, parents: Sequence[Any]) -> list[Array | None]:
        """The gradient of each so far, if it may be added to in place, else None."""
        met = self.pending or self.ends
        if not met or self.graph or self.careful or self.outer is not None:
            return [None] * len(parents)
        return list(map(self._sum_of, parents))

    def _sum_of(self, parent: Any) -> Array | None:
        inside = parent.__class__ is Node and parent.seq >= self.floor
        slot = self.pending.get(parent.seq) if inside else self.ends.get(parent)
        if slot is None or not slot[2] or slot[1].__class__ is not ndarray:
            return None
        return slot[1] if stands_alone(slot[1]) else None

    def _run(self) -> None:
        """Visit every node that a gradient has reached, newest first."""
        heap, pending, retain, deliver, F = (
            self.heap, self.pending, self.retain, self.deliver, self.F,
        )  # fmt: skip
        useful, targets = self.useful, self.targets or set()
        plain = not (self.graph or self.floor or self.careful or self.several)
        while heap:
            seq = -heappop(heap)
            slot = pending.pop(seq)
            node, g, _ = slot
            saved, rules = node.saved, node.op.rules
            if (
                not plain
                or rules is None
                or node.notes is not None
                or saved is FREED
                or node in targets
            ):
                if self.several:
                    with there(_array_in(g)):
                        self._visit(node, slot)
                else:
                    self._visit(node, slot)
                continue
            # What follows is _visit() for the plain case, most nodes of most walks, written
            # out: on small arrays calls and generators would take half of the time.
            if Version.latest > seq:
                check_unchanged(node)
            out, attrs, shapes = node.out, node.attrs, node.shapes
            count = 0 if attrs is not None else len(saved)
            if count == 2:
                a, b = saved
            elif count == 1:
                (a,) = saved
            number = 0
            for parent in node.parents:
                kind = parent.__class__
                if kind is not Version and (
                    useful is None or parent in (useful if kind is Node else targets)
                ):
                    if count == 2:  # calls without a star cost a quarter
                        part = rules[number](F, g, out, a, b)
                    elif count == 1:
                        part = rules[number](F, g, out, a)
                    elif attrs is None:
                        part = rules[number](F, g, out, *saved)
                    else:
                        part = rules[number](F, g, out, *saved, **attrs)
                    if shapes is not None and part.shape != shapes[number]:
                        part = unbroadcast(part, shapes[number])
                    if kind is Node and part.__class__ is ndarray and parent.seq not in pending:
                        pending[parent.seq] = [parent, part, part is not g]
                        heappush(heap, -parent.seq)
                    else:
                        deliver(parent, part, part is not g)
                number += 1  # noqa: SIM113 - enumerate() takes longer
            if not retain:
                node.saved, node.out, node.attrs = FREED, None, None

    def _visit(self, node: Node, slot: Slot) -> None:
        """Pass the gradient of a node on to its parents."""
        notes = None if self.quiet else node.notes
        if notes is not None:
            self._show(notes, slot)
        if self.targets is not None and node in self.targets:
            self.found[node] = slot
        if True not in self.wanted(node.parents):
            return
        if node.saved is FREED:
            raise already_freed(node)
        if Version.latest > node.seq:
            check_unchanged(node)
        g, watch = slot[1], None if notes is None else notes.watch
        if watch is not None:
            watch.begin(node)
        pull = self._by_rules if node.op.rules is not None else node.op.pull
        for number, part, new in pull(node, g, self):
            if watch is not None:
                watch.check(node, number, g, part)
            if self.several:
                with there(_array_in(part)):
                    self.deliver(node.parents[number], part, new)
            else:
                self.deliver(node.parents[number], part, new)
        if not self.retain:
            node.saved, node.out, node.attrs = FREED, None, None

    def _by_rules(self, node: Node, g: Any, _walk: "Walk") -> Iterator[tuple[int, Any, bool]]:
        """The gradient of every input that is wanted: its number, the gradient, if it is new."""
        saved, out, attrs, shapes = node.saved, node.out, node.attrs or {}, node.shapes
        if self.graph:
            saved = inputs_as_tensors(node)
            out = None if out is None else wrap(out, node, node.version)
        for number, parent in enumerate(node.parents):
            if self.wants(parent):
                part = node.op.rules[number](self.F, g, out, *saved, **attrs)
                if shapes is not None and part.shape != shapes[number]:
                    part = unbroadcast(part, shapes[number])
                yield number, part, part is not g

    def _show(self, notes: Notes, slot: Slot) -> None:
        """Let hooks see, and perhaps replace, the whole gradient of a node."""
        if notes.hooks:
            slot[1:] = call_hooks(notes.hooks, slot[1], self.graph), False
        keeper = None if notes.keeper is None else notes.keeper()
        if keeper is not None:
            self.kept.append((keeper, slot[1]))


def _array_in(g: Any) -> Array | None:
    """An array of a gradient, to know where it is."""
    if g.__class__ is list:  # of several outputs
        g = next((own for own in g if own is not None), None)
    if g.__class__ is OutputGrad:
        g = g.value
    g = getattr(g, "_data", g)
    return None if isinstance(g, Part) else g


def stands_alone(array: Array) -> bool:
    """Whether the array is its own, not a view of one that somebody else may hold."""
    base = array.base
    return base is None or base.__class__ is not array.__class__


def _between(roots: Sequence[Tensor], targets: set[Any], floor: int) -> set[Node]:
    """The nodes between the roots and the targets: the only ones worth visiting."""
    seen: dict[float, Node] = {}
    stack = [root._node for root in roots if root._node is not None]
    while stack:
        node = stack.pop()
        if node.seq not in seen and node.seq >= floor:
            seen[node.seq] = node
            stack.extend(p for p in node.parents if p.__class__ is Node)
    useful: set[Node] = set()
    for seq in sorted(seen):  # parents first
        node = seen[seq]
        if node in targets or any(p in useful or p in targets for p in node.parents):
            useful.add(node)
    return useful


def inputs_as_tensors(node: Node) -> list[Any]:
    """The saved inputs as Tensors with their graphs, so that what uses them is recorded."""
    inputs: list[Any] = []
    for parent, array in zip(node.parents, node.saved, strict=True):
        kind = parent.__class__
        if array is None or parent is CONSTANT:
            inputs.append(array)
        elif kind is Node:
            inputs.append(wrap(array, parent, parent.version))
        elif kind is Version:
            inputs.append(wrap(array, None, parent))
        elif parent._data is array:
            inputs.append(parent)
        else:
            raise leaf_replaced(node, parent)
    return inputs


def call_hooks(hooks: dict[int, Any], g: Any, graph: bool) -> Any:
    """The gradient after every hook has seen it, and perhaps replaced it."""
    for hook in tuple(hooks.values()):
        given = g if graph else wrap(_read_only(g))
        answer = hook(given)
        if answer is None:
            continue
        answer = as_tensor(answer)
        if (
            answer.shape != given.shape
            or answer.dtype != given.dtype
            or device_of(answer._data) != device_of(given._data)
        ):
            raise wrong_answer(hook, answer, given)
        g = answer if graph else answer._data
    return g


def _read_only(array: Array) -> Array:
    """A view for somebody else's eyes: the engine may use the array for other gradients."""
    view = array.view()
    if isinstance(view, np.ndarray):
        view.flags.writeable = False
    return view
