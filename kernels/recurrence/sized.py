"""A program at the sizes of a call, and which arrays its kernels are given.

Sizes are found once for the shapes of a call and kept; a Run adds the arrays themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from tinygrad_rnn.kernels._repeated import Kept
from tinygrad_rnn.kernels.recurrence.derivative import Rules, differentiate
from tinygrad_rnn.kernels.recurrence.layout import Layout
from tinygrad_rnn.kernels.recurrence.lowering import lower
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.schedule import Schedule
from tinygrad_rnn.kernels.recurrence.shapes import Shapes, fitted

__all__ = ["Run", "Sized", "at_sizes", "layout_of", "part_of", "weight_of", "window"]


@cache
def layout_of(program: Program, rules: Rules) -> Layout:
    """What the kernels of a program are given, found once."""
    lowered = lower(program)
    return Layout(lowered, differentiate(lowered, rules))


@dataclass(frozen=True, eq=False)  # there is one for each call's sizes
class Sized:
    """A program at the sizes of a call, and the arrays that its kernels are given.

    How many rows an array has depends on the schedule: one for each STEP of a row, or for
    each ROW; states have both.
    """

    layout: Layout
    sizes: Mapping[str, int]
    forward_arrays: list[tuple[str, int, int, int]]  # name, times STEP, times ROW, width
    backward_arrays: list[tuple[str, int, int, int]]
    hoisted: list[tuple[str, str, tuple[str, slice] | None]]  # array, weight, bias
    biases: list[tuple[str, str, slice]]  # array, weight, columns
    standards: list[tuple[int, float]]  # buffers that are standardised before the steps, eps
    parts: list[tuple[str, Part, int, int]]  # array, part, its block forward and backward
    input_parts: list[tuple[str, Part, int]]  # those of x, in a step that does them itself
    input_columns: int  # how wide all products with x are
    weight_count: int  # how many a step multiplies with
    output_width: int
    restarts: list[str]  # the arrays of what states are put back to
    of_weights: frozenset[str]  # the arrays that may be parts of weights
    repeated: Kept = field(default_factory=dict)  # calls for runs like each other


@lru_cache(maxsize=4096)  # it would take a third of the time of a small step
def at_sizes(program: Program, rules: Rules, shapes: Shapes) -> Sized:
    """What the kernels of a program need for arrays of certain shapes."""
    layout, sizes = layout_of(program, rules), fitted(program, shapes)
    lowered = layout.lowered
    forward: list[tuple[str, int, int, int]] = []
    backward: list[tuple[str, int, int, int]] = []
    hoisted, biases, columns = [], [], 0
    for i, buffer in enumerate(lowered.buffers):
        size = sizes[buffer.letter]
        width, bias = buffer.blocks * size, None
        if buffer.bias:
            name, block = buffer.bias
            bias = name, slice(block * size, (block + buffer.blocks) * size)
        if buffer.hoisted:
            hoisted.append((f"z{i}", buffer.hoisted, bias))
            columns += width
        else:
            forward.append((f"z{i}", 1, 0, width))
        if bias and (layout.input_parts or not buffer.hoisted):
            biases.append((f"b{i}", *bias))
        backward.append((f"dz{i}", 1, 0, width))
        if buffer.eps is not None:
            forward.append((f"r{i}", 1, 0, 1))
    for i, operand in enumerate(layout.operand_widths):
        forward.append((f"a{i}", 1, 0, operand.of(sizes)))
        backward.append((f"da{i}", 0, 1, operand.of(sizes)))
    for name, state in zip(layout.states, layout.state_widths, strict=True):
        forward.append((name, 1, 1, state.of(sizes)))
    before = [r.buffer for r in lowered.rounds if r.level is None]
    standards = [(i, eps) for i, b in enumerate(lowered.buffers) if i in before and (eps := b.eps)]
    parts, weights = [], 0
    for i, part in enumerate(lowered.parts):
        size = sizes[layout.buffer_widths[part.buffer].letter]
        kind, number = part.operand
        left = (layout.state_widths if kind == "state" else layout.operand_widths)[number]
        parts.append((f"w{i}", part, size, sizes[left.letter]))
        weights += left.of(sizes) * part.blocks * size
    inputs = [
        (f"wx{i}", part, sizes[layout.buffer_widths[part.buffer].letter])
        for i, part in enumerate(layout.input_parts)
    ]
    of_weights = {n for n, *_ in parts} | {n for n, *_ in inputs} | {n for n, *_ in biases}
    of_weights |= {f"p_{name}" for name in layout.row_params}
    return Sized(
        layout, sizes, forward, backward, hoisted, biases, standards, parts, inputs, columns,
        weights, layout.output.of(sizes), [f"{name}_again" for name in layout.states],
        frozenset(of_weights),
    )  # fmt: skip


@dataclass
class Run:
    """What backward needs of a forward pass."""

    sized: Sized
    schedule: Schedule
    extent: tuple[int, int]  # T and B of the caller
    reverse: bool
    begun: Any  # the states that were given, as the caller's rows stand
    own_restart: bool  # besides them
    x: Any
    params: Mapping[str, Any]
    forms: Mapping[str, dict[Any, Any]]
    given: Mapping[str, Any]  # settings and noise, as the kernels take them
    arrays: dict[str, Any]
    plan: Any = None  # of persistent kernels on a GPU, where they do the steps

    @property
    def like(self) -> Any:
        """An array of the run's device and element type."""
        return self.begun[0]


def window(array: Any, block: int, blocks: int, size: int) -> Any:
    """Neighbouring blocks of columns, as a view; or the array, if that is all of it."""
    if blocks * size == array.shape[1]:
        return array
    return array[:, block * size : (block + blocks) * size]


def part_of(row: Any, columns: slice) -> Any:
    """The same of a row."""
    return row if columns.stop - columns.start == len(row) else row[columns]


def weight_of(run: Run, part: Part, block: int) -> Any:
    """The part of a weight that a product multiplies with, in blocks of so many columns."""
    return window(run.params[part.weight], part.column, part.blocks, block)
