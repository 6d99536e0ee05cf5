"""A walk back that hands the gradient of each leaf out as soon as nothing can add to it."""

from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_rnn.device import Array
from tinygrad_rnn.engine.derivative import seeds
from tinygrad_rnn.engine.faults import check_gradient
from tinygrad_rnn.engine.node import Node
from tinygrad_rnn.engine.walk import Walk, call_hooks
from tinygrad_rnn.tensor import Tensor

__all__ = ["backward_each"]

Receive = Callable[[Tensor, Array], None]


def backward_each(output: Tensor, receive: Receive, gradient: Any = None) -> None:
    """Walk back from ``output``, and give each leaf's whole gradient to ``receive(leaf, array)``.

    A leaf's turn comes when the oldest operation that used it has been walked through, while
    the walk goes on behind it; the order is the same in every walk through such a graph. ``grad``
    of the leaves is left alone. The array is to be read at once: it may be anybody's.
    """
    where = "backward_each()"
    walk = Walk(graph=False, retain=False)

    def hand_out(leaf: Tensor) -> None:
        slot = walk.ends.pop(leaf, None)
        if slot is not None:
            g = call_hooks(leaf._hooks, slot[1], False) if leaf._hooks else slot[1]
            check_gradient(where, g, leaf)
            receive(leaf, g)

    landing = _Landing(hand_out)
    for seq, leaves in _last_uses(output).items():
        walk.pending[seq] = [_landing_node(landing, seq, leaves), None, False]
        walk.heap.append(-seq)
    walk.heap.sort()  # a sorted list is a heap
    walk.go([output], seeds(where, [output], None if gradient is None else [gradient]))
    for leaf in list(walk.ends):  # the output itself
        hand_out(leaf)


class _Landing:
    """What stands in the walk's way, in the form of an operation, where leaves are done."""

    name = "landing"
    rules = None

    def __init__(self, hand_out: Callable[[Tensor], None]) -> None:
        self.hand_out = hand_out

    def pull(self, node: Node, g: Any, walk: Walk) -> Iterator[tuple[int, Any, bool]]:
        """Hand out the leaves that nothing further back has used."""
        for leaf in node.parents:
            self.hand_out(leaf)
        return iter(())


def _landing_node(landing: _Landing, seq: float, leaves: list[Tensor]) -> Node:
    node = Node()
    node.op, node.seq = landing, seq
    node.parents, node.saved = tuple(leaves), (None,) * len(leaves)
    node.out = node.attrs = node.shapes = node.version = node.notes = None
    return node


def _last_uses(output: Tensor) -> dict[float, list[Tensor]]:
    """The leaves of a graph by the time just before the oldest operation that used them.

    Operations have whole numbers, so there is a place between any two.
    """
    oldest: dict[Tensor, float] = {}
    stack = [] if output._node is None else [output._node]
    seen = set(stack)
    while stack:
        node = stack.pop()
        for parent in node.parents:
            if parent.__class__ is Node:
                if parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
            elif isinstance(parent, Tensor):
                oldest[parent] = min(node.seq, oldest.get(parent, node.seq))
    uses: dict[float, list[Tensor]] = {}
    for leaf, seq in sorted(oldest.items(), key=lambda pair: pair[1]):
        uses.setdefault(seq - 0.5, []).append(leaf)
    return uses
