"""Derivatives from values alone: the yardstick for the ones that the engine computes.

    complex    Im f(x + i h u) / h with h = 1e-100. Nothing is subtracted, so it is right to
               rounding; the function has to be analytic (Squire and Trapp 1998).
    central4   (8 (f(x + h u) - f(x - h u)) - (f(x + 2h u) - f(x - 2h u))) / 12h, at h and
               h/2: what the two agree on is the value, by how much they differ its error.
    central2   (f(x + h u) - f(x - h u)) / 2h, at h and h/2: what textbooks have, for comparison.
    ridders    central2 at h, h/1.4, h/1.4**2, ... with the powers of h cancelled one after
               the other (Ridders 1982): twenty evaluations, for functions of any scale.

A complex step decides at kinks (relu, maximum, where) by the real part, as every operation
of this library does for complex128. Functions of plain NumPy arrays and of Tensors do alike.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.tensor import Tensor

__all__ = ["Method", "Numeric", "directional_derivative", "numeric_gradient", "numeric_jacobian"]

Array = np.ndarray[Any, Any]
Method = Literal["complex", "central4", "central2", "ridders"]

COMPLEX_STEP = 1e-100  # lost beside the slopes of tiny functions; its square does not underflow
CENTRAL_STEP = 1e-3  # errors of h**4 and of rounding / h, about 1e-13 both
STEPS = {"complex": COMPLEX_STEP, "central4": CENTRAL_STEP, "central2": 1e-5, "ridders": 0.1}
ROUNDING = float(np.finfo(np.float64).eps)


class Numeric(NamedTuple):
    """A derivative, by how much it may be wrong, and what part of that is rounding.

    For one output an array each, else a tuple. The rest of ``error`` goes with the step:
    where it is large, the function bends too much for it, or has a kink.
    """

    value: Any
    error: Any
    rounding: Any


def directional_derivative(
    fn: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    method: Method = "complex",
    eps: float | None = None,
) -> Numeric:
    """How fast the results of ``fn`` change as ``primals`` move along ``tangents``.

    Primals that are Tensors reach ``fn`` as Tensors, the others as arrays; a tangent that is
    None holds its primal still. Results of integers or booleans are left out.

    >>> directional_derivative(np.sin, [np.zeros(2)], [np.ones(2)]).value
    array([1., 1.])

    Args:
        eps: The length of the step, the first one for "ridders"; a good one unless given.
    """
    if len(primals) != len(tangents):
        raise ShapeError(
            f"directional_derivative: {len(tangents)} tangents for {len(primals)} primals."
        )
    moves = [_direction(i, p, t) for i, (p, t) in enumerate(zip(primals, tangents, strict=True))]
    if method not in STEPS:
        raise ValueError(
            f"directional_derivative: method is {method!r}, expected one of {', '.join(STEPS)}."
        )
    step = eps or STEPS[method]
    if method == "complex":
        return _complex_step(fn, primals, moves, step)
    line = Line(fn, primals, moves, step)
    return {"central4": _four_points, "central2": _two_points, "ridders": _ridders}[method](line)


def numeric_jacobian(
    fn: Callable[..., Any],
    *inputs: Any,
    argument: int = 0,
    method: Method = "complex",
    eps: float | None = None,
) -> Any:
    """All derivatives by one of the inputs: shape (*output, *input); a tuple for several outputs.

    >>> numeric_jacobian(lambda x: x * x, np.array([1.0, 3.0]))
    array([[2., 0.],
           [0., 6.]])
    """
    shape = np.shape(_array(inputs[argument]))
    columns: list[list[Array]] = []
    for place in np.ndindex(shape):
        tangents: list[Any] = [None] * len(inputs)
        tangents[argument] = np.zeros(shape)
        tangents[argument][place] = 1.0
        moved = directional_derivative(fn, inputs, tangents, method=method, eps=eps)
        columns.append(as_list(moved.value))
    if not columns:
        raise ShapeError(
            f"numeric_jacobian: input {argument} has shape {shape}, expected at least one element "
            "to move."
        )
    blocks = [
        np.stack(parts, axis=-1).reshape(np.shape(parts[0]) + shape)
        for parts in zip(*columns, strict=True)
    ]
    return blocks[0] if len(blocks) == 1 else tuple(blocks)


def numeric_gradient(
    fn: Callable[..., Any],
    primals: Sequence[Any],
    cotangents: Sequence[Array],
    argument: int,
    *,
    method: Method = "complex",
    eps: float | None = None,
    limit: int = 4096,
) -> Array:
    """The gradient of ``sum(cotangent * output)`` over ``primals[argument]``, element by element.

    As many evaluations as there are elements. Beyond ``limit`` of them the rest is NaN.
    """
    gradient = np.full(np.shape(_array(primals[argument])), np.nan)
    for number, place in enumerate(np.ndindex(gradient.shape)):
        if number >= limit:
            break
        tangents: list[Any] = [None] * len(primals)
        tangents[argument] = np.zeros(gradient.shape)
        tangents[argument][place] = 1.0
        moved = directional_derivative(fn, primals, tangents, method=method, eps=eps)
        gradient[place] = inner(cotangents, as_list(moved.value))
    return gradient


def inner(a: Sequence[Array], b: Sequence[Array]) -> float:
    """The inner product of two lists of arrays, summed in extended precision."""
    with np.errstate(all="ignore"):
        return float(sum(np.sum(x * y, dtype=np.longdouble) for x, y in zip(a, b, strict=True)))


def as_list(value: Any) -> list[Any]:
    """One output or several, as a list."""
    return list(value) if isinstance(value, tuple | list) else [value]


def differentiable(result: Any) -> list[Any]:
    """The results of a function that can have derivatives, nested ones in their order."""
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in differentiable(part)]
    if isinstance(result, dict):
        return [leaf for part in result.values() for leaf in differentiable(part)]
    kept = isinstance(result, Tensor | np.ndarray | np.generic | float | complex)
    return [result] if kept and _array(result).dtype.kind in "fc" else []


def _array(x: Any) -> Array:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def _direction(number: int, primal: Any, tangent: Any) -> Array | None:
    if tangent is None:
        return None
    x, u = _array(primal), np.asarray(_array(tangent), np.float64)
    if x.dtype.kind not in "fc":
        raise DTypeError(
            f"directional_derivative: primal {number} holds {x.dtype}; only floating-point "
            "numbers can move. Give it the tangent None."
        )
    if x.shape != u.shape:
        raise ShapeError(
            f"directional_derivative: primal {number} has shape {x.shape}, its tangent {u.shape}."
        )
    return u


def _values(
    fn: Callable[..., Any], primals: Sequence[Any], moves: Sequence[Array | None], step: complex
) -> list[Array]:
    """The results with every primal moved by ``step`` times its direction."""
    kind = np.complex128 if isinstance(step, complex) else np.float64
    arguments = []
    for primal, move in zip(primals, moves, strict=True):
        moved = _array(primal)
        if moved.dtype.kind in "fc":  # also those that stay: one element type for all
            moved = np.asarray(moved.astype(kind) + (0.0 if move is None else step * move))
        arguments.append(Tensor(moved) if isinstance(primal, Tensor) else moved)
    with no_grad():
        return [_array(result) for result in differentiable(fn(*arguments))]


def _complex_step(
    fn: Callable[..., Any], primals: Sequence[Any], moves: Sequence[Array | None], step: float
) -> Numeric:
    with warnings.catch_warnings():
        # Casting to real numbers would drop the derivative without a word.
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        results = _values(fn, primals, moves, 1j * step)
    if results and not any(result.dtype.kind == "c" for result in results):
        raise DTypeError(
            "directional_derivative: the function gave real numbers for complex ones, so it is "
            'not analytic (a modulus, a real part); use method="central4".'
        )
    slopes = [np.asarray(result.imag / step) for result in results]
    # Where the slope is 0, a third derivative shows, times the square of the step.
    rounding = [np.abs(slope) * 4 * ROUNDING + step for slope in slopes]
    return _numeric(list(zip(slopes, rounding, rounding, strict=True)))


class Line:
    """The values of a function on a line through a point, each computed once.

    h        the step, of length ``step`` in all, however many elements move
    astray   how far rounding may put a point from where it should be, in units of rounding
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        primals: Sequence[Any],
        moves: Sequence[Array | None],
        step: float,
    ) -> None:
        self._fn, self._primals, self._moves = fn, primals, moves
        self._known: dict[float, list[Array]] = {}
        length = np.sqrt(sum(float(np.sum(u * u)) for u in moves if u is not None))
        self.h = step / max(length, 1e-300)
        self.astray = max(
            (
                # Elements that stay are exact.
                float(
                    np.max(
                        _size(_array(x))[u != 0] / np.maximum(np.abs(u[u != 0]), 1e-300), initial=0
                    )
                )
                for x, u in zip(primals, moves, strict=True)
                if u is not None
            ),
            default=0.0,
        )

    def at(self, k: float) -> list[Array]:
        """The results k steps from the point."""
        if k not in self._known:
            self._known[k] = _values(self._fn, self._primals, self._moves, float(k * self.h))
        return self._known[k]

    def slope(self, number: int, k: float) -> Array:
        """The slope of one result between k steps before the point and k steps behind it."""
        return np.asarray(rise(self.at(-k)[number], self.at(k)[number]) / (2 * k * self.h))

    def rounding(self, number: int, k: float, slope: Array) -> Array:
        """By how much rounding of results and points may change a slope over k steps."""
        size = np.maximum(_size(self.at(k)[number]), _size(self.at(-k)[number]))
        return np.asarray((4 * size + 2 * self.astray * np.abs(slope)) * ROUNDING / (k * self.h))


