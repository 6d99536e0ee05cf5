"""How a cell becomes a program: called with symbols, its ``step`` leaves operations behind.

Anything can be traced that has

    state    ("h", "c"), or {"h": "P", "c": "H"}: the rows that are carried, H wide unless said
    params   {"w_x": "I 4H", "b": "4H"}: the shape of each weight, in letters
    step     step(x, *state, p) -> the new state rows; without x if ``input`` is None

and perhaps ``input`` (the width of x, "I" unless said), ``output(*state)``, and ``constants``
({"b": 0.0}: numbers that stand among the weights; adding a 0 leaves no line behind).
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.kernels.recurrence.program import (
    COMPARISONS,
    ELEMENTWISE,
    ONE,
    Operation,
    Program,
    TraceError,
    Width,
    parse_width,
)

__all__ = ["Declaration", "Symbol", "Weights", "declaration", "trace"]


class Symbol:
    """A row that is not there yet: operating on it writes a line of the program."""

    __slots__ = ("number", "tracer")

    __array_ufunc__ = None
    traced = True  # functions of Tensors call ``apply`` on what says so

    def __init__(self, tracer: "_Tracer", number: int) -> None:
        self.tracer = tracer
        self.number = number

    @property
    def width(self) -> Width:
        """How wide the row is."""
        return self.tracer.operations[self.number].width

    @property
    def data(self) -> "Symbol":
        """The row itself: what functions of Tensors compare to choose a side."""
        return self

    real = data
    dtype = np.dtype(np.float64)  # floating-point numbers of any size

    def apply(self, name: str, *operands: Any, **attrs: Any) -> "Symbol":
        """Write the line ``name operands``; ``ops`` calls this for its functions."""
        if name == "softplus":  # exact where exp would overflow
            positive = self.apply("gt", self, 0.0)
            folded = self.apply("where", positive, self.apply("neg", self), self)
            top = self.apply("where", positive, self, 0.0)
            return self.apply("add", top, self.apply("log1p", self.apply("exp", folded)))
        return self.tracer.elementwise(name, operands, attrs)

    def __matmul__(self, weight: Any) -> "Symbol":
        return self.tracer.matmul(self, weight)

    def chunk(self, chunks: int, axis: int = -1) -> tuple["Symbol", ...]:
        """The row in equal pieces."""
        if axis not in (-1, 1):
            raise TraceError(f"chunk along axis {axis}: in a step, rows have one axis, the last")
        width = self.width
        if width.count % chunks:
            raise TraceError(f"chunk: a row of width {width} in {chunks} equal pieces")
        piece = Width(width.count // chunks, width.letter)
        return tuple(
            self.tracer.line("chunk", (self.number,), piece, index=i) for i in range(chunks)
        )

    def clip(self, low: float | None = None, high: float | None = None) -> "Symbol":
        """Held between two numbers."""
        return self.apply("clip", self, low=low, high=high)

    def __pow__(self, exponent: float) -> "Symbol":
        if not isinstance(exponent, int | float):
            raise TraceError("**: the exponent has to be a number")
        if exponent == 2:
            return self.apply("square", self)
        return self.apply("power_of", self, exponent=float(exponent))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise TraceError(f".{name} is nothing that a fused step can do")

    def __ne__(self, other: object) -> Any:
        raise TraceError("!=; use == and exchange the two sides of ops.where")

    def __bool__(self) -> bool:
        raise TraceError("a branch on the value of a row; use ops.where")

    def __iter__(self) -> Any:
        raise TraceError("iterating over a row; use .chunk(n)")

    __hash__ = object.__hash__


def _bind() -> None:
    def method(name: str) -> Callable[..., Symbol]:
        return lambda self, *others: self.apply(name, self, *others)

    def reflected(name: str) -> Callable[..., Symbol]:
        return lambda self, other: self.apply(name, other, self)

    for name in ("add", "sub", "mul"):
        setattr(Symbol, f"__{name}__", method(name))
        setattr(Symbol, f"__r{name}__", reflected(name))
    for name, function in {
        "__truediv__": method("div"),
        "__rtruediv__": reflected("div"),
        "__neg__": method("neg"),
        "__abs__": method("abs"),
    }.items():
        setattr(Symbol, name, function)
    for name in COMPARISONS:
        setattr(Symbol, f"__{name}__", method(name))
    for name in ELEMENTWISE - COMPARISONS - {"clip", "power_of", "where"}:
        setattr(Symbol, name, method(name))


_bind()


class Weights:
    """The ``p`` of a step: weights by name."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self.__dict__.update(weights)

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(self.__dict__) or "none"
        raise AttributeError(f"step reads p.{name}, but the weights that params declares: {known}")


