"""Nodes: what a recorded operation leaves behind.

References point from child to parent only, so a graph dies with its last result, by
reference counting alone.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tinygrad_rnn.device import Array
from tinygrad_rnn.tensor import Tensor, Version, tick

if TYPE_CHECKING:
    from weakref import ref

__all__ = ["FREED", "Node", "Notes", "Watch", "record", "wrap"]

Hook = Callable[[Tensor], Tensor | None]


class Node:
    """One recorded operation, seen from its output.

    op        the operation: a name and derivative rules (see ``primitive/``)
    parents   for each input: its Node; the leaf Tensor that wants a gradient; or, where no
              gradient goes, the Version of the constant, so that its change is noticed
    saved     the arrays that the rules take, None for those they leave alone
    out       the output array, if a rule wants it; of a fused operation its residuals
    attrs     keyword arguments of the rules, or None
    shapes    shapes of the inputs where broadcasting has to be undone, or None
    seq       the time of creation, a whole number: a parent's is always smaller
    version   the version of the output's array, once somebody shares its memory
    notes     hooks and the like, where there are any
    """

    __slots__ = (
        "__weakref__", "attrs", "notes", "op", "out", "parents", "saved", "seq", "shapes",
        "version",
    )  # fmt: skip

    op: Any
    parents: tuple[Any, ...]
    saved: Any
    out: Any
    attrs: dict[str, Any] | None
    shapes: tuple[Any, ...] | None
    seq: float  # between whole numbers only landings stand (early.py)
    version: Version | None
    notes: "Notes | None"

    def noted(self) -> "Notes":
        """The notes on this node, begun if there were none."""
        if self.notes is None:
            self.notes = Notes()
        return self.notes

    def __repr__(self) -> str:
        return f"<{self.op.name} #{self.seq}>"


class Watch(Protocol):
    """What a debug session knows about a node."""

    called_at: str  # the line of the forward call, with its text

    def begin(self, node: Node) -> None:
        """Check what the node has saved, before its derivative is computed from it."""

    def check(self, node: Node, number: int, g: Any, part: Any) -> None:
        """Check the gradient of an input, computed from ``g``."""


class Notes:
    """What few nodes have.

    hooks    functions that see the gradient of the output, by the order of registration
    keeper   the Tensor whose ``grad`` is to hold that gradient
    watch    what a debug session wants to know about the node
    """

    __slots__ = ("hooks", "keeper", "watch")

    def __init__(self) -> None:
        self.hooks: dict[int, Hook] = {}
        self.keeper: ref[Tensor] | None = None
        self.watch: Watch | None = None


class _Freed:
    """Stands for the saved arrays of a node whose backward has run."""

    def __repr__(self) -> str:
        return "<freed>"


FREED = _Freed()

_new_tensor = Tensor.__new__


def record(
    op: Any,
    parents: tuple[Any, ...],
    saved: tuple[Any, ...],
    out: Any,
    data: Array,
    attrs: dict[str, Any] | None = None,
    shapes: tuple[Any, ...] | None = None,
) -> Tensor:
    """The Tensor around ``data``, with the Node that remembers how it was made.

    One flat function without constructors: it runs once for every operation.
    """
    node = Node()
    node.op = op
    node.parents = parents
    node.saved = saved
    node.out = out
    node.attrs = attrs
    node.shapes = shapes
    node.seq = tick()
    node.version = node.notes = None
    result = _new_tensor(Tensor)
    result._data = data
    result._node = node
    result._requires_grad = True
    result._version = result._hooks = result._grad = None
    return result


def wrap(data: Array, node: Node | None = None, version: Version | None = None) -> Tensor:
    """A Tensor around an array: a constant, or seen as the output of ``node`` again."""
    result = _new_tensor(Tensor)
    result._data = data
    result._node = node
    result._requires_grad = node is not None
    result._version = version
    result._hooks = result._grad = None
    return result
