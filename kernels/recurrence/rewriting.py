"""Rewriting a program: its lines again, with something done to some of them.

Options of cells (dropout, layer normalisation, ...) are changes, functions of the rows that
are found at a few places of every program. What comes out is a program like any other: the
interpreter runs it, and kernels are written for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tinygrad_rnn.kernels.recurrence.program import Program, Width
from tinygrad_rnn.kernels.recurrence.symbols import Symbol, Tracer

__all__ = ["Change", "rewritten"]

Declared = tuple[tuple[str, tuple[Width, ...]], ...]


class Change:
    """What is done to the rows of a program; here nothing. An option overrides what it needs."""

    def __init__(self) -> None:
        self.tracer: Tracer  # writes the new lines

    def declared(self, program: Program) -> tuple[Any, Declared]:
        """The states and weights of the new program."""
        return program.states, program.params

    def input(self, row: Symbol) -> Symbol:
        """What is read in place of x."""
        return row

    def operand(self, row: Symbol, weight: str) -> Symbol:
        """What is multiplied with a weight, where it depends on a state."""
        return row

    def product(self, row: Symbol, weight: str) -> Symbol:
        """What is read in place of a product with a weight."""
        return row

    def function(self, name: str, row: Symbol) -> Any:
        """The result of an element-wise function of one row."""
        return row.apply(name, row)

    def state(self, name: str, old: Symbol, new: Symbol) -> tuple[Symbol, Symbol]:
        """What is carried to the next step as a new state, and what this step goes on with."""
        return new, new


def rewritten(
    program: Program, change: Change, output: Callable[..., Any] | None = None
) -> tuple[Program, list[int]]:
    """The program with a change, and for each old line the one that stands for it.

    ``output`` makes what is given out of the new states; None: the first of them.
    """
    states, params = change.declared(program)
    tracer = change.tracer = Tracer(dict(params))
    work = _Rewriting(program, change, states)
    for number in range(len(program.operations)):
        work.line(number)
    results = [work.carried[i] for i in range(len(program.results))]
    out = results[0] if output is None else tracer.operand(output(*results))
    new = Program(
        tuple(tracer.operations), states, params, program.input,
        tuple(row.number for row in results), out.number,
    )  # fmt: skip
    return _without_waste(new, [row.number for row in work.rows])


class _Rewriting:
    """One pass over the lines of a program."""

    def __init__(self, program: Program, change: Change, states: Any) -> None:
        self.program = program
        self.change = change
        self.tracer = change.tracer
        self.states = states
        self.rows: list[Symbol] = []  # what stands for each old line
        self.carried: dict[int, Symbol] = {}  # the new states
        self.recurs: set[int] = set()  # old lines that depend on a state
        self.old: list[Symbol] = [
            self.tracer.line("state", (), width, index=i) for i, (_, width) in enumerate(states)
        ]

    def line(self, number: int) -> None:
        """Write what stands for an old line."""
        op = self.program.operations[number]
        if op.name == "state" or self.recurs & set(op.args):
            self.recurs.add(number)
        row = self.made(number)
        for i, result in enumerate(self.program.results):
            if result == number:
                name = self.states[i][0]
                self.carried[i], used = self.change.state(name, self.old[i], row)
                # An old state that is a new one, too, is read in this step as it was.
                first = i == self.program.results.index(number) and op.name != "state"
                row = used if first else row
        self.rows.append(row)

    def made(self, number: int) -> Symbol:
        """The new line of the same meaning, as the change wants it."""
        op, change = self.program.operations[number], self.change
        args = [self.rows[i] for i in op.args]
        if op.name == "state":
            return self.old[int(op["index"])]
        if op.name == "matmul":
            weight = op["weight"]
            row = change.operand(args[0], weight) if op.args[0] in self.recurs else args[0]
            product = self.tracer.line("matmul", (row.number,), op.width, weight=weight)
            return change.product(product, weight)
        if op.name == "input":
            return change.input(self.tracer.line("input", (), op.width))
        if len(args) == 1 and not op.attrs:
            return self.tracer.operand(change.function(op.name, args[0]))
        return self.tracer.line(op.name, tuple(a.number for a in args), op.width, **dict(op.attrs))


def _without_waste(program: Program, rows: Sequence[int]) -> tuple[Program, list[int]]:
    """The program without lines that nothing needs; those of ``rows`` are -1 where they go."""
    needed = program.reached()
    place = {old: new for new, old in enumerate(needed)}
    operations = tuple(
        replace(op, args=tuple(place[a] for a in op.args))
        for op in (program.operations[n] for n in needed)
    )
    results = tuple(place[n] for n in program.results)
    smaller = Program(
        operations, program.states, program.params, program.input, results, place[program.output]
    )
    return smaller, [place.get(n, -1) for n in rows]
