"""Where the results of products go, and what is added to them for nothing.

What is only added to a product is where its sums start (a bias), or is a product that goes on
adding to it: in an LSTM, ``x @ w_x + h @ w_h + b`` leaves nothing to add in a segment.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tinygrad_rnn.kernels.recurrence.blocks import Blocks, Product, Target
from tinygrad_rnn.kernels.recurrence.program import Width

__all__ = ["Buffer", "Part", "Placement", "Round", "place"]

Slot = tuple[int, int]  # a buffer and a block in it


@dataclass
class Buffer:
    """The rows of a product's result, one for every step and batch row.

    hoisted  the weight of the product with x that it starts from, or None
    bias     the weight that its sums start from: (name, first block), or None
    eps      what is added to the variance where its rows are standardised, or None
    """

    letter: str
    blocks: int
    hoisted: str | None = None
    bias: tuple[str, int] | None = None
    eps: float | None = None

    @property
    def width(self) -> Width:
        """How wide a row is."""
        return Width(self.blocks, self.letter)


@dataclass(frozen=True)
class Part:
    """Neighbouring columns of a product within the step, and where they go.

    level    the round of products that it belongs to
    operand  ("state", number) or ("operand", number)
    column   the first block of the weight's columns; ``blocks`` of them
    buffer, block   where the result goes; ``adds`` to what is there, or starts it
    """

    level: int
    operand: tuple[str, int]
    weight: str
    column: int
    blocks: int
    buffer: int
    block: int
    adds: bool


@dataclass(frozen=True)
class Round:
    """The round in which a buffer's rows are standardised; None: before all steps."""

    level: int | None
    buffer: int


class Placement:
    """The places found so far.

    slots    product leaf -> the slot that segments read it from
    dropped  leaves that are added on the way and vanish from the segments
    """

    def __init__(self, work: Blocks, targets: list[Target]) -> None:
        self.work = work
        self.table = work.table
        self.users = self._users(targets)
        self.buffers: list[Buffer] = []
        self.parts: list[Part] = []
        self.slots: dict[int, Slot] = {}
        self.dropped: set[int] = set()
        self.rounds: list[Round] = []
        self.filled: dict[int, int] = {}  # a line -> the buffer that a segment writes it to
        self.sums: dict[int, Slot] = {}  # a sum -> the slot that its terms can be added to

    def _users(self, targets: list[Target]) -> dict[int, list[int]]:
        """Who uses each node; being a target is a use by something that is no sum."""
        users: dict[int, list[int]] = {}
        for node in self.table.cone(t.node for t in targets):
            for arg in self.table[node].args:
                users.setdefault(arg, []).append(node)
        outside = self.table.put("outside")
        for target in targets:
            users.setdefault(target.node, []).append(outside)
        return users

    def sum_of(self, leaf: int) -> int | None:
        """The largest sum that the leaf is a term of, if it is used there and nowhere else."""
        root, node = None, leaf
        while len(self.users.get(node, ())) == 1:
            node = self.users[node][0]
            if self.table[node].name != "add":
                break
            root = node
        return root

    def own_buffer(self, product: Product, leaves: list[int], block: Callable[[int], int]) -> None:
        """Give the leaves a buffer of their own."""
        hoisted = product.weight if product.hoisted else None
        count = product.width.count if product.hoisted else len(leaves)
        self.buffers.append(Buffer(product.width.letter, count, hoisted))
        for leaf in leaves:
            slot = self.slots[leaf] = len(self.buffers) - 1, block(leaf)
            root = self.sum_of(leaf)
            if root is not None:
                self.sums.setdefault(root, slot)

    def within_step(self, product: Product) -> None:
        """Add the product's blocks to buffers where sums allow it; the others get their own."""
        goals: dict[int, tuple[Slot, bool]] = {}
        alone = []
        for leaf in product.leaves:
            root = self.sum_of(leaf)
            if root in self.sums:
                goals[self.table[leaf].attrs[1]] = self.sums[root], True
                self.dropped.add(leaf)
            else:
                alone.append(leaf)
        if alone:
            self.own_buffer(product, alone, alone.index)
            goals |= {self.table[leaf].attrs[1]: (self.slots[leaf], False) for leaf in alone}
        for column in sorted(goals):
            self.add_part(product, column, *goals[column])

    def add_part(self, product: Product, column: int, slot: Slot, adds: bool) -> None:
        """Let one block of a product go to a slot: with the last part, or as a new one."""
        operand = self.work.operand_of(product)
        level = self.work.level_of(product.operand)
        part = Part(level, operand, product.weight, column, 1, *slot, adds)
        last = self.parts[-1] if self.parts else None
        if last and part == replace(
            last, column=last.column + last.blocks, block=last.block + last.blocks, blocks=1
        ):
            self.parts[-1] = replace(last, blocks=last.blocks + 1)
        else:
            self.parts.append(part)

    def standard(self, line: int) -> None:
        """Give a standardised line the place of its product, or a buffer of its own."""
        standard = self.work.standards[line]
        if standard.in_place:
            product = self.work.products[standard.operand]
            buffer, _ = self.slots[product.leaves[0]]
            level = None if product.hoisted else self.work.level_of(product.operand)
        else:
            self.buffers.append(Buffer(standard.width.letter, standard.width.count))
            buffer = self.filled[line] = len(self.buffers) - 1
            level = self.work.level_of(standard.operand)
        self.buffers[buffer].eps = standard.eps
        self.rounds.append(Round(level, buffer))
        for block, leaf in enumerate(self.work.blocks(line)):
            self.slots[leaf] = buffer, block

    def biases(self) -> None:
        """Let the sums of a buffer start from a weight that is added to all of its blocks."""
        found: dict[Slot, dict[str, tuple[int, int]]] = {}
        for node, expression in enumerate(self.table.entries):
            root = self.sum_of(node) if expression.name == "param" else None
            if root in self.sums:
                name, block = expression.attrs
                found.setdefault(self.sums[root], {}).setdefault(name, (block, node))
        for index, buffer in enumerate(self.buffers):
            starts = [found.get((index, k), {}) for k in range(buffer.blocks)]
            for name in starts[0]:
                first = starts[0][name][0]
                if all(name in s and s[name][0] == first + k for k, s in enumerate(starts)):
                    buffer.bias = name, first
                    self.dropped |= {s[name][1] for s in starts}
                    break


def place(work: Blocks, targets: list[Target]) -> Placement:
    """Give every product block, and every standardised row, its place."""
    placement = Placement(work, targets)
    products = [p for p in work.products.values() if p.leaves]
    for product in products:
        if product.hoisted:
            placement.own_buffer(product, product.leaves, lambda leaf: work.table[leaf].attrs[1])
    for product in products:
        if not product.hoisted:
            placement.within_step(product)
    for line in work.standards:
        placement.standard(line)
    placement.biases()
    return placement
