"""What the equations of an update do, line by line, written down by calling them with symbols."""

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinygrad_rnn.errors import TraceError

__all__ = ["Equations", "written"]

# What kernels have for each function of NumPy: expressions of the vectors of ``_simd``.
_SOURCE = {
    np.add: "add({0}, {1})",
    np.subtract: "sub({0}, {1})",
    np.multiply: "mul({0}, {1})",
    np.true_divide: "div({0}, {1})",
    np.negative: "neg({0})",
    np.square: "mul({0}, {0})",
    np.sqrt: "sqrt({0})",
    np.absolute: "absolute({0})",
    np.sign: "sign({0})",
    np.maximum: "maximum({0}, {1})",
    np.minimum: "minimum({0}, {1})",
}


class Equations(NamedTuple):
    """A rule, and what it does.

    rule     the function itself
    names    of the arrays that it reads or writes
    writes   which of them it writes, and the value that each is given
    lines    its operations, as source: ``x_w`` is the array w, ``n0`` the first number
    numbers  the numbers that it met, in order
    """

    rule: Callable[[Any], None]
    names: tuple[str, ...]
    writes: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    numbers: tuple[float, ...]


def written(rule: Callable[[Any], None]) -> Equations:
    """Write down what ``rule`` does."""
    tracer = _Tracer()
    x = _Arrays(tracer)
    rule(x)
    found = {name: tracer.operand(value) for name, value in vars(x).items() if name != "_tracer"}
    writes = tuple((name, value) for name, value in found.items() if value != f"x_{name}")
    return Equations(rule, tuple(found), writes, tuple(tracer.lines), tuple(tracer.numbers))


class _Tracer:
    """Collects lines and numbers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.numbers: list[float] = []

    def operand(self, value: Any) -> str:
        """How the source names a symbol, or a number, which thereby becomes an argument."""
        if isinstance(value, _Symbol):
            return value.name
        if type(value) is float or isinstance(value, Real):
            self.numbers.append(float(value))
            return f"n{len(self.numbers) - 1}"
        raise TraceError(
            f"update: a {type(value).__name__} among the operands, expected an array of x or a "
            "number."
        )

    def apply(self, ufunc: Any, operands: tuple[Any, ...]) -> "_Symbol":
        """Write a line."""
        if ufunc is np.power and isinstance(operands[1], Real) and operands[1] == 2:
            ufunc, operands = np.square, operands[:1]
        if ufunc not in _SOURCE:
            known = ", ".join(function.__name__ for function in _SOURCE)
            raise TraceError(
                f"update: the equations use {ufunc.__name__}, which has no place in a kernel; "
                f"expected {known}, and anything that is computed from numbers alone."
            )
        self.lines.append(_SOURCE[ufunc].format(*map(self.operand, operands)))
        return _Symbol(f"v{len(self.lines) - 1}", self)


class _Symbol(NDArrayOperatorsMixin):
    """Stands for an array; NumPy's functions and Python's operators all arrive in one place.

    The four rules of arithmetic take a shorter way there than NumPy's: an optimiser's equations
    are written down at every step, for numbers such as its rate may be others each time.
    """

    def __init__(self, name: str, tracer: _Tracer) -> None:
        self.name = name
        self.tracer = tracer

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        if options.get("out"):
            raise TraceError(
                f"update: {self.name} is changed in place, expected a new value: write "
                "x.m = x.m * b, not x.m *= b."
            )
        if method != "__call__" or options:
            raise TraceError(f"update: {ufunc.__name__}.{method} is no element-wise operation.")
        return self.tracer.apply(ufunc, operands)

    def __add__(self, other: Any) -> Any:
        return self.tracer.apply(np.add, (self, other))

    def __radd__(self, other: Any) -> Any:
        return self.tracer.apply(np.add, (other, self))

    def __sub__(self, other: Any) -> Any:
        return self.tracer.apply(np.subtract, (self, other))

    def __rsub__(self, other: Any) -> Any:
        return self.tracer.apply(np.subtract, (other, self))

    def __mul__(self, other: Any) -> Any:
        return self.tracer.apply(np.multiply, (self, other))

    def __rmul__(self, other: Any) -> Any:
        return self.tracer.apply(np.multiply, (other, self))

    def __truediv__(self, other: Any) -> Any:
        return self.tracer.apply(np.true_divide, (self, other))

    def __rtruediv__(self, other: Any) -> Any:
        return self.tracer.apply(np.true_divide, (other, self))

    def __array_function__(self, function: Any, *rest: Any) -> NoReturn:
        raise TraceError(f"update: the equations use {function.__name__}; expected ufuncs.")

    def __bool__(self) -> NoReturn:
        raise TraceError(
            "update: a branch on the numbers of an array; expected one on settings only, or "
            "np.maximum, np.minimum, np.sign."
        )

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TraceError("update: the numbers of an array are not there while it is traced.")


class _Arrays:
    """The ``x`` of a rule: a name that is read stands for the array of that name."""

    def __init__(self, tracer: _Tracer) -> None:
        self._tracer = tracer

    def __getattr__(self, name: str) -> _Symbol:
        if name.startswith("_"):
            raise AttributeError(name)
        symbol = _Symbol(f"x_{name}", self._tracer)
        setattr(self, name, symbol)
        return symbol
