"""Let the recurrent layers of a model say what they did, whoever calls them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.nn import Cell, Module, Recurrent
from tinygrad_rnn.nn.trace import Trace, Traces

__all__ = ["Ran", "Watched", "cells_that_ran", "recurrent_layers", "watching"]

# A recurrent layer that has run, and the trace of that call.
Watched = tuple[Recurrent, Trace | Traces]


class Ran(NamedTuple):
    """A cell that has run: where it stands, in which layer, and what it did."""

    number: int
    direction: str
    cell: Cell
    layer: Recurrent
    trace: Trace


def recurrent_layers(where: str, model: Any) -> list[Recurrent]:
    """The recurrent layers of a model, or the layer itself; there has to be one."""
    if not isinstance(model, Module):
        raise ArgumentError(
            f"{where}: model is {shortened(model)}, expected a recurrent layer, or a Module that "
            "is built of them."
        )
    found = [module for module in model.modules() if isinstance(module, Recurrent)]
    if not found:
        raise ArgumentError(
            f"{where}: {type(model).__name__} has no recurrent layer, expected at least one: "
            "what is looked at are its states and gates."
        )
    return found


@contextmanager
def watching(layers: list[Recurrent]) -> Iterator[list[Watched]]:
    """In the with block, each call of the layers adds its trace to the list.

    The caller gets what it always gets, gradients included.
    """
    calls: list[Watched] = []
    for layer in layers:
        # On the object itself, where it goes before the method of the class.
        object.__setattr__(layer, "forward", _noting(layer, layer.forward, calls))
    try:
        yield calls
    finally:
        for layer in layers:
            object.__delattr__(layer, "forward")


def cells_that_ran(calls: list[Watched]) -> Iterator[Ran]:
    """The cells of all calls; layers are numbered through in the order in which they ran."""
    number = 0
    for layer, traces in calls:
        for cells, by_direction in zip(layer.layers, traces.layers, strict=True):
            for direction, trace in by_direction.items():
                yield Ran(number, direction, cells[direction], layer, trace)
            number += 1


def _noting(
    layer: Recurrent, forward: Callable[..., Any], calls: list[Watched]
) -> Callable[..., Any]:
    def noting(*args: Any, return_trace: bool = False, **kwargs: Any) -> Any:
        *results, trace = forward(*args, return_trace=True, **kwargs)
        calls.append((layer, trace))
        return (*results, trace) if return_trace else tuple(results)

    return noting
