"""Which programs are those of a cell that a persistent kernel is written for.

A kernel is written for equations, so equations are what is compared: those of nn.LSTMCell,
nn.GRUCell (reset after) and nn.RNNCell, with and without biases; names do not matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tinygrad_rnn.kernels.recurrence.persistent.reference import GRU, LSTM, RNN
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.tracing import trace

__all__ = ["Roles", "recognised"]


@dataclass(frozen=True)
class Roles:
    """The kind of cell that a program is, and the names of the weights that its steps read."""

    kind: str
    w_h: str
    b_h: str = ""


def _equations(program: Program) -> tuple[Any, ...]:
    """A program without the names of its weights and states: each is its number."""
    names = {name: number for number, (name, _) in enumerate(program.params)}
    lines = tuple(
        (op.name, op.args, op.width, tuple((k, names.get(v, v)) for k, v in op.attrs))
        for op in program.operations
    )
    widths = tuple(width for _, width in program.states)
    shapes = tuple(shape for _, shape in program.params)
    return lines, widths, shapes, program.input, program.results, program.output


def _known() -> Iterator[tuple[Any, str]]:
    for bias in (True, False):
        for kind, cell in {
            "lstm": LSTM(bias), "gru": GRU(bias),
            "tanh": RNN(bias, relu=False), "relu": RNN(bias, relu=True),
        }.items():  # fmt: skip
            yield _equations(trace(cell)), kind


@cache
def _table() -> dict[Any, str]:
    return dict(_known())


@cache
def recognised(program: Program) -> Roles | None:
    """The roles of a program's weights, if it is one of those."""
    kind = _table().get(_equations(program))
    if kind is None:
        return None
    names = program.weights
    return Roles(kind, names[1], names[3] if kind == "gru" and len(names) > 3 else "")