class _Tracer:
    """Collects the lines that symbols write; equal lines are written once."""

    def __init__(self, params: Mapping[str, tuple[Width, ...]]) -> None:
        self.operations: list[Operation] = []
        self.numbers: dict[Operation, int] = {}
        self.params = params

    def line(self, name: str, args: tuple[int, ...], width: Width, **attrs: Any) -> Symbol:
        operation = Operation(name, args, width, tuple(sorted(attrs.items())))
        number = self.numbers.get(operation)
        if number is None:
            number = self.numbers[operation] = len(self.operations)
            self.operations.append(operation)
        return Symbol(self, number)

    def operand(self, value: Any) -> Symbol:
        if isinstance(value, Symbol):
            return value
        if isinstance(value, _Weight):
            return value.row()
        if isinstance(value, bool | int | float):
            return self.line("const", (), ONE, value=float(value))
        raise TraceError(f"a {type(value).__name__} as an operand: expected a row or a number")

    def elementwise(self, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> Symbol:
        if name not in ELEMENTWISE:
            raise TraceError(f"{name} is nothing that a fused step can do")
        if name == "add":
            # The number 0 is a term that is not there: the bias of a cell without one.
            terms = [x for x in operands if not (isinstance(x, int | float) and x == 0)]
            if len(terms) == 1:
                return self.operand(terms[0])
        rows = [self.operand(x) for x in operands]
        for place, row in enumerate(rows):
            compared = self.operations[row.number].name in COMPARISONS
            if compared != (name == "where" and place == 0):
                raise TraceError(
                    f"{name} of a comparison; only ops.where takes one, as its condition"
                    if compared
                    else "ops.where: the condition is not a comparison of rows"
                )
        widths = {row.width for row in rows if row.width != ONE}
        if len(widths) > 1:
            raise TraceError(
                f"{name} of rows of different widths: {' and '.join(sorted(map(str, widths)))}"
            )
        width = next(iter(widths), ONE)
        return self.line(name, tuple(row.number for row in rows), width, **attrs)

    def matmul(self, row: Symbol, weight: Any) -> Symbol:
        if not isinstance(weight, _Weight) or len(weight.shape) != 2:
            raise TraceError("@: the right side has to be a weight with two axes")
        if row.width != weight.shape[0]:
            shape = " ".join(map(str, weight.shape))
            raise TraceError(
                f"@: a row of width {row.width} with {weight.name!r}, which is {shape!r}"
            )
        return self.line("matmul", (row.number,), weight.shape[1], weight=weight.name)


class _Weight:
    """A weight while tracing: the right side of @, or a row (or number) of its own."""

    __array_ufunc__ = None
    traced = True

    def __init__(self, tracer: _Tracer, name: str, shape: tuple[Width, ...]) -> None:
        self.tracer = tracer
        self.name = name
        self.shape = shape

    def row(self) -> Symbol:
        if len(self.shape) > 1:
            raise TraceError(f"the weight {self.name!r} has two axes; use it on the right of @")
        return self.tracer.line("param", (), self.shape[0] if self.shape else ONE, weight=self.name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.row(), name)


def _bind_weight() -> None:
    def forward(name: str) -> Callable[..., Any]:
        return lambda self, *others: getattr(self.row(), name)(*others)

    names = [
        "add",
        "radd",
        "sub",
        "rsub",
        "mul",
        "rmul",
        "truediv",
        "rtruediv",
        "neg",
        "abs",
        "pow",
        "gt",
        "ge",
        "lt",
        "le",
    ]
    for name in names:
        setattr(_Weight, f"__{name}__", forward(f"__{name}__"))


_bind_weight()


@dataclass(frozen=True)
class Declaration:
    """What a cell says before any equation: its states, its weights, and how wide x is."""

    states: tuple[tuple[str, Width], ...]
    params: tuple[tuple[str, tuple[Width, ...]], ...]
    input: Width | None


def declaration(cell: Any) -> Declaration:
    """The widths of a cell's states, weights and input."""
    states = cell.state
    if isinstance(states, str):
        states = (states,)
    if not isinstance(states, Mapping):
        states = dict.fromkeys(states, "H")
    if not states:
        raise TraceError(f"{type(cell).__name__} has no state: nothing recurs")
    params = tuple(
        (name, tuple(parse_width(word) for word in shape.split()))
        for name, shape in cell.params.items()
    )
    for name, shape in params:
        if len(shape) > 2:
            raise TraceError(f"the weight {name!r} has {len(shape)} axes, expected at most two")
    width = getattr(cell, "input", "I")
    return Declaration(
        tuple((name, parse_width(width)) for name, width in states.items()),
        params,
        None if width is None else parse_width(width),
    )


def trace(cell: Any) -> Program:
    """The program of a cell: see the module's text for what a cell is."""
    declared = declaration(cell)
    tracer = _Tracer(dict(declared.params))
    rows = [] if declared.input is None else [tracer.line("input", (), declared.input)]
    rows += [tracer.line("state", (), w, index=i) for i, (_, w) in enumerate(declared.states)]
    weights = Weights(
        {
            **getattr(cell, "constants", {}),
            **{name: _Weight(tracer, name, shape) for name, shape in declared.params},
        }
    )
    try:
        results = cell.step(*rows, weights)
        results = results if isinstance(results, tuple | list) else (results,)
        output = cell.output(*results) if hasattr(cell, "output") else results[0]
        numbers = [tracer.operand(row).number for row in results]
        last = tracer.operand(output).number
    except (TypeError, ValueError) as error:  # NumPy and Tensors refuse symbols with these
        raise TraceError(_with_place(cell, error)) from error
    _check_results(cell, tracer, declared.states, numbers)
    return Program(
        tuple(tracer.operations),
        declared.states,
        declared.params,
        declared.input,
        tuple(numbers),
        last,
    )


def _check_results(
    cell: Any, tracer: _Tracer, states: tuple[tuple[str, Width], ...], numbers: list[int]
) -> None:
    if len(numbers) != len(states):
        raise TraceError(
            f"{type(cell).__name__}.step returned {len(numbers)} rows for the states "
            f"{', '.join(name for name, _ in states)}"
        )
    for (name, width), number in zip(states, numbers, strict=True):
        given = tracer.operations[number].width
        if given != width:
            raise TraceError(
                f"{type(cell).__name__}.step returned a row of width {given} for the state "
                f"{name!r}, which is {width} wide"
            )


def _with_place(cell: Any, error: Exception) -> str:
    """What went wrong, in which function, and where in the cell's own source."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(cell.step, "__code__", None)
    own = [i for i, f in enumerate(frames) if code and f.filename == code.co_filename]
    if not own:
        return f"{error} ({type(cell).__name__})"
    frame, inner = frames[own[-1]], frames[own[-1] + 1 :]
    called = f"{inner[0].name}: " if inner and inner[0].filename != __file__ else ""
    return f"{called}{error} ({frame.filename}:{frame.lineno}: {frame.line})"
