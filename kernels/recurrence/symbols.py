"""What a cell's ``step`` is called with while it is traced: each operation writes a line.

A symbol does what can be fused, and refuses the rest with a TraceError, so that a program
never says less than the equations: what is known of a row is its width in letters, and that
it holds floating-point numbers. ``ops`` adds the functions that are made of others.
"""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NoReturn

from tinygrad_rnn.errors import TraceError
from tinygrad_rnn.kernels.recurrence.elementwise import COMPARISONS, ELEMENTWISE
from tinygrad_rnn.kernels.recurrence.program import ONE, Operation, Width

__all__ = ["Symbol", "Tracer", "Weights"]


class Tracer:
    """Collects the lines that symbols write; equal lines are written once.

    Args:
        params: The shape of each weight.
        mode: What decides whether derivatives are recorded; inside a program nothing can.
        look: Called at each line, so that somebody sees who writes it.
    """

    def __init__(
        self,
        params: Mapping[str, tuple[Width, ...]],
        mode: Callable[[], object] = lambda: None,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self.operations: list[Operation] = []
        self.numbers: dict[Operation, int] = {}
        self.params = params
        self.mode = mode
        self.look = look
        self.outside = mode()

    def line(self, name: str, args: tuple[int, ...], width: Width, /, **attrs: Any) -> "Symbol":
        """Write a line, unless it is there already."""
        if self.mode() is not self.outside:
            raise TraceError(f"{name} inside no_grad(), which a program knows nothing of")
        self.look()
        operation = Operation(name, args, width, tuple(sorted(attrs.items())))
        number = self.numbers.get(operation)
        if number is None:
            number = self.numbers[operation] = len(self.operations)
            self.operations.append(operation)
        return Symbol(self, number)

    def weight(self, name: str) -> "Symbol | _Matrix":
        """A weight as a step reads it: a row or number, or the right side of @."""
        shape = self.params[name]
        if len(shape) == 2:
            return _Matrix(name, shape)
        return self.line("param", (), shape[0] if shape else ONE, weight=name)

    def noise(self, row: "Symbol", site: int, *, locked: bool) -> "Symbol":
        """Numbers from [0, 1), as many as a row has: new ones at each step, unless locked."""
        return self.line("noise", (row.number,), row.width, site=site, locked=locked)

    def setting(self, name: str) -> "Symbol":
        """A number that comes with the call: it has no derivative and needs no other kernel."""
        return self.line("setting", (), ONE, name=name)

    def operand(self, value: Any) -> "Symbol":
        """A row, or a number as one."""
        if isinstance(value, Symbol):
            if value.tracer is not self:
                raise TraceError("a row of another call, which the step has kept")
            return value
        if isinstance(value, Real):
            return self.line("const", (), ONE, value=float(value))
        if isinstance(value, _Matrix):
            value.refuse("as an operand")
        kind = type(value).__name__
        more = ", or a weight of params, as p.name" if kind == "Parameter" else ""
        raise TraceError(f"a {kind} as an operand: expected a row or a number{more}")

    def elementwise(self, name: str, operands: tuple[Any, ...], attrs: dict[str, Any]) -> "Symbol":
        """Write an operation that treats each element of its rows alike."""
        if name not in ELEMENTWISE:
            written = {"number_to_the": "a number to the power of a row"}.get(name, name)
            raise TraceError(f"{written} is nothing that a fused step can do")
        if name == "add":
            # The number 0 is a term that is not there: the bias of a cell without one.
            terms = [x for x in operands if not (isinstance(x, int | float) and x == 0)]
            if len(terms) == 1:
                return self.operand(terms[0])
        rows = [self.operand(x) for x in operands]
        for place, row in enumerate(rows):
            if row.is_comparison != (name == "where" and place == 0):
                raise TraceError(
                    f"{name} of a comparison; only ops.where takes one, as its condition"
                    if row.is_comparison
                    else "ops.where: the condition is not a comparison of rows"
                )
        widths = {row.width for row in rows if row.width != ONE}
        if len(widths) > 1:
            raise TraceError(
                f"{name} of rows of different widths: {' and '.join(sorted(map(str, widths)))}"
            )
        width = next(iter(widths), ONE)
        return self.line(name, tuple(row.number for row in rows), width, **attrs)


class Symbol:
    """A row that is not there yet."""

    __slots__ = ("number", "tracer")

    __array_ufunc__ = None
    __hash__ = object.__hash__
    traced = True  # functions of Tensors call ``apply`` on what says so

    def __init__(self, tracer: Tracer, number: int) -> None:
        self.tracer = tracer
        self.number = number

    @property
    def width(self) -> Width:
        """How wide the row is."""
        return self.tracer.operations[self.number].width

    @property
    def is_comparison(self) -> bool:
        """Whether it holds what a comparison gives."""
        return self.tracer.operations[self.number].name in COMPARISONS

    @property
    def data(self) -> "_Numbers":
        """What functions of Tensors compare to choose a side."""
        return _Numbers(self)

    @property
    def dtype(self) -> "_AnyFloat":
        """The type of its elements, as far as it is known."""
        return _AnyFloat()

    def apply(self, name: str, *operands: Any, **attrs: Any) -> "Symbol":
        """Write the line ``name operands``; ``ops`` calls this for its functions."""
        if name == "softplus":  # exact where exp would overflow
            positive = self.apply("gt", self, 0.0)
            folded = self.apply("where", positive, self.apply("neg", self), self)
            top = self.apply("where", positive, self, 0.0)
            return self.apply("add", top, self.apply("log1p", self.apply("exp", folded)))
        if name == "standardize":
            if self.is_comparison or not self.width.letter:
                raise TraceError("standardize, or layer_norm, of something that is no row")
            return self.tracer.line(name, (self.number,), self.width, **attrs)
        return self.tracer.elementwise(name, operands, attrs)

    def __matmul__(self, weight: Any) -> "Symbol":
        if not isinstance(weight, _Matrix):
            raise TraceError("@: the right side has to be a weight of params with two axes")
        if self.width != weight.axes[0]:
            raise TraceError(
                f"@: a row of width {self.width} with {weight.name!r}, which is {weight.text!r}"
            )
        return self.tracer.line("matmul", (self.number,), weight.axes[1], weight=weight.name)

    def __rmatmul__(self, left: object) -> NoReturn:
        raise TraceError("@: a row stands on the left, a weight of params on the right")

    def chunk(self, chunks: int, axis: int = -1) -> tuple["Symbol", ...]:
        """The row in equal pieces."""
        if axis not in (-1, 1):
            raise TraceError(f"chunk along axis {axis}: in a step, rows have one axis, the last")
        width = self.width
        if chunks < 1 or width.count % chunks:
            raise TraceError(f"chunk: a row of width {width} in {chunks} equal pieces")
        piece = Width(width.count // chunks, width.letter)
        return tuple(
            self.tracer.line("chunk", (self.number,), piece, index=i) for i in range(chunks)
        )

    def layer_norm(
        self, weight: "Symbol | None" = None, bias: "Symbol | None" = None, eps: float = 1e-5
    ) -> "Symbol":
        """The row with mean 0 and variance 1, times a weight, and a bias added."""
        row = self.apply("standardize", self, eps=float(eps))
        row = row if weight is None else row.apply("mul", row, weight)
        return row if bias is None else row.apply("add", row, bias)

    def __pow__(self, exponent: Any) -> "Symbol":
        if not isinstance(exponent, Real):
            raise TraceError("**: the exponent has to be a number")
        if exponent == 2:
            return self.apply("square", self)
        return self.apply("power_of", self, exponent=float(exponent))

    def __pos__(self) -> "Symbol":
        return self

    def __repr__(self) -> str:
        return f"<a row of width {self.width}, while the step is traced>"

    # ----- what has no place in a program -----

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise TraceError(f".{name} is nothing that a fused step can do")

    def __bool__(self) -> NoReturn:
        raise TraceError("a branch on the value of a row; use ops.where")

    def __iter__(self) -> Any:
        raise TraceError("iterating over a row; use .chunk(n)")

    def __getitem__(self, index: object) -> NoReturn:
        raise TraceError("[...]: parts of a row; a fused step cuts a row with .chunk(n)")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TraceError("a NumPy array of a row, whose numbers are not there yet")

    def __ne__(self, other: object) -> Any:
        raise TraceError("!=; use == and exchange the two sides of ops.where")

    def _logic(self, *other: object) -> NoReturn:
        raise TraceError("&, | and ~; put one ops.where into another")

    __and__ = __rand__ = __or__ = __ror__ = __invert__ = _logic


class _Numbers:
    """The ``data`` of a row: it may be compared; derivatives do not pass through it."""

    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(self, row: Symbol) -> None:
        self.row = row

    @property
    def real(self) -> "_Numbers":
        return self

    def __getattr__(self, name: str) -> NoReturn:
        raise TraceError(f".data.{name} is nothing that a fused step can do")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TraceError(".data as an array: its numbers are not there yet")


class _AnyFloat:
    """The element type of a row: a program serves floating-point numbers of any size."""

    kind = "f"
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> NoReturn:
        raise TraceError(f".dtype.{name}: a fused step serves every type of numbers")

    def __eq__(self, other: object) -> NoReturn:
        raise TraceError("a question about .dtype: a fused step serves every type of numbers")


class _Matrix:
    """A weight with two axes: it stands on the right of @, and nowhere else."""

    __array_ufunc__ = None
    __hash__ = object.__hash__
    traced = True

    def __init__(self, name: str, axes: tuple[Width, ...]) -> None:
        self.name = name
        self.axes = axes

    @property
    def text(self) -> str:
        """Its shape in letters."""
        return " ".join(map(str, self.axes))

    def refuse(self, *where: object) -> NoReturn:
        raise TraceError(f"the weight {self.name!r} has two axes; use it on the right of @")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self.refuse()


class Weights:
    """The ``p`` of a step: weights by name."""

    def __init__(self, weights: Mapping[str, Any], tracer: Tracer | None = None) -> None:
        self.__dict__.update(weights)
        self._tracer = tracer

    def __getattr__(self, name: str) -> Any:
        tracer = self.__dict__.get("_tracer")
        if tracer is not None and name in tracer.params:
            return tracer.weight(name)
        known = [*(n for n in self.__dict__ if n != "_tracer"), *(tracer.params if tracer else ())]
        raise AttributeError(
            f"step reads p.{name}, but params declares {', '.join(known) or 'no weight'}"
        )

    def __getitem__(self, name: Any) -> NoReturn:
        raise TypeError(f"step reads p[{name!r}], expected p.{name}: weights are attributes")


def _bind() -> None:
    def alone(name: str) -> Callable[..., Symbol]:
        return lambda self: self.apply(name, self)

    def method(name: str) -> Callable[..., Symbol]:
        return lambda self, other: self.apply(name, self, other)

    def reflected(name: str) -> Callable[..., Symbol]:
        return lambda self, other: self.apply(name, other, self)

    def compared(name: str) -> Callable[..., Symbol]:
        return lambda self, other: self.row.apply(name, self.row, other)

    for operator, name in {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div"}.items():
        setattr(Symbol, f"__{operator}__", method(name))
        setattr(Symbol, f"__r{operator}__", reflected(name))
    for name in ("neg", "abs"):
        setattr(Symbol, f"__{name}__", alone(name))
    for name in COMPARISONS:
        setattr(Symbol, f"__{name}__", method(name))
        setattr(_Numbers, f"__{name}__", compared(name))
    for name, op in ELEMENTWISE.items():
        if op.operands <= 2 and not op.attrs and not op.comparison:
            setattr(Symbol, name, alone(name) if op.operands == 1 else method(name))
    for name in (
        "add radd sub rsub mul rmul truediv rtruediv pow rpow matmul neg pos abs "
        "gt ge lt le eq ne bool iter getitem array"
    ).split():
        setattr(_Matrix, f"__{name}__", _Matrix.refuse)


_bind()
