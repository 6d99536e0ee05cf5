"""Gradients of weights: sums over all steps and rows, after the steps.

A matrix gets one product of all operands below each other with all gradients; a row that is
added gets the sum of columns, one that is multiplied the sum of what each batch row gathered.
Where each batch row is to have a gradient of its own, these are sums over steps alone.
"""

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import add, fill, load, store
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.recurrence.cpu_ends import scattered
from tinygrad_rnn.kernels.recurrence.cpu_sized import window

__all__ = ["weight_gradients"]

_SUMMED = 64  # rows that are summed before their sum is added to the others'


@kernel("intp, intp, const(T[:, ::1]), T[::1]", fastmath=NO_FASTMATH)
def _column_sums(first, stop, rows, sums):
    """Sum the rows, in blocks of a fixed height, for the vectors from ``first`` to ``stop``."""
    size, step = element_size(rows), lanes(rows)
    for v in range(first, stop):
        j = v * step
        n = rows.shape[1] - j
        total = fill(rows, 0.0)
        for top in range(0, rows.shape[0], _SUMMED):
            part = fill(rows, 0.0)
            for r in range(top, min(top + _SUMMED, rows.shape[0])):
                part = add(part, load(rows, address(rows) + (r * rows.shape[1] + j) * size, n))
            total = add(total, part)
        store(rows, address(sums) + j * size, n, total)


def _summed(rows):
    """The sum of the rows."""
    sums = empty(rows.shape[1], rows.dtype)
    vectors = -(-rows.shape[1] // lanes_of(rows.dtype))
    parallel(_column_sums, vectors, rows, sums, grain=1 + 20_000 // (rows.shape[0] * 16 + 1))
    return sums


class _Sums:
    """Gradients of weights: each place is written once, or added to."""

    def __init__(self, run, needed, by_rows, sums):
        self.run = run
        self.needed = needed
        self.by_rows = by_rows
        self.grads = {} if sums is None else sums
        self.written = {name: [(0, g.shape[-1])] for name, g in self.grads.items() if g.ndim}
        self.placed = {}

    def in_place(self, rows):
        """All steps' rows in their places, (T, B, width): many products need the same."""
        key = rows.ctypes.data, rows.shape[1]
        if key not in self.placed:
            self.placed[key] = scattered(self.run.schedule, rows, *self.run.extent)
        return self.placed[key]

    def add_product(self, name, left, right, column):
        """Add left^T right to the columns from ``column`` on."""
        if name not in self.needed:
            return
        if name not in self.grads:
            shape = self.run.params[name].shape
            shape = (self.run.extent[1], *shape) if self.by_rows else shape
            self.grads[name] = empty(shape, left.dtype)
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

    def columns(self, rows):
        """The sums of columns over all rows, or over the steps of each batch row."""
        if not self.by_rows:
            return _summed(rows)
        (T, B), width = self.run.extent, rows.shape[1]
        return _summed(self.in_place(rows).reshape(T, B * width)).reshape(B, width)

    def gathered(self, rows):
        """The sum of what each batch row gathered, or that by itself, in the caller's order."""
        order = self.run.schedule.order
        if not self.by_rows:
            return _summed(rows)
        if order is None:
            return rows
        whole = np.zeros((self.run.extent[1], rows.shape[1]), rows.dtype)
        whole[order] = rows
        return whole

    def add_row(self, name, value):
        """Add a gradient of a weight that is a row or a number."""
        if name in self.needed:
            shape = self.run.params[name].shape
            value = value.reshape((-1, *shape) if self.by_rows else shape)
            if name in self.grads:
                self.grads[name] += value
            else:
                self.grads[name] = value


def weight_gradients(run, values, needed, by_rows=False, sums=None):
    """The gradients of the weights that ``needed`` names, added to ``sums`` if there are some."""
    layout, sizes = run.sized.kernels.layout, run.sized.sizes
    sums = _Sums(run, needed, by_rows, sums)
    for i, buffer in enumerate(layout.lowered.buffers):
        if buffer.hoisted:
            sums.add_product(buffer.hoisted, run.x, values[f"dz{i}"], 0)
    for _, part, block, _ in run.sized.parts:
        right = window(values[f"dz{part.buffer}"], part.block, part.blocks, block)
        sums.add_product(part.weight, _operand_rows(run, part), right, part.column * block)
    columns = {}

    def column_sum(index):
        if index not in columns:
            columns[index] = sums.columns(values[f"dz{index}"])
        return columns[index]

    lead = (run.extent[1],) if by_rows else ()
    biases = {b.bias[0] for b in layout.lowered.buffers if b.bias} | set(layout.derivative.columns)
    for name in biases & needed:
        total = np.zeros((*lead, *run.params[name].shape), values["like_array"].dtype)
        for i, buffer in enumerate(layout.lowered.buffers):
            if buffer.bias and buffer.bias[0] == name:
                size = sizes[buffer.letter]
                first = buffer.bias[1] * size
                total[..., first : first + buffer.blocks * size] += column_sum(i)
        for k, (i, block) in enumerate(layout.derivative.columns.get(name, ())):
            size = sizes[layout.buffer_widths[i].letter]
            part = column_sum(i)[..., block * size : (block + 1) * size]
            total[..., k * size : (k + 1) * size] += part
        sums.add_row(name, total)
    for name in layout.row_grads:
        if name in needed:
            total = sums.gathered(values[f"dp_{name}"])
            sums.add_row(name, total if run.params[name].ndim else total.sum(axis=-1))
    return sums.grads


def _operand_rows(run, part):
    """The left factor of a product within the steps, all steps below each other."""
    kind, number = part.operand
    if kind == "operand":
        return run.arrays[f"a{number}"]
    rows = run.arrays[run.sized.kernels.layout.states[number]]
    schedule = run.schedule
    return rows[schedule.rows :] if run.reverse else rows[: schedule.size]
