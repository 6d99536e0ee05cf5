"""What is to be seen of a graph: a snapshot that keeps nothing of it alive."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.device import to_host
from tinygrad_rnn.engine import FREED, Node, Walk, wrap
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.primitive import Primitive
from tinygrad_rnn.primitive.declare import numbers_behind
from tinygrad_rnn.tensor import Tensor, Version

__all__ = ["Item", "Snapshot", "snapshot"]

_SMALL = 8  # numbers that a value or gradient may have to be shown
_CHEAP = 10_000  # numbers that an operation may read to be computed again for its value


class Item(NamedTuple):
    """A leaf, a constant or a result, as it is shown."""

    name: str
    op: str  # "leaf", "constant", or the operation's name
    inputs: tuple[str, ...]  # names of items, and numbers
    shape: tuple[int, ...] | None
    value: str
    gradient: str


class Snapshot(NamedTuple):
    """The items, inputs before what uses them, and what there is to say about them."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]


def snapshot(root: Tensor, names: dict[int, tuple[str, Tensor]], limit: int) -> Snapshot:
    """The newest ``limit`` operations behind ``root``; ``names`` go by ids of tensors."""
    nodes, total = _newest(root, limit)
    return _Collector(root, nodes, names).collected(total - len(nodes))


def _newest(root: Tensor, limit: int) -> tuple[list[Node], int]:
    """The nodes behind a tensor that were made last, oldest first, and how many there are."""
    seen: dict[float, Node] = {}
    stack = [] if root._node is None else [root._node]
    while stack:
        node = stack.pop()
        if node.seq not in seen:
            seen[node.seq] = node
            stack.extend(p for p in node.parents if isinstance(p, Node))
    return [seen[seq] for seq in sorted(seen)[-limit:]], len(seen)


class _Constant(NamedTuple):
    """A constant as a source: its version stands for the memory, which views may share."""

    version: Version
    array: int | None  # the id, if it was saved


