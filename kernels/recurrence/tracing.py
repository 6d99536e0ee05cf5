"""How a cell becomes a program: called with symbols, its ``step`` leaves operations behind.

Anything can be traced that has

    state    ("h", "c"), or {"h": "P", "c": "H"}: the rows that are carried, H wide unless said
    params   {"w_x": "I 4H", "b": "4H"}: the shape of each weight, in letters
    step     step(x, *state, p) -> the new state rows; without x if ``input`` is None

and perhaps ``input`` (the width of x, "I" unless said), ``output(*state)``, and ``constants``
({"b": 0.0}: numbers that stand among the weights; adding a 0 leaves no line behind).
"""

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad_rnn.errors import CellError, TraceError
from tinygrad_rnn.kernels.recurrence.naming import Locals
from tinygrad_rnn.kernels.recurrence.program import Program, Width, parse_width
from tinygrad_rnn.kernels.recurrence.symbols import Symbol, Tracer, Weights

__all__ = [
    "Declaration",
    "check_step",
    "declaration",
    "new_output",
    "new_states",
    "trace",
    "trace_with_names",
]


@dataclass(frozen=True)
class Declaration:
    """What a cell says before any equation: its states, its weights, and how wide x is."""

    states: tuple[tuple[str, Width], ...]
    params: tuple[tuple[str, tuple[Width, ...]], ...]
    input: Width | None


def declaration(cell: Any) -> Declaration:
    """The widths of a cell's states, weights and input; CellError where they are none."""
    where = type(cell).__name__
    given = getattr(cell, "input", "I")
    declared = Declaration(
        _states(where, cell.state),
        _params(where, cell.params),
        None if given is None else _width(f"{where}: input", given),
    )
    names = [name for name, _ in declared.states + declared.params]
    names += ["x"] if declared.input else []
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CellError(
            f"{where}: {twice[0]!r} is the name of two things, expected different names for "
            "states, weights, and the input x."
        )
    return declared


def _states(where: str, given: Any) -> tuple[tuple[str, Width], ...]:
    if isinstance(given, str):
        given = (given,)
    if not isinstance(given, Mapping | list | tuple):
        raise CellError(
            f"{where}: state is {given!r}, expected names, as ('h', 'c'), or names and widths, "
            "as {'h': 'P', 'c': 'H'}."
        )
    pairs = list(given.items()) if isinstance(given, Mapping) else [(name, "H") for name in given]
    if not pairs:
        raise CellError(
            f"{where} has no state: nothing recurs. Expected the names of the rows that are "
            'carried, as state = ("h",).'
        )
    return tuple(
        (_name(f"{where}: state", name), _width(f"{where}: the width of the state {name!r}", width))
        for name, width in pairs
    )


def _params(where: str, given: Any) -> tuple[tuple[str, tuple[Width, ...]], ...]:
    if not isinstance(given, Mapping):
        raise CellError(
            f"{where}: params is {given!r}, expected names and shapes, as {{'w': 'H H', 'b': 'H'}}."
        )
    params = []
    for name, shape in given.items():
        if _name(f"{where}: params", name).startswith("_"):
            raise CellError(f"{where}: params has the name {name!r}, expected a letter at first.")
        of = f"{where}: the shape of the weight {name!r}"
        if not isinstance(shape, str):
            raise CellError(f"{of} is {shape!r}, expected widths in a string, as 'I 4H'.")
        widths = tuple(_width(of, word) for word in shape.split())
        if len(widths) > 2:
            raise CellError(f"{of} is {shape!r}, {len(widths)} axes, expected at most two.")
        params.append((name, widths))
    return tuple(params)


def _name(where: str, given: Any) -> str:
    if not isinstance(given, str) or not given.isidentifier():
        raise CellError(f"{where} has the name {given!r}, expected one that can stand in Python.")
    return given


def _width(where: str, given: Any) -> Width:
    try:
        return parse_width(given)
    except TraceError as error:
        raise CellError(f"{where}: {error}.") from None


def check_step(cell: Any, declared: Declaration) -> None:
    """CellError unless ``step`` and ``output`` take what they are called with, in this order."""
    states = [name for name, _ in declared.states]
    rows = ["x", *states, "p"] if declared.input else [*states, "p"]
    for name, expected in (("step", rows), ("output", states)):
        function = getattr(cell, name)
        try:
            signature = inspect.signature(function)
        except ValueError:  # of a builtin
            continue
        pairs = zip(signature.parameters, expected, strict=False)
        exchanged = any(taken in expected and taken != given for taken, given in pairs)
        try:
            signature.bind(*expected)
        except TypeError:
            exchanged = True
        if exchanged:
            raise CellError(
                f"{type(cell).__name__}: {name} is defined as {name}{signature} besides self, "
                f"expected to be called as {name}({', '.join(expected)})."
            )


def trace(cell: Any, mode: Callable[[], object] = lambda: None) -> Program:
    """The program of a cell: see the module's text for what a cell is.

    TraceError where a step does what a program cannot; CellError where it is wrong anyway.
    ``mode`` tells whether derivatives are recorded.
    """
    return trace_with_names(cell, mode)[0]


def trace_with_names(
    cell: Any, mode: Callable[[], object] = lambda: None
) -> tuple[Program, dict[str, int]]:
    """The program of a cell, and the lines that have names.

    A new state is called as the cell declares it, another row as the variable of ``step`` that
    held it last. They are not part of the program: cells with equal ones share it.
    """
    with Locals(cell) as seen:
        program, tracer = _traced(cell, mode, seen.look)
        values = seen.values()
    _refuse_change(cell, program, _traced(cell, mode)[0])
    names = {name: line for (name, _), line in zip(program.states, program.results, strict=True)}
    given = ("input", "state", "param", "const")
    found = {
        name: row.number
        for name, row in values.items()
        if isinstance(row, Symbol)
        and row.tracer is tracer
        and program.operations[row.number].name not in given
    }
    return program, names | found | names  # the states first, and whatever else has their names


