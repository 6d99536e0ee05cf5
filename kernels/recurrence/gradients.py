"""Gradients of weights: sums over all steps and rows, after the steps.

A matrix gets one product of all operands below each other with all gradients; a row that is
added gets the sum of columns, one that is multiplied the sum of what each batch row gathered.
Where each batch row is to have a gradient of its own, these are sums over steps alone.
"""

from collections.abc import Callable
from typing import Any

from tinygrad_rnn.kernels._room import address_of, empty, zeros
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.matmul import matmul
from tinygrad_rnn.kernels.recurrence.ends import scattered
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.sized import Run, window

__all__ = ["weight_gradients"]


class _Sums:
    """Gradients of weights: each place is written once, or added to."""

    def __init__(
        self, run: Run, needed: set[str], by_rows: bool, sums: dict[str, Array] | None,
        column_sums: Callable[[Array], Array],
    ) -> None:  # fmt: skip
        self.run = run
        self.summed = column_sums
        self.needed = needed
        self.by_rows = by_rows
        self.grads: dict[str, Array] = {} if sums is None else sums
        self.written = {name: [(0, g.shape[-1])] for name, g in self.grads.items() if g.ndim}
        self.placed: dict[tuple[int, int], Array] = {}

    def in_place(self, rows: Array) -> Array:
        """All steps' rows in their places, (T, B, width): many products need the same."""
        key = address_of(rows), rows.shape[1]
        if key not in self.placed:
            self.placed[key] = scattered(self.run.schedule, rows, *self.run.extent)
        return self.placed[key]

    def add_product(self, name: str, left: Array, right: Array, column: int) -> None:
        """Add left^T right to the columns from ``column`` on."""
        if name not in self.needed:
            return
        if name not in self.grads:
            shape = self.run.params[name].shape
            shape = (self.run.extent[1], *shape) if self.by_rows else shape
            self.grads[name] = empty(shape, left)
            self.written[name] = []
        stop = column + right.shape[1]
        done = self.written[name]
        if self.by_rows:
            left, right = (self.in_place(rows).swapaxes(0, 1) for rows in (left, right))
        left, place = left.swapaxes(-1, -2), self.grads[name][..., column:stop]
        again = any(a < stop and column < b for a, b in done)
        matmul(left, right, out=place, accumulate=again)
        if not again:
            done.append((column, stop))

    def columns(self, rows: Array) -> Array:
        """The sums of columns over all rows, or over the steps of each batch row."""
        if not self.by_rows:
            return self.summed(rows)
        (T, B), width = self.run.extent, rows.shape[1]
        return self.summed(self.in_place(rows).reshape(T, B * width)).reshape(B, width)

    def gathered(self, rows: Array) -> Array:
        """The sum of what each batch row gathered, or that by itself, in the caller's order."""
        order = self.run.schedule.order
        if not self.by_rows:
            return self.summed(rows)
        if order is None:
            return rows
        whole = zeros((self.run.extent[1], rows.shape[1]), rows)
        whole[order] = rows
        return whole

    def add_row(self, name: str, value: Array) -> None:
        """Add a gradient of a weight that is a row or a number."""
        if name in self.needed:
            shape = self.run.params[name].shape
            value = value.reshape((-1, *shape) if self.by_rows else shape)
            if name in self.grads:
                self.grads[name] += value
            else:
                self.grads[name] = value


def weight_gradients(
    run: Run, values: dict[str, Any], needed: set[str], by_rows: bool,
    sums: dict[str, Array] | None, column_sums: Callable[[Array], Array],
) -> dict[str, Array]:  # fmt: skip
    """The gradients of the weights that ``needed`` names, added to ``sums`` if there are some."""
    layout, sizes = run.sized.layout, run.sized.sizes
    found = _Sums(run, needed, by_rows, sums, column_sums)
    for i, buffer in enumerate(layout.lowered.buffers):
        if buffer.hoisted:
            found.add_product(buffer.hoisted, run.x, values[f"dz{i}"], 0)
    for _, part, block, _ in run.sized.parts:
        right = window(values[f"dz{part.buffer}"], part.block, part.blocks, block)
        found.add_product(part.weight, _operand_rows(run, part), right, part.column * block)
    columns: dict[int, Array] = {}

    def column_sum(index: int) -> Array:
        if index not in columns:
            columns[index] = found.columns(values[f"dz{index}"])
        return columns[index]

    lead = (run.extent[1],) if by_rows else ()
    biases = {b.bias[0] for b in layout.lowered.buffers if b.bias} | set(layout.derivative.columns)
    for name in biases & needed:
        total = zeros((*lead, *run.params[name].shape), run.like)
        for i, buffer in enumerate(layout.lowered.buffers):
            if buffer.bias and buffer.bias[0] == name:
                size = sizes[buffer.letter]
                first = buffer.bias[1] * size
                total[..., first : first + buffer.blocks * size] += column_sum(i)
        for k, (i, block) in enumerate(layout.derivative.columns.get(name, ())):
            size = sizes[layout.buffer_widths[i].letter]
            part = column_sum(i)[..., block * size : (block + 1) * size]
            total[..., k * size : (k + 1) * size] += part
        found.add_row(name, total)
    for name in layout.row_grads:
        if name in needed:
            total = found.gathered(values[f"dp_{name}"])
            found.add_row(name, total if run.params[name].ndim else total.sum(axis=-1))
    return found.grads


def _operand_rows(run: Run, part: Part) -> Array:
    """The left factor of a product within the steps, all steps below each other."""
    kind, number = part.operand
    if kind == "operand":
        return run.arrays[f"a{number}"]
    rows = run.arrays[run.sized.layout.states[number]]
    schedule = run.schedule
    return rows[schedule.rows :] if run.reverse else rows[: schedule.size]
