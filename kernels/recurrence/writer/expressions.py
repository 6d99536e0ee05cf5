"""Element-wise expressions as lines of source."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_rnn.kernels.recurrence.blocks import Expressions
from tinygrad_rnn.kernels.recurrence.elementwise import ELEMENTWISE

__all__ = ["Lines"]


class Lines:
    """Element-wise expressions as lines of source, each value computed once."""

    def __init__(self, table: Expressions, place: Callable[[str, Any], str]) -> None:
        self.table = table
        self.place = place  # how the address of a leaf is written
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.absorbed: dict[int, int] = {}  # sum -> the product that it takes into an fma

    def compute(self, roots: Sequence[int], kept: Mapping[int, tuple[int, int]]) -> None:
        """Write the lines for the roots; ``kept`` values are read from their slots."""
        cone = self.table.cone(roots, stop=kept)
        inner = [n for n in cone if n not in kept]
        uses = Counter(arg for n in inner for arg in self.table[n].args)
        uses.update(roots)
        for number in inner:
            node = self.table[number]
            if node.name in ("add", "sub"):
                free = [
                    a for a in node.args
                    if uses[a] == 1 and a not in kept and self.table[a].name == "mul"
                ]  # fmt: skip
                if free:
                    self.absorbed[number] = free[-1]
        gone = set(self.absorbed.values())
        for number in cone:
            if number not in gone:
                self.names[number] = f"v{number}"
                slot = kept.get(number)
                text = f"load(like, {self.place('slot', slot)}, n)" if slot else self.text(number)
                self.lines.append(f"v{number} = {text}")

    def text(self, number: int) -> str:
        """The right side of a node's line."""
        node = self.table[number]
        if node.name == "const":
            return f"fill(like, {node.attrs[0]!r})"
        if node.name == "scalar":
            return f"fill(like, {self.place('scalar', node.attrs)})"
        if not node.args:
            return f"load(like, {self.place(node.name, node.attrs)}, n)"
        if number in self.absorbed:
            return self.fused(number)
        args = [self.names[a] for a in node.args]
        if node.name == "and":  # of comparisons; only derivative rules make it
            return f"both({', '.join(args)})"
        return ELEMENTWISE[node.name].written(*args, **dict(node.attrs))

    def fused(self, number: int) -> str:
        """A sum with a product in it, rounded once."""
        node, product = self.table[number], self.absorbed[number]
        a, b = (self.names[x] for x in self.table[product].args)
        if product == node.args[0]:
            rest = self.names[node.args[1]]
            return f"fma({a}, {b}, {rest if node.name == 'add' else f'neg({rest})'})"
        rest = self.names[node.args[0]]
        return f"fma({a if node.name == 'add' else f'neg({a})'}, {b}, {rest})"
