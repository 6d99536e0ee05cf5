"""What specs of operations are made of: cases to draw, ways round kinks, sizes of rounding errors.

OpSpec("clip", ops.clip, np.clip,
       samples.one_with(samples.keywords(low=st.just(-1.0), high=st.just(2.0))),
       dodge=samples.off(-1.0, 2.0))
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.opspec import Case, Sample

__all__ = [
    "DENSE", "apart", "apart_in_size", "at_least", "broadcastable", "elements", "in_sizes",
    "keywords", "largest", "off", "one", "one_with", "shapes", "signed", "two", "unit",
]  # fmt: skip

DENSE = ("lattice", "gaussian", "saturating", "explicit")


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
def signed(draw: st.DrawFn, shape: Any, low: float, high: float = 4.0) -> Array:
    """Elements of both signs, ``low`` to ``high`` in size."""
    x = draw(gs.arrays(shape, low=low, high=high))
    signs = np.random.default_rng(draw(gs.seeds())).choice([-1.0, 1.0], x.shape)
    return np.asarray(x * signs)


# ----- away from kinks -----


def off(*points: float) -> Callable[..., tuple[Array, ...]]:
    """No element within a margin of these points."""

    def dodge(inputs: tuple[Array, ...], margin: float) -> tuple[Array, ...]:
        moved = []
        for x in inputs:
            for point in points:
                away = point + np.where(x < point, -margin, margin)
                x = np.where(np.abs(x - point) < margin, away, x)
            moved.append(x)
        return tuple(moved)

    return dodge


def apart(inputs: Sequence[Array], margin: float) -> tuple[Array, ...]:
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


def apart_in_size(inputs: Sequence[Array], margin: float) -> tuple[Array, ...]:
    """No two elements within a margin of each other or of each other's negative, or of 0."""
    moved = apart([np.abs(x) for x in inputs], margin)
    return tuple(
        np.where(x < 0, -1.0, 1.0) * (size + margin) for x, size in zip(inputs, moved, strict=True)
    )


# ----- how large rounding errors are -----


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
