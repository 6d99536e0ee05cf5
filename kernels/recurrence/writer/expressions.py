"""Element-wise expressions as lines of source."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_rnn.kernels.recurrence.blocks import Expressions
from tinygrad_rnn.kernels.recurrence.elementwise import ELEMENTWISE
from tinygrad_rnn.kernels.recurrence.writer.statements import Let, Statement

__all__ = ["Lines"]


class Lines:
    """Element-wise expressions as lines of source, each value computed once."""

    def __init__(self, table: Expressions, address: Callable[[str, Any], str]) -> None:
        self.table = table
        self.address = address  # how the address of a leaf is written
        self.lines: list[Statement] = []
        self.names: dict[int, str] = {}
        self.absorbed: dict[int, int] = {}  # sum -> the mul that it takes into an fma

    def compute(self, roots: Sequence[int], kept: Mapping[int, tuple[int, int]]) -> None:
        """Write the lines for the roots; ``kept`` values are read from their slots."""
        cone = self.table.cone(roots, stop=kept)
        inner = [n for n in cone if n not in kept]
        uses = Counter(arg for n in inner for arg in self.table[n].args)
        uses.update(roots)
        for node in inner:
            expression = self.table[node]
            if expression.name in ("add", "sub"):
                free = [
                    a for a in expression.args
                    if uses[a] == 1 and a not in kept and self.table[a].name == "mul"
                ]  # fmt: skip
                if free:
                    self.absorbed[node] = free[-1]
        gone = set(self.absorbed.values())
        for node in cone:
            if node not in gone:
                self.names[node] = f"e{node}"
                slot = kept.get(node)
                text = f"load(like, {self.address('slot', slot)}, n)" if slot else self.text(node)
                self.lines.append(Let(f"e{node}", text))

    def text(self, node: int) -> str:
        """The right side of a node's line."""
        expression = self.table[node]
        if expression.name == "const":
            return f"fill(like, {expression.attrs[0]!r})"
        if expression.name in ("scalar", "setting"):
            return f"fill(like, {self.address(expression.name, expression.attrs)})"
        if expression.name == "noise":
            site, block = expression.attrs
            unit = f"{block} * {expression.letter} + u" if block else "u"
            return f"noise(like, key_{site}, row_ids[b], {unit})"
        if not expression.args:
            return f"load(like, {self.address(expression.name, expression.attrs)}, n)"
        if node in self.absorbed:
            return self.multiply_added(node)
        args = [self.names[a] for a in expression.args]
        if expression.name == "and":  # of comparisons; only derivative rules make it
            return f"both({', '.join(args)})"
        return ELEMENTWISE[expression.name].written(*args, **dict(expression.attrs))

    def multiply_added(self, node: int) -> str:
        """A sum of which one term is a mul, rounded once."""
        expression, factors = self.table[node], self.absorbed[node]
        a, b = (self.names[x] for x in self.table[factors].args)
        if factors == expression.args[0]:
            rest = self.names[expression.args[1]]
            return f"fma({a}, {b}, {rest if expression.name == 'add' else f'neg({rest})'})"
        rest = self.names[expression.args[0]]
        return f"fma({a if expression.name == 'add' else f'neg({a})'}, {b}, {rest})"
