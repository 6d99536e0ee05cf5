"""Looking at graphs: ``print(tg.graph(loss))``, ``tg.graph(loss).save("graph.svg")``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.graph.collect import Item, Snapshot

__all__ = ["Graph", "graph"]


def graph(root: Tensor, *modules: Any, limit: int = 200, **tensors: Tensor) -> "Graph":
    """How ``root`` was computed: every operation with its value and gradient.

        a, b = tg.tensor(2.0, requires_grad=True), tg.tensor(1.0, requires_grad=True)
        e = (a + b) * (b + 1)
        print(tg.graph(e, a=a, b=b, e=e))

    Gradients are those of ``root`` (of its sum, if it has several numbers) with respect to
    each row; no ``grad`` is touched and no hook is called. Values are shown where they are
    small and still known. The graph itself is not kept alive.

    Args:
        modules: Their parameters are named as ``named_parameters()`` names them.
        limit: How many operations are shown; the oldest are left out, and a note says so.
        tensors: Names for any other tensors.
    """
    from tinygrad_rnn.graph.collect import snapshot

    if not isinstance(root, Tensor):
        raise TypeError(
            f"graph(): got a {type(root).__name__}, expected a Tensor, whose graph is to be shown."
        )
    named: dict[int, tuple[str, Tensor]] = {}
    for module in modules:
        named |= {id(p): (name, p) for name, p in module.named_parameters()}
    named |= {id(tensor): (name, tensor) for name, tensor in tensors.items()}
    return Graph(snapshot(root, named, limit))


class Graph:
    """A snapshot of a graph; prints as text, draws as SVG."""

    def __init__(self, snapshot: "Snapshot") -> None:
        self._snapshot = snapshot

    @property
    def items(self) -> "tuple[Item, ...]":
        """Leaves, constants and results, inputs before what uses them."""
        return self._snapshot.items

    def __str__(self) -> str:
        rows = [("", "shape", "value", "gradient"), *map(_row, self.items)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
            for row in rows
        ]
        return "\n".join(line.rstrip() for line in [*lines, *self._snapshot.notes])

    __repr__ = __str__

    def svg(self) -> str:
        """The graph as the text of an SVG image."""
        from tinygrad_rnn.graph.svg import drawn

        return drawn(self._snapshot)

    _repr_svg_ = svg  # notebooks ask for it

    def save(self, path: str | Path) -> None:
        """Write the SVG image to a file."""
        Path(path).write_text(self.svg(), encoding="utf-8")


def _row(item: "Item") -> tuple[str, str, str, str]:
    how = item.name
    if item.inputs:
        how += f" = {item.op}({', '.join(item.inputs)})"
    elif item.op == "left out":
        how += " = ..."
    shape = "?" if item.shape is None else "×".join(map(str, item.shape)) or "-"
    return how, shape, item.value, item.gradient
