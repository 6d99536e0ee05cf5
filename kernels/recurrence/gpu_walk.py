"""The launches of a run: products, and the written segments between them, step after step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.kernels._room import module_of
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.sized import Run
from tinygrad_rnn.kernels.recurrence.writer.cuda_text import OF_A_STEP, Kernel, Source

__all__ = ["Launch", "Walk", "multiplied"]

# As in gpu_steps.cu: columns of a block, and rows of it that a thread does one each of.
_COLUMNS, _GROUPS = 32, 8
_EACH = 4  # rows a thread, where there are more than a block has groups


@dataclass(frozen=True)
class Launch:
    """A kernel and what it is given."""

    function: _cuda.Function
    grid: Any
    args: tuple[Any, ...]
    block: int = 256

    def go(self) -> None:
        """Launch it."""
        _cuda.launch(self.function, self.grid, *self.args, block=self.block)

    @classmethod
    def of_rows(
        cls, module: _cuda.Module, rows: Array, eps: float, deviations: Array,
        first: int = 0, count: int | None = None,
    ) -> "Launch":  # fmt: skip
        """Standardise rows in place."""
        number = rows.dtype.type(eps)
        args = rows, np.int64(first), np.int64(rows.shape[1]), number, deviations
        count = len(rows) if count is None else count
        return cls(module.get_function("standardize"), (count,), args)

    @classmethod
    def of_rows_back(
        cls, module: _cuda.Module, rows: Array, gradients: Array, deviations: Array,
        first: int = 0, count: int | None = None,
    ) -> "Launch":  # fmt: skip
        """Take gradients back through it, in place."""
        args = rows, gradients, np.int64(first), np.int64(rows.shape[1]), deviations
        count = len(rows) if count is None else count
        return cls(module.get_function("standardize_back"), (count,), args)


class Walk:
    """All launches of a run.

    values   what kernels are given, by name
    module   the written kernels
    shared   the kernels that all programs share: (element type, rows a thread) -> module
    """

    def __init__(
        self, run: Run, values: dict[str, Any], source: Source, module: _cuda.Module,
        shared: Callable[..., _cuda.Module],
    ) -> None:  # fmt: skip
        self.run, self.values, self.source, self.module = run, values, source, module
        self.layout, self.schedule = run.sized.layout, run.schedule
        self.lowered, self.sizes = self.layout.lowered, run.sized.sizes
        self.shared = shared
        xp = module_of(run.like)
        used = {part.weight for part in self.lowered.parts}
        self.weights = {name: xp.ascontiguousarray(run.params[name]) for name in used}
        self._given: dict[str, tuple[Any, ...]] = {}

    def launches(self, backwards: bool) -> Iterator[Launch]:
        """The launches in order."""
        offsets, T, reverse = self.schedule.offsets, self.schedule.steps, self.run.reverse
        rows = self.schedule.rows
        base, final = (rows, 0) if reverse else (0, self.schedule.size)
        for s in range(T):
            t = T - 1 - s if reverse != backwards else s
            after = t - 1 if reverse else t + 1  # the step that comes next in the run
            going, where = 0, after
            if 0 <= after < T:
                going, where = offsets[after + 1] - offsets[after], offsets[after]
            now, count = offsets[t], offsets[t + 1] - offsets[t]
            numbers = dict(zip(
                OF_A_STEP, map(np.int64, (t, s, now, count, going, where, base, final)), strict=True
            ))  # fmt: skip
            yield from (self._backward if backwards else self._forward)(numbers)

    def _forward(self, step: dict[str, Any]) -> Iterator[Launch]:
        for index in range(len(self.lowered.segments)):
            for part in self._parts(index):
                yield self._product(part, step)
            yield from self._standardized(index, step, Launch.of_rows)
            for kernel in self.source.forward.get(index, ()):
                yield self._segment(kernel, step)

    def _backward(self, step: dict[str, Any]) -> Iterator[Launch]:
        if len(self.schedule.flags):
            for kernel in self.source.turns:
                yield self._segment(kernel, step)
        for index in reversed(range(len(self.lowered.segments))):
            for kernel in self.source.backward.get(index, ()):
                yield self._segment(kernel, step)
            yield from self._standardized(index, step, Launch.of_rows_back)
            started: set[int] = set()
            for part in self._parts(index):
                kind, operand = part.operand
                yield self._product_back(part, step, kind == "state" or operand in started)
                if kind == "operand":
                    started.add(operand)

    # ----- segments -----

    def _segment(self, kernel: Kernel, step: dict[str, Any]) -> Launch:
        if kernel.name not in self._given:
            self._given[kernel.name] = tuple([_as_given(self.values[n]) for n in kernel.arguments])
        function = self.module.get_function(kernel.name)
        elements = int(step["count"]) * self.sizes[kernel.letter]
        return Launch(function, elements, (*step.values(), *self._given[kernel.name]))

    def _standardized(self, index: int, step: dict[str, Any], launch: Any) -> Iterator[Launch]:
        """Of the rows of a step that are standardised in the round before a segment."""
        back = launch == Launch.of_rows_back
        for round_ in self.lowered.rounds:
            if round_.level == index - 1:
                i = round_.buffer
                rows, of = self.values[f"z{i}"], self.values[f"r{i}"]
                what = self.values[f"dz{i}"] if back else self.lowered.buffers[i].eps
                module = self.shared(self.run.like.dtype)
                yield launch(module, rows, what, of, int(step["now"]), int(step["count"]))

    # ----- products -----

    def _parts(self, index: int) -> list[Part]:
        """The parts of products that stand before a segment."""
        return [part for part in self.lowered.parts if part.level == index - 1]

    def _operand(self, part: Part) -> tuple[str, int]:
        """The name of what a part multiplies, and how wide it is."""
        kind, number = part.operand
        if kind == "state":
            return self.layout.states[number], self.layout.state_widths[number].of(self.sizes)
        return f"a{number}", self.layout.operand_widths[number].of(self.sizes)

    def _product(self, part: Part, step: dict[str, Any]) -> Launch:
        name, depth = self._operand(part)
        first = step["now"] + (step["base"] if part.operand[0] == "state" else 0)
        buffer = self.lowered.buffers[part.buffer]
        size = self.sizes[buffer.letter]
        row, out, weight = buffer.blocks * size, f"z{part.buffer}", self.weights[part.weight]
        there = self.values[out], step["now"] * row + part.block * size, row
        start: tuple[Any, int, int] = (None, 0, 0)
        if part.adds:
            start = there
        elif buffer.bias:
            start = self.values[f"b{part.buffer}"], part.block * size, 0
        return multiplied(
            self.shared,
            (self.values[name], first * depth, depth),
            (weight, part.column * size, weight.shape[1], 1),
            start, there, step["count"], depth, part.blocks * size,
        )  # fmt: skip

    def _product_back(self, part: Part, step: dict[str, Any], adds: bool) -> Launch:
        """What a part says about the gradient of its operand."""
        name, width = self._operand(part)
        first = 0
        if part.operand[0] == "state":
            first = (int(step["s"]) + 1) % self.values["kept"] * self.schedule.rows
        buffer = self.lowered.buffers[part.buffer]
        size = self.sizes[buffer.letter]
        row, weight = buffer.blocks * size, self.weights[part.weight]
        there = self.values[f"d{name}"], first * width, width
        return multiplied(
            self.shared,
            (self.values[f"dz{part.buffer}"], step["now"] * row + part.block * size, row),
            (weight, part.column * size, 1, weight.shape[1]),
            there if adds else (None, 0, 0), there, step["count"], part.blocks * size, width,
        )  # fmt: skip


def multiplied(
    shared: Callable[..., _cuda.Module], a: Any, w: Any, start: Any, out: Any, rows: int,
    depth: int, columns: int,
) -> Launch:  # fmt: skip
    """A product: each array with its first element, and its steps from row to row (and column)."""
    each = _EACH if rows > _GROUPS else 1
    module = shared(out[0].dtype, each)
    grid = -(-columns // _COLUMNS), -(-int(rows) // (_GROUPS * each))
    args = tuple([_as_given(one) for one in (*a, *w, *start, *out, rows, depth, columns)])
    return Launch(module.get_function("product"), grid, args)


def _as_given(value: Any) -> Any:
    """A value as a launch takes it: whole numbers of 64 bits, and None for an empty array."""
    if value is None or isinstance(value, np.generic):
        return value
    if isinstance(value, int):
        return np.int64(value)
    return value if value.size else None
