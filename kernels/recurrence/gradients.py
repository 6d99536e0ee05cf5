"""Gradients of weights: sums over all steps and rows, after the steps.

A matrix gets one product of all operands below each other with all gradients; a row that is
added gets the sum of columns, one that is multiplied the sum of what each batch row gathered.
Where each batch row is to have a gradient of its own, these are sums over steps alone.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from tinygrad_rnn.kernels._room import address_of, empty, zeros
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.matmul import matmul
from tinygrad_rnn.kernels.recurrence.ends import scattered
from tinygrad_rnn.kernels.recurrence.layout import Layout
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.sized import Run, window

__all__ = ["WeightGradients"]


_Added = tuple[int, int, int, int]  # a buffer, its first block, how many, and where they go


class _Wanted(NamedTuple):
    """What gradients of some weights are made of.

    matrices  the weights that are multiplied with
    uneven    those of them of which products leave columns out, or have some in common
    columns   the buffers whose columns are summed, for rows that are added to products
    added     what such a row's is the sum of
    alone     those made of one buffer that no other row shares: if it is all of it, the sums of
              its columns are handed out as they are
    scaling   the rows that others are multiplied with, number by number: where each batch row has
              summed up its own, and whose that is
    """

    matrices: list[str]
    uneven: frozenset[str]
    columns: list[int]
    added: dict[str, list[_Added]]
    alone: frozenset[str]
    scaling: list[tuple[str, str]]


@lru_cache(maxsize=1024)  # it would take as long as a small product
def _wanted(layout: Layout, needed: frozenset[str]) -> _Wanted:
    buffers, named = layout.lowered.buffers, layout.derivative.columns
    matrices = [b.hoisted for b in buffers if b.hoisted]
    matrices += [part.weight for part in layout.lowered.parts]
    added: dict[str, list[_Added]] = {}
    for i, buffer in enumerate(buffers):
        if buffer.bias and buffer.bias[0] in needed:
            added.setdefault(buffer.bias[0], []).append((i, 0, buffer.blocks, buffer.bias[1]))
    for name, places in named.items():
        if name in needed:
            blocks = [(i, block, 1, k) for k, (i, block) in enumerate(places)]
            added[name] = added.get(name, []) + blocks
    summed = [i for parts in added.values() for i, *_ in parts]
    alone = [
        name for name, parts in added.items() if len(parts) == 1 and summed.count(parts[0][0]) == 1
    ]
    return _Wanted(
        [name for name in dict.fromkeys(matrices) if name in needed],
        _uneven(layout),
        sorted(set(summed)),
        added,
        frozenset(alone),
        [(sums, name) for sums, (name, _) in layout.row_grads.items() if name in needed],
    )


def _uneven(layout: Layout) -> frozenset[str]:
    """Weights whose columns are not just those of one product after the other."""
    buffers, shapes = layout.lowered.buffers, dict(layout.lowered.program.params)
    columns = {b.hoisted: set(range(b.blocks)) for b in buffers if b.hoisted}
    uneven = set()
    for part in layout.lowered.parts:
        known = columns.setdefault(part.weight, set())
        found = set(range(part.column, part.column + part.blocks))
        if known & found and not found <= known:
            uneven.add(part.weight)
        known |= found
    left_out = {name for name, known in columns.items() if len(known) < shapes[name][-1].count}
    return frozenset(uneven | left_out)


class WeightGradients:
    """Gradients of the weights that ``needed`` names, added to ``sums`` where there are some.

    ``multiply`` is all that kernels do; ``of`` makes gradients of that.
    """

    def __init__(
        self, run: Run, values: dict[str, Any], needed: set[str], by_rows: bool,
        sums: dict[str, Array] | None, device: Any,
    ) -> None:  # fmt: skip
        self.run, self.values, self.by_rows = run, values, by_rows
        self.column_sums, self.fill = device.column_sums, device.fill
        self.needed = frozenset(needed)
        self.wanted = _wanted(run.sized.layout, self.needed)
        self.grads: dict[str, Array] = {} if sums is None else sums
        self.fresh = [name for name in self.wanted.matrices if name not in self.grads]
        self.key = self.needed, tuple(self.fresh)
        self.lead = (run.extent[1],) if by_rows else ()
        self.placed: dict[tuple[int, int], Array] = {}

    # ----- what kernels do -----

    def multiply(self) -> list[Array]:
        """The products, and the sums of rows; returns the arrays that are new."""
        sized, values, params = self.run.sized, self.values, self.run.params
        made = {
            name: empty((*self.lead, *params[name].shape), self.run.like) for name in self.fresh
        }
        places = self.grads | made
        cleared = [name for name in self.fresh if name in self.wanted.uneven]
        for name in cleared:
            self.fill(made[name].reshape(-1, made[name].shape[-1]), None)
        known = [*self.grads, *cleared]
        written = {name: [(0, params[name].shape[-1])] for name in known if params[name].ndim}
        for i, buffer in enumerate(sized.layout.lowered.buffers):
            if buffer.hoisted in places:
                done = written.setdefault(buffer.hoisted, [])
                self._product(places[buffer.hoisted], done, self.run.x, values[f"dz{i}"], 0)
        for _, part, block, _ in sized.parts:
            if part.weight in places:
                done, left = written.setdefault(part.weight, []), _operand_rows(self.run, part)
                right = window(values[f"dz{part.buffer}"], part.block, part.blocks, block)
                self._product(places[part.weight], done, left, right, part.column * block)
        columns = [self._columns(values[f"dz{i}"]) for i in self.wanted.columns]
        scaling = [self._gathered(values[sums]) for sums, _ in self.wanted.scaling]
        return [*made.values(), *columns, *scaling]

    def _product(
        self, place: Array, done: list[tuple[int, int]], left: Array, right: Array, column: int
    ) -> None:
        """Write left^T right into the columns from ``column`` on, or add it to what is done."""
        stop = column + right.shape[1]
        if self.by_rows:
            left, right = (self._in_place(rows).swapaxes(0, 1) for rows in (left, right))
        adds = any(a < stop and column < b for a, b in done)
        matmul(left.swapaxes(-1, -2), right, out=place[..., column:stop], accumulate=adds)
        if not adds:
            done.append((column, stop))

    def _in_place(self, rows: Array) -> Array:
        """All steps' rows in their places, (T, B, width): many products need the same."""
        key = address_of(rows), rows.shape[1]
        if key not in self.placed:
            self.placed[key] = scattered(self.run.schedule, rows, *self.run.extent)
        return self.placed[key]

    def _columns(self, rows: Array) -> Array:
        """The sums of columns over all rows, or over the steps of each batch row."""
        if not self.by_rows:
            return self.column_sums(rows)
        (T, B), width = self.run.extent, rows.shape[1]
        return self.column_sums(self._in_place(rows).reshape(T, B * width)).reshape(B, width)

    def _gathered(self, rows: Array) -> Array:
        """The sum of what each batch row gathered, or that by itself, in the caller's order."""
        order = self.run.schedule.order
        if not self.by_rows:
            return self.column_sums(rows)
        if order is None:
            return rows
        whole = zeros((self.run.extent[1], rows.shape[1]), rows)
        whole[order] = rows
        return whole

    # ----- what becomes of it -----

    def of(self, made: Iterator[Array]) -> dict[str, Array]:
        """All gradients, of what ``multiply`` has made, in its order."""
        wanted, grads = self.wanted, self.grads
        for name in self.fresh:
            grads[name] = next(made)
        columns = {i: next(made) for i in wanted.columns}
        for name, parts in wanted.added.items():
            self._add_row(name, self._row(name, parts, columns))
        for _, name in wanted.scaling:
            total = next(made)
            self._add_row(name, total if self.run.params[name].ndim else total.sum(axis=-1))
        return grads

    def _row(self, name: str, parts: list[_Added], columns: dict[int, Array]) -> Array:
        """The gradient of a row that is added to products, of the sums of their columns."""
        sized, shape = self.run.sized, self.run.params[name].shape
        if name in self.wanted.alone and columns[parts[0][0]].shape[-1:] == shape[-1:]:
            return columns[parts[0][0]]
        total = zeros((*self.lead, *shape), self.run.like)
        for i, block, count, first in parts:
            size = sized.sizes[sized.layout.buffer_widths[i].letter]
            source = columns[i][..., block * size : (block + count) * size]
            total[..., first * size : (first + count) * size] += source
        return total

    def _add_row(self, name: str, value: Array) -> None:
        """Add a gradient of a weight that is a row or a number."""
        shape = self.run.params[name].shape
        shape = (-1, *shape) if self.by_rows else shape
        if value.shape != shape:  # what is reshaped is a view, and copied where it is handed out
            value = value.reshape(shape)
        if name in self.grads:
            self.grads[name] += value
        else:
            self.grads[name] = value


def _operand_rows(run: Run, part: Part) -> Array:
    """The left factor of a product within the steps, all steps below each other."""
    kind, number = part.operand
    if kind == "operand":
        return run.arrays[f"a{number}"]
    rows = run.arrays[run.sized.layout.states[number]]
    schedule = run.schedule
    return rows[schedule.rows :] if run.reverse else rows[: schedule.size]
