"""Steps on the CPU: recurrences one above the other, and products behind, as one call.

What steps need besides their numbers is made once: arrays that every call reads and writes,
packed weights, and the calls of the kernels, as a chain. The kernels are those of whole
sequences, so the bits are theirs, too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.kernels._chain import Chain, Link
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels.matmul.cpu import matmul, pack, product_link
from tinygrad_rnn.kernels.recurrence.cpu import (
    FLOPS_WORTH_A_TEAM,
    does_inputs,
    kernels_of,
    shared_values,
)
from tinygrad_rnn.kernels.recurrence.cpu_standard import standardize_link
from tinygrad_rnn.kernels.recurrence.run import (
    given_values,
    output_holder,
    output_of,
    own_arrays,
)
from tinygrad_rnn.kernels.recurrence.schedule import schedule_of
from tinygrad_rnn.kernels.recurrence.shapes import shapes_of
from tinygrad_rnn.kernels.recurrence.sized import Run, Sized, at_sizes
from tinygrad_rnn.kernels.recurrence.steps import Layer, Product
from tinygrad_rnn.kernels.softmax.cpu import sums_link

__all__ = ["Steps"]

Array = Any
_TABLE_ROWS = 512  # rows of an input that takes few values are multiplied ahead up to so many


class Steps:
    """``count`` steps of ``rows`` rows through all layers.

    Of a single step, whoever calls writes the input and the states, calls ``run``, and reads what
    comes out. A sequence is read where it is, and what comes out is an array of its own: see
    ``over``, for layers alone, without table, products and sums. One thread at a time does either.

    before, after   for each layer the states (rows, width) that are read, and the new ones
    out             what the last layer gives out, or the products of it: (count rows, width)
    sums            if they are asked for: of ``out`` as of scores, see ``kernels.softmax``

    Args:
        table: The rows that the input is one of, (V, I); ``read`` then takes their numbers.
        like: An array of the element type.
    """

    def __init__(
        self, layers: Sequence[Layer], rows: int, rules: Any, like: Array, *, width: int,
        count: int = 1, table: Array | None = None, products: Sequence[Product] = (),
        sums: bool = False,
    ) -> None:  # fmt: skip
        self.rows, self.count, self.dtype, self.table = rows, count, like.dtype, table
        self._sources: list[tuple[Array, Array]] = []  # rows by number, and where they go
        self._links: list[Link] = []
        self._turns: list[memoryview] = []  # an array would take ten times as long to change
        self._multiplied = 0
        self._states: list[list[Array]] = []  # before all steps, and after each of them
        self.before: list[list[Array]] = []
        self.after: list[list[Array]] = []
        self._given_out: Array = None  # what holds the outputs of the last layer
        x = self.x = empty((count * rows, width), self.dtype)
        for number, layer in enumerate(layers):
            x = self._add(layer, rules, x, first=number == 0)
        for product in products:
            x = self._product(x, product)
        self.out = x
        if sums:
            self.sums = empty((3, rows), self.dtype)
            self._links.append(sums_link(x, self.sums))
        worth = 2.0 * rows * count * self._multiplied > FLOPS_WORTH_A_TEAM
        moving = [self.x, self._given_out] if count > 1 else []
        self._chain = Chain(self._links, limit=None if worth else 1, moving=moving)

    def run(self, *arrays: Array) -> None:
        """Do all steps, on arrays in place of those that move."""
        self._chain(*arrays)
        if self.count & 1:
            for turn in self._turns:  # the next one begins at the other end
                turn[0] ^= 1

    def over(
        self, x: Array, states: Sequence[Sequence[Array]] | None
    ) -> tuple[Array, list[list[Array]]]:
        """Do all steps of x, which is read where it is; from zeros, if there are no states.

        x (count, rows, I), its rows together  ->  what comes out (count, rows, width), and the
        new states (rows, width) of each layer: new arrays
        """
        rows, held = self.rows, self._given_out
        fresh = empty(held.shape, self.dtype)
        layers = [[fresh if s is held else s for s in layer] for layer in self._states]
        for number, layer in enumerate(layers):
            for place, state in enumerate(layer):
                state[:rows] = 0 if states is None else states[number][place]
        self.run(x, fresh)
        y = fresh[len(fresh) - self.count * rows :].reshape(self.count, rows, -1)
        return y, [[state[-rows:].copy() for state in layer] for layer in layers]

    def read(self, numbers: Array) -> None:
        """Let the input be rows of the table; their numbers have been checked."""
        for source, target in self._sources:
            np.take(source, numbers, axis=0, out=target, mode="clip")

    def _add(self, layer: Layer, rules: Any, x: Array, first: bool) -> Array:
        """Add a layer that reads x; give what it gives out."""
        rows, count, params, dtype = self.rows, self.count, layer.params, self.dtype
        # Shapes of a sequence; the numbers in these arrays are never read.
        given = [np.empty((rows, width), dtype) for width in layer.widths]
        weights = [params[name] for name in layer.program.weights]
        sequence = x.reshape(count, rows, -1) if layer.program.input else None
        sized = at_sizes(layer.program, rules, shapes_of(sequence, given, weights))
        layout, schedule = sized.layout, schedule_of(None, count, rows, False)
        arrays = own_arrays(sized, schedule, params, count * rows, x)
        inside = self._hoist(sized, layer, arrays, x, first)
        self._links += [
            standardize_link(arrays[f"z{i}"], e, arrays[f"r{i}"]) for i, e in sized.standards
        ]
        states = [arrays[name] for name in layout.states]
        self._states.append(states)
        self.before.append([state[:rows] for state in states])
        self.after.append([state[-rows:] for state in states])
        arrays["x"] = x
        settings = given_values(layout, layer.settings, None, schedule, rows, x)
        run = Run(
            sized, schedule, (count, rows), False, given, False,
            x, params, layer.forms, settings, arrays,
        )  # fmt: skip
        values = arrays | {"inside": int(inside)}
        values |= shared_values(run, inside)
        self._turns.append(memoryview(values["turn"]))
        module = kernels_of(layout).module
        arguments = [values[name] for name, _ in module.FORWARD[2:]]
        self._links.append(Link(module.forward, 0, tuple(arguments)))
        self._multiplied += sized.weight_count
        self._given_out = output_holder(layout, arrays)
        return output_of(layout, arrays, count * rows, rows, False)

    def _hoist(
        self, sized: Sized, layer: Layer, arrays: dict[str, Array], x: Array, first: bool
    ) -> bool:
        """What is multiplied with x alone: looked up where that is known before.

        Returns whether the step does it itself.
        """
        known = self.table if first else None
        looked_up = known is not None and len(known) <= _TABLE_ROWS
        inside = not looked_up and does_inputs(sized, self.rows, self.count)
        for name, weight, bias in sized.hoisted:
            begin = None if bias is None else layer.params[bias[0]][bias[1]]
            if looked_up:
                source = matmul(known, layer.params[weight], bias=begin)
                arrays[name] = empty((self.rows, source.shape[1]), self.dtype)
                self._sources.append((source, arrays[name]))
            elif inside:
                weights = layer.params[weight]
                arrays[name] = empty((len(x), weights.shape[1]), self.dtype)
                self._multiplied += weights.size
            else:
                product = Product(layer.params[weight], layer.forms[weight], begin)
                arrays[name] = self._product(x, product)
        if known is not None and not (looked_up and not sized.layout.reads_input):
            self._sources.append((known, x))
        return inside

    def _product(self, x: Array, product: Product) -> Array:
        """Add a product with x; give where it goes."""
        weight, forms, bias = product.weight, product.forms, product.bias
        key = "packed" if weight.flags.c_contiguous else "packed transpose"
        if key not in forms:
            forms[key] = pack(weight)
        out = empty((len(x), weight.shape[1]), self.dtype)
        begin = None if bias is None else np.ascontiguousarray(bias)
        self._links.append(product_link(x, forms[key], out, begin))
        self._multiplied += weight.size
        return out
