"""From a program to what a kernel does: products, and element-wise segments between them.

A step becomes

    segment 0     operands that need no product       (rarely anything)
    products 0    of the states and of those operands
    segment 1     operands that need products 0       (GRU with reset before: r * h)
    products 1
    ...
    the last segment: the new states and the output

Products of x alone leave the loop and become one product over all steps. A row that is
standardised, over all of its columns, waits like an operand until a round is done.
"""

from dataclasses import dataclass, replace

from tinygrad_rnn.errors import TraceError
from tinygrad_rnn.kernels.recurrence.blocks import Blocks, Expressions, Target
from tinygrad_rnn.kernels.recurrence.placement import Buffer, Part, Placement, Round, place
from tinygrad_rnn.kernels.recurrence.program import Program, Width

__all__ = ["Lowered", "lower"]


@dataclass
class Lowered:
    """A program cut into products and segments."""

    program: Program
    expressions: Expressions
    buffers: list[Buffer]
    operand_widths: list[Width]
    parts: list[Part]
    rounds: list[Round]  # of standardised rows
    segments: list[list[Target]]  # what each computes, element by element, between products
    output_state: int | None  # the state that is the output, if one is
    blocks: dict[tuple[int, int], int]  # the expression of a line's block, by both numbers

    @property
    def reads_input(self) -> bool:
        """Whether x is read outside of products."""
        return any(expression.name == "input" for expression in self.expressions.entries)


def lower(program: Program) -> Lowered:
    """Cut a program into products and segments."""
    work = Blocks(program)
    targets = _targets(work)
    for leaf in work.table.cone(target.node for target in targets):
        if work.table[leaf].name == "product":
            work.products[work.table[leaf].attrs[0]].leaves.append(leaf)
    for standard in work.standards.values():
        if standard.in_place:
            work.products[standard.operand].leaves = work.blocks(standard.operand)
    placement = place(work, targets)
    rebuilt = _Rebuilt(work.table, placement)
    parts = placement.parts
    levels = [p.level for p in parts] + [r.level for r in placement.rounds if r.level is not None]
    segments: list[list[Target]] = [[] for _ in range(2 + max(levels, default=-1))]
    for target in targets:
        number = target.number if target.kind != "filled" else placement.filled[target.number]
        segment = segments[work.level(target.node)]
        segment.append(replace(target, number=number, node=rebuilt(target.node)))
    operands = [program.operations[line].width for line in work.operand_lines()]
    state = next((i for i, r in enumerate(program.results) if r == program.output), None)
    blocks = {key: rebuilt.memo.get(node) for key, node in work.memo.items()}
    return Lowered(
        program, rebuilt.table, placement.buffers, operands, parts, placement.rounds, segments,
        state, {key: node for key, node in blocks.items() if node is not None},
    )  # fmt: skip


def _targets(work: Blocks) -> list[Target]:
    """Everything that segments have to compute."""
    targets = []
    for number, line in enumerate(work.operand_lines()):
        if not work.program.operations[line].width.letter:
            raise TraceError("the left side of @ is a single number")
        targets += [Target("operand", number, k, n) for k, n in enumerate(work.blocks(line))]
    for line, standard in work.standards.items():
        if not standard.in_place:
            blocks = work.blocks(standard.operand)
            targets += [Target("filled", line, k, n) for k, n in enumerate(blocks)]
    for number, line in enumerate(work.program.results):
        targets += [Target("state", number, k, n) for k, n in enumerate(work.blocks(line))]
    if work.program.output not in work.program.results:
        blocks = work.blocks(work.program.output)
        targets += [Target("output", 0, k, n) for k, n in enumerate(blocks)]
    return targets


class _Rebuilt:
    """The expressions again, over slots, without the terms that products add themselves."""

    def __init__(self, old: Expressions, placement: Placement) -> None:
        self.old = old
        self.placement = placement
        self.table = Expressions()
        self.memo: dict[int, int | None] = {}

    def __call__(self, node: int) -> int:
        result = self._of(node)
        if result is None:
            raise AssertionError("a sum lost all of its terms")
        return result

    def _of(self, node: int) -> int | None:
        if node not in self.memo:
            for part in self.old.cone([node]):
                if part not in self.memo:
                    self.memo[part] = self._make(part)
        return self.memo[node]

    def _make(self, node: int) -> int | None:
        expression = self.old[node]
        if node in self.placement.dropped:
            return None
        if expression.name in ("product", "standard"):
            return self.table.put("slot", (), self.placement.slots[node], expression.letter)
        args = [self.memo[a] for a in expression.args]
        if expression.name == "add" and None in args:
            return args[1] if args[0] is None else args[0]
        assert None not in args
        return self.table.put(
            expression.name, [a for a in args if a is not None], expression.attrs, expression.letter
        )
