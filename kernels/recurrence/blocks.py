"""Rows cut into blocks, one letter wide, and expressions over them.

Of ``(x @ w).chunk(4)`` each piece is a block. Expressions are kept in a table in which equal
ones are one, so what two gates share is computed once.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tinygrad_rnn.kernels.recurrence.program import ONE, Program, Width

__all__ = ["Blocks", "Expression", "Expressions", "Product", "Standard", "Target"]

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression over blocks.

    Leaves: slot (buffer, block) of a product's result, state (number, block), input (block),
    param (name, block), scalar (name), const (value), setting (name), noise (site, block); in
    backward also d_state, d_operand, d_output. Everything else is an element-wise operation on
    other expressions.
    """

    name: str
    args: tuple[int, ...]
    attrs: tuple[Any, ...]
    letter: str


def _settled(
    known: dict[Key, int],
    key: Key,
    needs: Callable[[Key], Sequence[Key]],
    make: Callable[[Key], int],
) -> int:
    """What ``known`` says of a key, made after all that it needs.

    Without recursion: a step may apply thousands of operations to each other's results.
    """
    ahead = [key]
    while ahead:
        if ahead[-1] in known:
            ahead.pop()
        elif missing := [need for need in needs(ahead[-1]) if need not in known]:
            ahead.extend(reversed(missing))
        else:
            known[ahead[-1]] = make(ahead[-1])
    return known[key]


class Expressions:
    """A table of expressions. A node is the place of one; arguments come before users."""

    def __init__(self) -> None:
        self.entries: list[Expression] = []
        self._nodes: dict[Expression, int] = {}

    def put(self, name: str, args: Iterable[int] = (), attrs: Any = (), letter: str = "") -> int:
        """The node of an expression, which is made if there is none like it."""
        args = tuple(args)
        letter = letter or next((self[a].letter for a in args if self[a].letter), "")
        expression = Expression(name, args, tuple(attrs), letter)
        if expression not in self._nodes:
            self._nodes[expression] = len(self.entries)
            self.entries.append(expression)
        return self._nodes[expression]

    def __getitem__(self, node: int) -> Expression:
        return self.entries[node]

    def cone(self, roots: Iterable[int], stop: Iterable[int] = ()) -> list[int]:
        """Everything that the roots are made of, in order; what is in ``stop`` is not opened."""
        stop, seen, stack = set(stop), set(), list(roots)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                if node not in stop:
                    stack.extend(self[node].args)
        return sorted(seen)


@dataclass(frozen=True)
class Target:
    """A block that a segment computes: of an operand, a new state, the output, or a row that
    is to be standardised."""

    kind: str
    number: int
    block: int
    node: int


@dataclass
class Product:
    """A line ``operand @ weight`` of the program, before it is known where its columns go."""

    operand: int  # the program's line
    weight: str
    width: Width
    hoisted: bool  # out of the loop over the steps: it is of x alone
    leaves: list[int] = field(default_factory=list)  # the blocks of it that something reads


@dataclass(frozen=True)
class Standard:
    """A line ``standardize operand``: over the whole row, so it waits for all of its blocks.

    in_place  the operand is a product that nothing else reads: it takes the product's place
    """

    operand: int  # the program's line
    width: Width
    eps: float
    in_place: bool


class Blocks:
    """Blocks of a program's lines, made when asked for."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.table = Expressions()
        self.products: dict[int, Product] = {}
        self.standards: dict[int, Standard] = {}
        self.levels: dict[int, int] = {}
        self.memo: dict[tuple[int, int], int] = {}
        lines = [(line, program.operations[line]) for line in program.reached()]
        uses = Counter([*program.results, program.output, *(a for _, op in lines for a in op.args)])
        for line, op in lines:
            if op.name == "matmul":
                operand = op.args[0]
                hoisted = program.operations[operand].name == "input"
                self.products[line] = Product(operand, op["weight"], op.width, hoisted)
            elif op.name == "standardize":
                operand = op.args[0]
                in_place = operand in self.products and uses[operand] == 1
                self.standards[line] = Standard(operand, op.width, op["eps"], in_place)

    # ----- blocks -----

    def block(self, line: int, number: int) -> int:
        """The expression of one block of a line."""
        return _settled(self.memo, (line, number), self._operands, self._block)

    def _operands(self, key: tuple[int, int]) -> list[tuple[int, int]]:
        """The blocks of other lines that a block is made of."""
        line, number = key
        op = self.program.operations[line]
        if op.name in ("matmul", "standardize", "noise"):
            return []
        if op.name == "chunk":
            return [(op.args[0], number + op["index"] * op.width.count)]
        widths = [self.program.operations[a].width for a in op.args]
        return [(a, 0 if w == ONE else number) for a, w in zip(op.args, widths, strict=True)]

    def _block(self, key: tuple[int, int]) -> int:
        line, number = key
        op, put = self.program.operations[line], self.table.put
        letter = op.width.letter
        if op.name == "matmul":
            return put("product", (), (line, number), letter)
        if op.name == "standardize":
            return put("standard", (), (line, number), letter)
        if op.name == "state":
            return put("state", (), (op["index"], number), letter)
        if op.name == "input":
            return put("input", (), (number,), letter)
        if op.name == "param":
            if op.width == ONE:
                return put("scalar", (), (op["weight"],))
            return put("param", (), (op["weight"], number), letter)
        if op.name == "const":
            return put("const", (), (op["value"],))
        if op.name == "setting":
            return put("setting", (), (op["name"],))
        if op.name == "noise":
            return put("noise", (), (op["site"], number), letter)
        args = [self.memo[operand] for operand in self._operands(key)]
        return args[0] if op.name == "chunk" else put(op.name, args, op.attrs, letter)

    def blocks(self, line: int) -> list[int]:
        """The expressions of all blocks of a line."""
        return [self.block(line, k) for k in range(self.program.operations[line].width.count)]

    # ----- levels: how many rounds of products an expression needs -----

    def level(self, node: int) -> int:
        """0 for what needs no product within the step."""
        return _settled(self.levels, node, self._needs, self._level)

    def _source(self, node: int) -> int | None:
        """The line that has to be there, whole, a round before an expression, if there is one."""
        expression = self.table[node]
        if expression.name not in ("product", "standard"):
            return None
        line = expression.attrs[0]
        standard = self.standards.get(line)
        if standard is not None:
            line = standard.operand
            if not standard.in_place:
                return line
        product = self.products.get(line)
        return None if product is None or product.hoisted else product.operand

    def _needs(self, node: int) -> Sequence[int]:
        """The expressions whose rounds decide on that of this one."""
        source = self._source(node)
        return self.table[node].args if source is None else self.blocks(source)

    def _level(self, node: int) -> int:
        level = max((self.levels[n] for n in self._needs(node)), default=0)
        return level if self._source(node) is None else 1 + level

    def level_of(self, line: int) -> int:
        """The round in which products with a line, or its standardisation, can be done."""
        return max(self.level(b) for b in self.blocks(line))

    # ----- what products within the step are multiplied with -----

    def operand_lines(self) -> list[int]:
        """The lines that are operands of products and have to be computed for it."""
        lines = [p.operand for p in self.products.values() if not p.hoisted]
        operations = self.program.operations
        return [n for n in dict.fromkeys(lines) if operations[n].name != "state"]

    def operand_of(self, product: Product) -> tuple[str, int]:
        """("state", number) or ("operand", number)."""
        operation = self.program.operations[product.operand]
        if operation.name == "state":
            return "state", operation["index"]
        return "operand", self.operand_lines().index(product.operand)