def rise(before: Array, after: Array) -> Array:
    """By how much results grow; an infinity that stays, as the score of a masked place, by 0."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(before == after, 0.0, after - before), np.float64)


def _size(x: Array) -> Array:
    """How large numbers are, for rounding: there is none in an infinity."""
    return np.asarray(np.where(np.isinf(x), 0.0, np.abs(x)))


def _four_points(line: Line) -> Numeric:
    parts = []
    for number in range(len(line.at(1))):
        near, middle, far = (line.slope(number, k) for k in (0.5, 1, 2))
        coarse, fine = (4 * middle - far) / 3, (4 * near - middle) / 3
        rounding = line.rounding(number, 1, fine)
        parts.append((fine + (fine - coarse) / 15, np.abs(fine - coarse) + rounding, rounding))
    return _numeric(parts)


def _two_points(line: Line) -> Numeric:
    parts = []
    for number in range(len(line.at(1))):
        coarse, fine = line.slope(number, 1), line.slope(number, 0.5)
        rounding = line.rounding(number, 0.5, fine)
        parts.append((fine, np.abs(fine - coarse) + rounding, rounding))
    return _numeric(parts)


RIDDERS_LEVELS, RIDDERS_SHRINK = 10, 1.4


def _ridders(line: Line) -> Numeric:
    """For every element the entry of the tableau that agrees best with its neighbours."""
    parts = []
    for number in range(len(line.at(1))):
        row = [line.slope(number, 1)]
        best, error = row[0], np.full(np.shape(row[0]), np.inf)
        for level in range(1, RIDDERS_LEVELS):
            k = RIDDERS_SHRINK**-level
            previous, row = row, [line.slope(number, k)]
            rounding = line.rounding(number, k, row[0])
            for power in range(1, level + 1):
                factor = RIDDERS_SHRINK ** (2 * power)
                row.append((factor * row[-1] - previous[power - 1]) / (factor - 1))
                gap = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - previous[power - 1]))
                better = gap + rounding < error
                best = np.where(better, row[-1], best)
                error = np.where(better, gap + rounding, error)
        parts.append((best, error, np.minimum(error, line.rounding(number, 1, best))))
    return _numeric(parts)


def _numeric(parts: list[tuple[Array, Array, Array]]) -> Numeric:
    if len(parts) == 1:
        return Numeric(*parts[0])
    return Numeric(*(tuple(part[i] for part in parts) for i in range(3)))
