"""A graph of ONNX as plain lists; the package ``onnx`` turns it into a file at the end."""

from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.tensor import Tensor

__all__ = ["TYPES", "Graph", "Names", "Node"]

Array = np.ndarray[Any, Any]

# ONNX' numbers of element types.
TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7,
    "bool": 9, "float16": 10, "float64": 11, "uint32": 12, "uint64": 13,
}  # fmt: skip


class Node(NamedTuple):
    """One node: operator, names of what goes in and comes out, attributes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Names:
    """New names beside those that are taken: value_0, value_1, ..."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = taken
        self._counted: dict[str, Iterator[str]] = {}

    def fresh(self, kind: str) -> str:
        """A name that is nobody's."""
        counted = self._counted.setdefault(kind, (f"{kind}_{n}" for n in count()))
        return next(name for name in counted if name not in self._taken)


class Graph:
    """Nodes and constants.

    weights  names of the model's weights, by the ids of their tensors
    axes     where a size that may be any is found: input and axis, by its name
    names    where those of nodes and constants come from
    """

    def __init__(
        self, weights: dict[int, str], axes: dict[str, tuple[str, int]], names: Names
    ) -> None:
        self.weights = weights
        self.axes = axes
        self.names = names
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._sizes: dict[str, str] = {}

    def add(self, operator: str, *inputs: str, to: str | Sequence[str] = "", **attrs: Any) -> str:
        """Add a node; ``to`` is what comes out is called, a new name unless given."""
        outputs = ([to] if isinstance(to, str) else list(to)) or [""]
        if outputs == [""]:
            outputs = [self.fresh()]
        while inputs and inputs[-1] == "":
            inputs = inputs[:-1]
        self.nodes.append(Node(operator, inputs, tuple(outputs), attrs))
        return outputs[0]

    def cast(self, x: str, dtype: Any, to: str = "") -> str:
        """x with another element type."""
        to = to or self.fresh()
        self.nodes.append(Node("Cast", (x,), (to,), {"to": TYPES[np.dtype(dtype).name]}))
        return to

    def fresh(self) -> str:
        """A name for what a node gives."""
        return self.names.fresh("step")

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of a constant; equal ones are one."""
        array = np.array(value, dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self.names.fresh("number")
            self.constants[self._known[key]] = array
        return self._known[key]

    def whole(self, *numbers: int) -> str:
        """A row of whole numbers: axes, sizes, places."""
        return self.constant(numbers, np.int64)

    def weight(self, tensor: Tensor) -> str:
        """The name of a weight of the model."""
        return self.weights[id(tensor)]

    def shape(self, sizes: Sequence[int | str]) -> str:
        """A shape of numbers, of names of axes, and of at most one -1."""
        if all(isinstance(n, int) for n in sizes):
            return self.whole(*map(int, sizes))
        parts = [self._size(n) if isinstance(n, str) else self.whole(n) for n in sizes]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0)

    def _size(self, name: str) -> str:
        if name not in self._sizes:
            source, axis = self.axes[name]
            shape = self.add("Shape", source)
            self._sizes[name] = self.add("Gather", shape, self.whole(axis), axis=0)
        return self._sizes[name]

    def prune(self, results: Sequence[str]) -> None:
        """Leave out nodes that none of the results needs."""
        needed, kept = set(results), []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.outputs):
                kept.append(node)
                needed |= set(node.inputs)
        self.nodes = kept[::-1]