def _traced(
    cell: Any, mode: Callable[[], object], look: Callable[[], object] = lambda: None
) -> tuple[Program, Tracer]:
    declared = declaration(cell)
    tracer = Tracer(dict(declared.params), mode, look)
    rows = [] if declared.input is None else [tracer.line("input", (), declared.input)]
    rows += [tracer.line("state", (), w, index=i) for i, (_, w) in enumerate(declared.states)]
    weights = Weights(getattr(cell, "constants", {}), tracer)
    try:
        results = new_states(cell, declared, cell.step(*rows, weights))
        output = new_output(cell, cell.output(*results)) if hasattr(cell, "output") else results[0]
        numbers = [tracer.operand(row).number for row in results]
        last = tracer.operand(output).number
    except (CellError, NotImplementedError):
        raise
    except Exception as error:  # a symbol is no Tensor: whatever follows from that
        raise TraceError(_with_place(cell, error)) from error
    _check_widths(cell, tracer, declared, numbers, last)
    program = Program(
        tuple(tracer.operations),
        declared.states,
        declared.params,
        declared.input,
        tuple(numbers),
        last,
    )
    return program, tracer


def _refuse_change(cell: Any, program: Program, again: Program) -> None:
    """TraceError where a step draws or counts: a program would say what it did once, for ever."""
    if program != again and repr(program) != repr(again):  # a NaN is equal to none
        raise TraceError(
            f"{type(cell).__name__}.step does something else when it is called again, as with "
            "random numbers; a program has the same equations at every step"
        )


def new_states(cell: Any, declared: Declaration, results: Any) -> list[Any]:
    """What a step has returned, one row for each state; CellError if it cannot be that."""
    rows = list(results) if isinstance(results, tuple | list) else [results]
    names = [name for name, _ in declared.states]
    if len(rows) != len(names) or any(row is None for row in rows):
        found = "None" if any(row is None for row in rows) else f"{len(rows)} rows"
        raise CellError(
            f"{type(cell).__name__}.step returned {found}, expected the new {', '.join(names)}."
        )
    for name, row in zip(names, rows, strict=True):
        _refuse_comparison(f"{type(cell).__name__}.step", f" for the state {name!r}", row)
    return rows


def new_output(cell: Any, output: Any) -> Any:
    """What ``output`` has returned; CellError if nothing can be given out of it."""
    where = f"{type(cell).__name__}.output"
    if output is None or isinstance(output, tuple | list):
        found = "None" if output is None else f"a {type(output).__name__}"
        raise CellError(f"{where} returned {found}, expected one row.")
    _refuse_comparison(where, "", output)
    return output


def _refuse_comparison(where: str, what: str, row: Any) -> None:
    if isinstance(row, Symbol) and row.is_comparison:
        raise CellError(
            f"{where} returned a comparison{what}, expected numbers; "
            "ops.where(condition, 1.0, 0.0) makes some of it."
        )


def _check_widths(
    cell: Any, tracer: Tracer, declared: Declaration, numbers: list[int], output: int
) -> None:
    """Whether each new state is as wide as the old, and all widths have a letter."""
    where = type(cell).__name__
    for (name, width), number in zip(declared.states, numbers, strict=True):
        given = tracer.operations[number].width
        if given != width:
            raise TraceError(
                f"{where}.step returned a row of width {given} for the state {name!r}, "
                f"which is {width} wide"
            )
    of_x = declared.input
    widths: list[tuple[str, Width, Width | None]] = [(n, w, None) for n, w in declared.states]
    for name, shape in declared.params:
        # A product with x may have any number of terms: that is an argument of its kernel.
        exempt = [of_x] * (len(shape) - 1) + [None]
        widths += [(name, w, e) for w, e in zip(shape, exempt, strict=False)]
    widths += [("the output", tracer.operations[output].width, None)]
    if of_x and any(0 in op.args and op.name != "matmul" for op in tracer.operations):
        widths += [("x", of_x, None)]
    for name, width, allowed in widths:
        if not width.letter and width != allowed:
            raise TraceError(
                f"{where}: {name} is {width} wide, but kernels take widths by letters, such as "
                f"K, with K={width.count} where the cell is made"
            )


def _with_place(cell: Any, error: Exception) -> str:
    """What went wrong, in which function, and where in the cell's own source."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(cell.step, "__code__", None)
    own = [i for i, f in enumerate(frames) if code and f.filename == code.co_filename]
    text = str(error).rstrip(".")
    if "does not support ufuncs" in text:
        text = "a function of NumPy; Tensors and rows have methods, and functions in ops"
    elif not isinstance(error, TypeError | ValueError):  # with which symbols are refused
        text = f"{type(error).__name__}: {text}"
    if not own:
        return f"{text} ({type(cell).__name__})"
    frame, inner = frames[own[-1]], frames[own[-1] + 1 :]
    ours = ("symbols.py", "tracing.py")
    called = f"{inner[0].name}: " if inner and not inner[0].filename.endswith(ours) else ""
    if called and text.startswith("."):  # what a function of Tensors asks a row for, of no interest
        called, text = "", f"{inner[0].name} is nothing that a fused step can do"
    return f"{called}{text} ({frame.filename}:{frame.lineno}: {frame.line})"
