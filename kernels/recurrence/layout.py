"""What the written kernels are given: names and widths of all rows."""

import re
from dataclasses import dataclass

from tinygrad_rnn.kernels.recurrence.derivative import Derivative, Effect
from tinygrad_rnn.kernels.recurrence.lowering import Lowered
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.program import Width

__all__ = ["Layout", "bytes_of", "sum_of"]


@dataclass(eq=False)
class Layout:
    """The names and widths of everything that the kernels are given.

    row_grads   of arrays in which batch rows sum up gradients: the weight, and how wide they are
    """

    lowered: Lowered
    derivative: Derivative

    def __post_init__(self) -> None:
        program = self.lowered.program
        self.letters = program.letters
        self.states = _apart([name for name, _ in program.states])
        self.state_widths = [width for _, width in program.states]
        self.buffer_widths = [buffer.width for buffer in self.lowered.buffers]
        self.operand_widths = self.lowered.operand_widths
        shapes = dict(program.params)
        leaves = {expression.attrs[0] for expression in self.lowered.expressions.entries
                  if expression.name in ("param", "scalar")}  # fmt: skip
        self.row_params = {name: shape for name, shape in shapes.items() if name in leaves}
        self.row_grads = {
            sum_of(e): (name, shapes[name][0] if shapes[name] else Width(1, e.place[1]))
            for segment in self.derivative.effects
            for e in segment
            if e.kind in ("d_param", "d_scalar") and (name := e.place[0])
        }
        self.output = program.operations[program.output].width
        self.input = program.input
        self.settings = program.settings
        self.sites = program.sites
        self.reads_input = self.lowered.reads_input
        self.input_parts = self._input_parts()
        self.products_last = self._products_last()

    def _input_parts(self) -> list[Part]:
        """Products with x alone, as parts of a step: where all can be, of the first round."""
        lowered = self.lowered
        hoisted = [(i, b) for i, b in enumerate(lowered.buffers) if b.hoisted]
        if lowered.segments[0] or any(buffer.eps is not None for _, buffer in hoisted):
            return []  # what stands before the first round reads them
        return [
            Part(0, ("input", 0), buffer.hoisted or "", 0, buffer.blocks, i, 0, adds=False)
            for i, buffer in hoisted
        ]

    def _products_last(self) -> bool:
        """Whether, on the way back, what is added last to states' gradients are their products."""
        levels = {p.level for p in self.lowered.parts if p.operand[0] == "state"}
        behind = self.derivative.effects[: min(levels, default=0) + 1]
        return len(levels) < 2 and not any(e.kind == "d_state" for s in behind for e in s)

    @property
    def given_input(self) -> bool:
        """Whether a forward kernel is given x."""
        return self.reads_input or bool(self.input_parts)


def sum_of(effect: Effect) -> str:
    """What the array is called in which each batch row sums up a weight's gradient over time."""
    name, where = effect.place
    return f"dp_{name}" if effect.kind == "d_param" else f"dn_{where}_{name}"


_ENDING = re.compile(r"_(old|new|end|again|t)(_|$)")  # what is written behind names of states


def _apart(names: list[str]) -> list[str]:
    """What states are called in kernels, where no name is another one with an ending."""
    found: list[str] = []
    for name in names:
        plain = name.replace("_", "") if _ENDING.search(name) else name
        while f"s_{plain}" in (*found, *(f"s_{other}" for other in names if other != name)):
            plain += "x"
        found.append(f"s_{plain}")
    return found


def bytes_of(width: Width) -> str:
    """The expression for the bytes of a row."""
    size = f"{width.letter} * size" if width.letter else "size"
    return size if width.count == 1 else f"{width.count} * {size}"
