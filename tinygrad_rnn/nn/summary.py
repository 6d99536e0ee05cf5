"""A summary of a module: what it holds, the shapes that come out, and what a call costs."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tinygrad_rnn import modes, random
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor

__all__ = ["Row", "Summary", "summarize"]


@dataclass(frozen=True)
class Row:
    """A module under one of its names, or one call of it.

    name           below the module that is summarised, which itself has none
    kind           its class
    shape          of the first tensor that came out; None where it was not called
    parameters     how many numbers it trains or could train, those below it included
    multiply_adds  of its matrix products in the call, those below it included
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    multiply_adds: int | None


@dataclass(frozen=True)
class Summary:
    """What ``Module.summary`` found; printed, a table.

    rows           the module, and all below in the order in which they stand
    parameters     how many numbers the parameters hold, each counted once
    trainable      those of them that want a gradient
    multiply_adds  of all matrix products of the call; None where there was no input
    """

    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    multiply_adds: int | None

    def __str__(self) -> str:
        head = ["", "output", "parameters", "multiply-adds"]
        names = {row.name for row in self.rows}
        lines = [head, *(_cells(row, names) for row in self.rows)]
        if self.multiply_adds is None:
            lines = [[name, count] for name, _, count, _ in lines]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(
                cell.ljust(n) if k == 0 else cell.rjust(n)
                for k, (cell, n) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        frozen = self.parameters - self.trainable
        return "\n".join([*table, f"{self.parameters:,} parameters, {frozen:,} of them frozen"])


def _cells(row: Row, names: set[str]) -> list[str]:
    """A line of the table; ``names`` are those of all lines, under which this one stands."""
    parts = row.name.split(".") if row.name else []
    above = [k for k in range(len(parts)) if ".".join(parts[:k]) in names]
    own = ".".join(parts[above[-1] :]) + ": " if above else ""
    name = "  " * len(above) + own + row.kind
    shape = "" if row.shape is None else str(row.shape)
    cost = "" if row.multiply_adds is None else f"{row.multiply_adds:,}"
    return [name, shape, f"{row.parameters:,}", cost]


def summarize(module: Module, inputs: Sequence[Any], options: dict[str, Any]) -> Summary:
    """The summary; a copy is run, so that the module stays as it is."""
    called: dict[str, Row] = {}
    total = None
    if inputs or options:
        module = copy.deepcopy(module).eval()
        counter = _Counter()
        for name, part in tuple(module.named_modules()):
            watched = partial(_watched, part.forward, name, part, counter, called)
            vars(part)["forward"] = watched  # found before the class's own
        with random.fork(), counter:
            module(*inputs, **options)
        total = counter.count
    rows = tuple(
        called.get(name) or Row(name, type(part).__name__, None, _size(part), None)
        for name, part in module.named_modules()
    )
    trainable = sum(p.size for p in module.parameters() if p.requires_grad)
    return Summary(rows, _size(module), trainable, total)


def _size(module: Module) -> int:
    return sum(parameter.size for parameter in module.parameters())


def _watched(
    forward: Callable[..., Any],
    name: str,
    module: Module,
    counter: "_Counter",
    called: dict[str, Row],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call a module, and note the shape of its result and what was multiplied meanwhile.

    Of several calls the shape is that of the last, and the multiplications are added up.
    """
    before = counter.count
    result = forward(*args, **kwargs)
    spent = counter.count - before
    earlier = called.get(name)
    if earlier is not None and earlier.multiply_adds is not None:
        spent += earlier.multiply_adds
    called[name] = Row(name, type(module).__name__, _shape(result), _size(module), spent)
    return result


def _shape(result: Any) -> tuple[int, ...] | None:
    """The shape of the first tensor in what a module gives."""
    while isinstance(result, tuple | list) and len(result):
        result = result[0]
    return result.shape if isinstance(result, Tensor) else None


# ----- counting -----


class _Counter(modes.Watch):
    """A mode that counts the multiply-adds of matrix products."""

    def __init__(self) -> None:
        self.count = 0

    def observe(self, op: Any, results: Any, inputs: Any, attrs: Any, node: Any) -> None:
        """Count one operation."""
        counted = _COSTS.get(op.name)
        if counted is not None:
            self.count += counted(results, inputs, attrs)


def _of_product(results: Any, inputs: Any, attrs: Any) -> int:
    return int(results[0].size * inputs[0].shape[-1])


def _of_convolution(results: Any, inputs: Any, attrs: Any) -> int:
    """Each output reads a window of the channels of its group."""
    return int(results[0].size * math.prod(inputs[1].shape[1:]))


def _of_recurrence(results: Any, inputs: Any, attrs: Any) -> int:
    """Each step multiplies a row with the weights of all products of the program."""
    program = attrs["program"]
    weights = inputs[len(inputs) - len(program.params) :]
    shapes = {name: x.shape for (name, _), x in zip(program.params, weights, strict=True)}
    each = sum(
        shapes[op["weight"]][0] * shapes[op["weight"]][-1]
        for op in program.operations
        if op.name == "matmul"
    )
    T, B = results[0].shape[:2]
    return int(T * B * each)


_COSTS: dict[str, Callable[[Any, Any, Any], int]] = {
    "matmul": _of_product,
    "linear": _of_product,
    "recurrence": _of_recurrence,
    "additive_scores": _of_product,
    "convolve": _of_convolution,
    "convolve_with_bias": _of_convolution,
}
