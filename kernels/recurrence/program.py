"""A cell as a program: called with symbols, its ``step`` leaves a list of operations behind.

A ``Program`` is what everything else starts from: the interpreter runs it, ``lowering``
cuts it into products and element-wise segments, options and masks rewrite it. It knows
widths only as letters ("4H"), so one program serves all sizes.

Anything can be traced that has

    state    ("h", "c"), or {"h": "P", "c": "H"}: the rows that are carried, H wide unless said
    params   {"w_x": "I 4H", "b": "4H"}: the shape of each weight, in letters
    step     step(x, *state, p) -> the new state rows; without x if ``input`` is None

and perhaps ``input`` (the width of x, "I" unless said) and ``output(*state)``.
"""

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

__all__ = ["Operation", "Program", "Symbol", "TraceError", "Width", "parse_width", "trace"]

ELEMENTWISE = frozenset(
    "add sub mul div neg square sqrt reciprocal power_of exp log log1p expm1 sin cos sign abs "
    "sigmoid tanh relu maximum minimum clip where gt ge lt le eq".split()
)
COMPARISONS = frozenset({"gt", "ge", "lt", "le", "eq"})


class TraceError(TypeError):
    """Something in a cell's equations that cannot become part of a program."""


@dataclass(frozen=True, slots=True)
class Width:
    """How wide a row is: ``count`` times the size that ``letter`` stands for; 1 has no letter."""

    count: int
    letter: str

    def __str__(self) -> str:
        if not self.letter:
            return str(self.count)
        return self.letter if self.count == 1 else f"{self.count}{self.letter}"

    def of(self, sizes: Mapping[str, int]) -> int:
        """The width as a number."""
        return self.count * (sizes[self.letter] if self.letter else 1)


ONE = Width(1, "")


def parse_width(text: str) -> Width:
    """The width that "H" or "4H" or "1" says."""
    match = re.fullmatch(r"(\d*)([A-Z]?)", text)
    if not match or not text or match[1] == "0" or match[2] in ("T", "B"):
        raise TraceError(
            f"{text!r} is not a width: expected a capital letter, as H, or a multiple, as 4H "
            "(T and B are the number of steps and rows)"
        )
    return Width(int(match[1] or 1), match[2])


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of a program: ``args`` are numbers of earlier lines."""

    name: str
    args: tuple[int, ...]
    width: Width
    attrs: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, key: str) -> Any:
        return dict(self.attrs)[key]


@dataclass(frozen=True)
class Program:
    """The equations of a cell as straight-line code over named rows; hashable."""

    operations: tuple[Operation, ...]
    states: tuple[tuple[str, Width], ...]
    params: tuple[tuple[str, tuple[Width, ...]], ...]
    input: Width | None
    results: tuple[int, ...]  # the line of each new state
    output: int  # the line of what a step gives out

    def __str__(self) -> str:
        return "\n".join(self._line(i) for i in range(len(self.operations)))

    def _line(self, number: int) -> str:
        op = self.operations[number]
        operands = [f"v{i}" for i in op.args] + [f"{k}={v}" for k, v in op.attrs]
        notes = [f"new {self.states[i][0]}" for i, r in enumerate(self.results) if r == number]
        notes += ["output"] if number == self.output else []
        note = f"   # {', '.join(notes)}" if notes else ""
        return f"v{number} ({op.width}) = {op.name} {', '.join(operands)}{note}"

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of all widths, in the order in which they appear."""
        widths = [w for _, w in self.states] + ([self.input] if self.input else [])
        widths += [w for _, shape in self.params for w in shape]
        return tuple(dict.fromkeys(w.letter for w in widths if w.letter))

    def unused_params(self) -> list[str]:
        """Weights that the step never looks at."""
        used = {op["weight"] for op in self.operations if op.name == "param"}
        used |= {op["weight"] for op in self.operations if op.name == "matmul"}
        return [name for name, _ in self.params if name not in used]


# ----- tracing -----


class Symbol:
    """A row that is not there yet: operating on it writes a line of the program."""

    __slots__ = ("number", "tracer")

    __array_ufunc__ = None

    def __init__(self, tracer: "_Tracer", number: int) -> None:
        self.tracer = tracer
        self.number = number

    @property
    def width(self) -> Width:
        """How wide the row is."""
        return self.tracer.operations[self.number].width

    def apply(self, name: str, *operands: Any, **attrs: Any) -> "Symbol":
        """Write the line ``name operands``; ``ops`` calls this for its functions."""
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
        if name.startswith("__"):
            raise AttributeError(name)
        raise TraceError(f".{name} is nothing that a fused step can do")

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
    Symbol.__truediv__ = method("div")  # type: ignore[attr-defined]
    Symbol.__rtruediv__ = reflected("div")  # type: ignore[attr-defined]
    Symbol.__neg__ = method("neg")  # type: ignore[attr-defined]
    Symbol.__abs__ = method("abs")  # type: ignore[attr-defined]
    for name in COMPARISONS - {"eq"}:
        setattr(Symbol, f"__{name}__", method(name))
    for name in ELEMENTWISE - COMPARISONS - {"clip", "power_of", "where"}:
        setattr(Symbol, name, method(name))


_bind()


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
        rows = [self.operand(x) for x in operands]
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


def trace(cell: Any) -> Program:
    """The program of a cell: see the module's text for what a cell is."""
    states = _widths_of_states(cell)
    params = {
        name: tuple(parse_width(word) for word in shape.split())
        for name, shape in cell.params.items()
    }
    for name, shape in params.items():
        if len(shape) > 2:
            raise TraceError(f"the weight {name!r} has {len(shape)} axes, expected at most two")
    tracer = _Tracer(params)
    width = getattr(cell, "input", "I")
    rows = [] if width is None else [tracer.line("input", (), parse_width(width))]
    rows += [tracer.line("state", (), w, index=i) for i, (_, w) in enumerate(states)]
    weights = SimpleNamespace(**{n: _Weight(tracer, n, s) for n, s in params.items()})
    try:
        results = cell.step(*rows, weights)
        results = results if isinstance(results, tuple | list) else (results,)
        output = cell.output(*results) if hasattr(cell, "output") else results[0]
        numbers = [tracer.operand(row).number for row in results]
        last = tracer.operand(output).number
    except TraceError as error:
        raise TraceError(f"{error} ({_line_of(cell, error)})") from None
    _check_results(cell, tracer, states, numbers)
    return Program(
        tuple(tracer.operations),
        states,
        tuple(params.items()),
        None if width is None else parse_width(width),
        tuple(numbers),
        last,
    )


def _widths_of_states(cell: Any) -> tuple[tuple[str, Width], ...]:
    state = cell.state
    if isinstance(state, str):
        state = (state,)
    if not isinstance(state, Mapping):
        state = dict.fromkeys(state, "H")
    if not state:
        raise TraceError(f"{type(cell).__name__} has no state: nothing recurs")
    return tuple((name, parse_width(width)) for name, width in state.items())


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


def _line_of(cell: Any, error: TraceError) -> str:
    """Where in the cell's own source the error arose."""
    here = __file__
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != here]
    if not frames:
        return type(cell).__name__
    frame = frames[-1]
    return f"{frame.filename}:{frame.lineno}: {frame.line}"


def rewritten(program: Program, operations: Sequence[Operation], **changes: Any) -> Program:
    """The program with other lines."""
    return replace(program, operations=tuple(operations), **changes)
