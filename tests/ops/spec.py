"""What the generic tests have to know about an operation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.testing import strategies as gs

DENSE = ("lattice", "gaussian", "saturating", "explicit")


class Case(NamedTuple):
    """One call: float64 operands by position, everything else by keyword."""

    inputs: tuple[np.ndarray, ...]
    attrs: Mapping[str, Any] = MappingProxyType({})


Sample = Callable[[int], st.SearchStrategy[Case]]  # from the smallest allowed side, 0 or 1


@dataclass(frozen=True, repr=False)
class OpSpec:
    """One operation.

    fn           over Tensors (or arrays), ``fn(*inputs, **attrs)``; one output or a tuple
    reference    the same in NumPy: what the values have to be
    sample       cases inside the domain
    exact        every bit equals the reference's, in any element type
    analytic     complex steps work
    dodge        ``dodge(inputs, margin)``: the inputs moved that far away from every kink
    terms        how many numbers are summed into one, for the error model
    scale        what rounding errors are proportional to; the largest result unless given,
                 which is too strict where terms cancel
    slope_scale  the same for slopes, where they are small differences: a saturated tanh has
                 the slope 1 - 1, off by the rounding of 1
    linear       the operands in which the function is linear, taken together
    laws         ``law(*inputs, **attrs)`` asserts an identity
    bounded      slopes at kinks lie between those beside them: not at steps, nor for the
                 second of three equals
    smooth       False where the result has no derivative at all
    empty        whether axes of size 0 are allowed
    extremes     whether the true value and slope are finite for operands up to 1e4 in size
    reaches      primitives that calls have to record
    comparable   whether float32 and float64 compute the same function (noise differs)
    """

    name: str
    fn: Callable[..., Any]
    reference: Callable[..., Any]
    sample: Sample
    exact: bool = False
    analytic: bool = True
    dodge: Callable[[tuple[np.ndarray, ...], float], tuple[np.ndarray, ...]] | None = None
    terms: Callable[..., int] = field(default=lambda *inputs, **attrs: 1)
    scale: Callable[..., float] | None = None
    slope_scale: Callable[..., float] | None = None
    linear: tuple[int, ...] = ()
    laws: tuple[Callable[..., None], ...] = ()
    bounded: bool = True
    smooth: bool = True
    empty: bool = True
    extremes: bool = True
    reaches: tuple[str, ...] = ()
    comparable: bool = True

    def __repr__(self) -> str:
        return f"<spec {self.name}>"

    def __str__(self) -> str:
        return self.name


# ----- samples -----


def _longest(side: int) -> int:
    """Short axes where some are to be of size 0, or hardly any would be."""
    return 4 if side else 2


def shapes(fewest: int, most: int, side: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes with so many axes, none smaller than ``side``."""
    return gs.shapes(fewest, most, side, _longest(side))


def broadcastable(n: int, side: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Shapes that broadcast."""
    return gs.broadcastable(n, min_side=side, max_side=_longest(side))


def one(**options: Any) -> Sample:
    """A single operand of any shape."""
    return lambda side: gs.arrays(shapes(0, 3, side), **options).map(lambda x: Case((x,)))


def one_with(attrs: Callable[[tuple[int, ...]], st.SearchStrategy[dict[str, Any]]],
             shape: Callable[[int], st.SearchStrategy[tuple[int, ...]]] | None = None,
             **options: Any) -> Sample:  # fmt: skip
    """A single operand, and keywords that depend on its shape."""

    @st.composite
    def sample(draw: st.DrawFn, side: int) -> Case:
        x = draw(gs.arrays(shape(side) if shape else shapes(0, 3, side), **options))
        return Case((x,), draw(attrs(x.shape)))

    return sample


def two(first: dict[str, Any] | None = None, second: dict[str, Any] | None = None) -> Sample:
    """Two operands that broadcast."""

    @st.composite
    def sample(draw: st.DrawFn, side: int) -> Case:
        a, b = draw(broadcastable(2, side))
        return Case((draw(gs.arrays(a, **(first or {}))), draw(gs.arrays(b, **(second or {})))))

    return sample


def keywords(**strategies: st.SearchStrategy[Any]) -> Callable[..., Any]:
    """Keywords that do not depend on the shape."""
    return lambda shape: st.fixed_dictionaries(strategies)


def at_least(dims: int, most: int = 3) -> Callable[[int], st.SearchStrategy[tuple[int, ...]]]:
    """Shapes with that many axes."""
    return lambda side: shapes(dims, most, side)


@st.composite
def signed(draw: st.DrawFn, shape: Any, low: float, high: float = 4.0) -> np.ndarray:
    """Elements of both signs, ``low`` to ``high`` in size."""
    x = draw(gs.arrays(shape, low=low, high=high))
    signs = np.random.default_rng(draw(gs.seeds())).choice([-1.0, 1.0], x.shape)
    return np.asarray(x * signs)


# ----- away from kinks -----


def off(*points: float) -> Callable[..., tuple[np.ndarray, ...]]:
    """No element within a margin of these points."""

    def dodge(inputs: tuple[np.ndarray, ...], margin: float) -> tuple[np.ndarray, ...]:
        moved = []
        for x in inputs:
            for point in points:
                away = point + np.where(x < point, -margin, margin)
                x = np.where(np.abs(x - point) < margin, away, x)
            moved.append(x)
        return tuple(moved)

    return dodge


def apart(inputs: Sequence[np.ndarray], margin: float) -> tuple[np.ndarray, ...]:
    """No two elements of all operands within a margin of each other; their order is kept."""
    flat = np.concatenate([np.ravel(x) for x in inputs])
    order = np.argsort(flat, kind="stable")
    steps = 2 * margin * np.arange(flat.size)
    spread = np.empty_like(flat)
    spread[order] = np.maximum.accumulate(flat[order] - steps) + steps
    ends = np.cumsum([x.size for x in inputs])
    return tuple(
        part.reshape(x.shape) for part, x in zip(np.split(spread, ends[:-1]), inputs, strict=True)
    )


def apart_in_size(inputs: Sequence[np.ndarray], margin: float) -> tuple[np.ndarray, ...]:
    """No two elements within a margin of each other or of each other's negative, or of 0."""
    moved = apart([np.abs(x) for x in inputs], margin)
    return tuple(
        np.where(x < 0, -1.0, 1.0) * (size + margin) for x, size in zip(inputs, moved, strict=True)
    )


def unit(*inputs: Any, **attrs: Any) -> float:
    """What saturated slopes are differences of."""
    return 1.0


def elements(*inputs: Any, **attrs: Any) -> int:
    """The number of terms where everything may be summed."""
    return max((np.size(x) for x in inputs), default=1) or 1


def largest(*inputs: Any, **attrs: Any) -> float:
    """The largest operand: what is off by its rounding where terms cancel."""
    return max((float(np.abs(x).max(initial=0)) for x in inputs), default=0.0)


def in_sizes(reference: Callable[..., Any]) -> Callable[..., float]:
    """The result if no terms cancelled."""

    def scale(*inputs: Any, **attrs: Any) -> float:
        sizes = reference(*(np.asarray(np.abs(x)) for x in inputs), **attrs)
        return float(np.max(sizes, initial=0))

    return scale


# ----- in laws -----


def close(a: Any, b: Any) -> None:
    """Assert that two results agree to rounding."""
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-12)


def same(a: Any, b: Any) -> None:
    """Assert that two results agree to the bit."""
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
