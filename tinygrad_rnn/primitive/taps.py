"""Seeing a gradient pass, in the walk that it passes in."""

from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_rnn import modes
from tinygrad_rnn.engine import Node, Walk, record
from tinygrad_rnn.tensor import Tensor

__all__ = ["Tap", "tap"]


class Tap:
    """The identity; ``see(g, walk)`` is shown the gradient, an array, and the outermost walk.

    A hook would do, but for telling apart the walks that it is called in.
    """

    __slots__ = ("see",)

    rules = None
    name = "tap"

    def __init__(self, see: Callable[[Any, Walk], None]) -> None:
        self.see = see

    def pull(self, node: Node, g: Any, walk: Walk) -> Iterator[tuple[int, Any, bool]]:
        """The gradient, as it came."""
        outermost = walk
        while outermost.outer is not None:
            outermost = outermost.outer
        if not outermost.quiet:
            self.see(g._data if walk.graph else g, outermost)
        yield 0, g, False


def tap(x: Tensor, see: Callable[[Any, Walk], None]) -> Tensor:
    """The same numbers; their gradient is shown to ``see`` on its way."""
    if not (modes.recording.get() and x._requires_grad):
        return x
    seen = record(Tap(see), (x._node or x,), (None,), None, x._data)
    assert seen._node is not None
    seen._version = seen._node.version = x.shared_version()
    return seen