class _Collector:
    """Finds a name, value and gradient for everything that is shown.

    Sources are Nodes, leaf Tensors, constants, and Python numbers.
    """

    def __init__(
        self, root: Tensor, nodes: list[Node], names: dict[int, tuple[str, Tensor]]
    ) -> None:
        self.root = root
        numbers = numbers_behind()
        self.nodes = {node: _inputs(node, numbers) for node in nodes}
        self.names: dict[Any, str] = {}
        self.values: dict[Any, Any] = {}
        self.gradients: dict[Any, Any] = {}
        self.notes: list[str] = []
        for name, tensor in names.values():
            for source in _sources_of(tensor):
                self.names[source] = name
                if not (isinstance(source, _Constant) and source.array is None):
                    self.values[source] = tensor._data
        self.root_source = _sources_of(root)[0]

    def collected(self, left_out: int) -> Snapshot:
        """Everything, inputs first."""
        sources = self._order()
        self._find_values()
        self._find_gradients(sources)
        self._find_names(sources)
        if left_out:
            self.notes.append(f"{left_out} older operations are left out; limit= shows more.")
        return Snapshot(tuple(map(self._item, sources)), tuple(self.notes))

    def _order(self) -> list[Any]:
        """What is shown: every node, and before it the inputs that are no nodes of ours."""
        order: dict[Any, None] = {}
        for node, inputs in self.nodes.items():
            for source, _ in inputs:
                if source not in self.nodes and not isinstance(source, float | int):
                    order[source] = None
            order[node] = None
        return list(order or {self.root_source: None})

    def _find_values(self) -> None:
        """From tensors, from what was saved, and by computing small operations again."""
        self.values[self.root_source] = self.root._data
        for node, inputs in self.nodes.items():
            for source, array in inputs:
                if isinstance(source, Tensor):
                    self.values[source] = source._data
                elif isinstance(source, float | int):
                    self.values[source] = source
                elif array is not None:
                    self.values.setdefault(source, array)
            if isinstance(node.op, Primitive) and node.out is not None:
                self.values.setdefault(node, node.out)
        for node in self.nodes:
            self._compute(node)

    def _compute(self, node: Node) -> None:
        if node in self.values or node.saved is FREED or not isinstance(node.op, Primitive):
            return
        inputs = [self.values.get(source) for source, _ in self.nodes[node]]
        if any(x is None or np.size(x) > _CHEAP for x in inputs):
            return
        with np.errstate(all="ignore"):
            out = node.op.forward(*inputs, **(node.attrs or {}))
        self.values[node] = np.asarray(out) if isinstance(out, np.generic) else out

    def _find_gradients(self, sources: list[Any]) -> None:
        """Walk back once more, calling no hooks; if that cannot be, leaves have their ``grad``."""
        wanted = [source for source in sources if isinstance(source, Node | Tensor)]
        try:
            if any(node.saved is FREED for node in self.nodes):
                raise GradientError(
                    "backward() has freed the graph; call tg.graph() before it, or pass "
                    "retain_graph=True to it."
                )
            if self.root._requires_grad:
                walk = Walk(graph=False, retain=True, targets=wanted, quiet=True)
                walk.go([self.root], [wrap(np.ones_like(self.root._data))])
                for source, (_, g, _) in [*walk.found.items(), *walk.ends.items()]:
                    if not isinstance(g, list):  # of a node with several outputs
                        self.gradients[source] = g
        except GradientError as error:
            self.notes.append(f"Gradients are those of earlier passes, on leaves: {error}")
            for leaf in wanted:
                if isinstance(leaf, Tensor) and leaf.grad is not None:
                    self.gradients[leaf] = leaf.grad._data

    def _find_names(self, sources: list[Any]) -> None:
        taken = set(self.names.values())
        fresh = {kind: _numbered(kind, taken) for kind in ("leaf", "const", "v")}
        for source in sources:
            if source not in self.names:
                kind = "v" if isinstance(source, Node) else "leaf"
                kind = "const" if isinstance(source, _Constant) else kind
                self.names[source] = next(fresh[kind])

    def _item(self, source: Any) -> Item:
        value, gradient = self.values.get(source), self.gradients.get(source)
        known = value if value is not None else gradient
        shape = None if known is None else tuple(np.shape(known))
        op, inputs = "leaf", tuple[str, ...]()
        if source in self.nodes:
            op = source.op.name
            inputs = tuple(self.names.get(x) or _text(x) for x, _ in self.nodes[source])
        elif not isinstance(source, Tensor):
            op = "constant" if isinstance(source, _Constant) else "left out"
        return Item(self.names[source], op, inputs, shape, _text(value), _text(gradient))


def _inputs(node: Node, numbers: dict[Version, float]) -> list[tuple[Any, Any]]:
    """The source of every input, and its array, if that was saved."""
    saved = (None,) * len(node.parents) if node.saved is FREED else node.saved
    pairs = zip(node.parents, saved, strict=True)
    return [(_source(parent, array, numbers), array) for parent, array in pairs]


def _source(parent: Any, array: Any, numbers: dict[Version, float]) -> Any:
    if not isinstance(parent, Version):
        return parent
    if isinstance(array, float | int):
        return array
    if parent in numbers:
        return numbers[parent]
    return _Constant(parent, None if array is None else id(array))


def _sources_of(x: Tensor) -> list[Any]:
    if x._requires_grad:
        return [x._node or x]
    version = x.shared_version()
    return [_Constant(version, id(x._data)), _Constant(version, None)]


def _numbered(kind: str, taken: set[str]) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        name = f"{kind}{number}"
        if name not in taken:
            yield name


def _text(x: Any) -> str:
    """A value in few characters, or nothing if it is not known or too large."""
    if x is None:
        return ""
    array = to_host(np.asarray(x) if isinstance(x, int | float) else x)
    if array.size > _SMALL:
        return ""
    shorten: dict[str, Callable[[Any], str]] = {"float_kind": lambda v: f"{v:.4g}"}
    return np.array2string(array, separator=", ", formatter=shorten).replace("\n", "")  # type: ignore[arg-type]
