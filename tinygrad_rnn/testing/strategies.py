"""Hypothesis strategies for whatever gradients are checked with.

    from tinygrad_rnn.testing import strategies as gs

    @given(gs.broadcastable(2).flatmap(lambda s: st.tuples(gs.arrays(s[0]), gs.arrays(s[1]))))

Everything shrinks: styles to zeros, shapes to few axes of size 1, axes to the first.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.arrays import LAYOUTS, STYLES, filled, folded, relayout

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "tinygrad_rnn.testing.strategies needs Hypothesis. "
        "Install it with: pip install 'tinygrad-rnn[test]'"
    ) from error

__all__ = [
    "arrays", "axes", "axis", "broadcastable", "indices", "layouts", "matmul_operands",
    "permutations", "seeds", "shapes", "tensors",
]  # fmt: skip

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_CONSTANT = ("zeros", "ones", "one_hot")  # good to shrink to, but half as likely as the others
EXPLICIT = 64  # drawing more elements than this one by one is slow, and shrinks badly


def seeds() -> st.SearchStrategy[int]:
    """Seeds of generators."""
    return st.integers(0, 2**32 - 1)


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape],
    dtype: Any = np.float64,
    *,
    styles: Sequence[str] = STYLES,
    low: float = -math.inf,
    high: float = math.inf,
    kinks: Sequence[float] = (0.0,),
    layout: str | st.SearchStrategy[str] = "C",
) -> Array:
    """Dense floating-point arrays of any size, which still shrink to readable ones.

    Args:
        styles: Which of ``STYLES`` to draw from; shrinks to the left.
        low, high: Where the elements have to lie; wilder ones are reflected into it.
        kinks: Where the style "near_kink" puts its elements.
        layout: One of ``LAYOUTS``, or a strategy for it such as ``layouts()``.
    """
    shape = shape if isinstance(shape, tuple) else draw(shape)
    style = draw(st.sampled_from([*styles, *(s for s in styles if s not in _CONSTANT)]))
    size = math.prod(shape)
    if style == "explicit" and size <= EXPLICIT:
        numbers = st.floats(max(low, -8.0), min(high, 8.0), allow_subnormal=False)
        array = np.array(draw(st.lists(numbers, min_size=size, max_size=size))).reshape(shape)
    else:
        dense = "gaussian" if style == "explicit" else style
        array = folded(filled(shape, dense, draw(seeds()), kinks=kinks), low, high)
    where = layout if isinstance(layout, str) else draw(layout)
    return relayout(array.astype(dtype), where)


def tensors(
    shape: Shape | st.SearchStrategy[Shape], *, requires_grad: bool = True, **options: Any
) -> st.SearchStrategy[Tensor]:
    """Leaf Tensors; options are those of ``arrays``."""
    return arrays(shape, **options).map(lambda a: Tensor(a, requires_grad=requires_grad))


def layouts() -> st.SearchStrategy[str]:
    """Every way in which an array can lie in memory."""
    return st.sampled_from(LAYOUTS)


# ----- shapes -----


def _sides(low: int, high: int) -> st.SearchStrategy[int]:
    """Sizes of axes; twice as often one that can hold different numbers."""
    return st.sampled_from([*range(low, high + 1), *range(max(low, 2), high + 1)])


@st.composite
def shapes(
    draw: st.DrawFn, min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 5
) -> Shape:
    """Shapes, zero-size axes among them unless ``min_side=1``.

    Several axes longer than 1 are the rule: on a row or a single number most mistakes with
    axes, strides and sums do not show. A third of the shapes are squares and cubes, where
    taking one axis for another raises nothing.
    """
    dims = [*range(min_dims, max_dims + 1), *[*range(max(min_dims, 2), max_dims + 1)] * 2]
    sides = _sides(min_side, max_side)
    ndim: int = draw(st.sampled_from(dims))
    if draw(st.sampled_from([False, False, True])):
        side: int = draw(sides)
        return (side,) * ndim
    return tuple(draw(sides) for _ in range(ndim))


@st.composite
def broadcastable(
    draw: st.DrawFn, n: int, *, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> tuple[Shape, ...]:
    """``n`` shapes that broadcast against each other."""
    whole = draw(shapes(0, max_dims, min_side, max_side))
    parts = []
    for _ in range(n):
        first = draw(st.sampled_from([*[0] * (len(whole) + 1), *range(1, len(whole) + 1)]))
        ones = draw(st.sampled_from([*[0] * 8, *range(1, 8)]))  # which axes are 1, in bits
        parts.append(tuple(1 if ones >> i & 1 else n for i, n in enumerate(whole))[first:])
    return tuple(parts)


@st.composite
def matmul_operands(
    draw: st.DrawFn,
    *,
    batch: bool = True,
    vectors: bool = True,
    min_side: int = 1,
    max_side: int = 4,
) -> tuple[Shape, Shape]:
    """Two shapes that ``@`` takes: matrices, vectors, stacks that broadcast.

    One in three is square throughout: shapes give every other transposition away.
    """
    m = k = n = draw(_sides(min_side, max_side))
    if draw(st.integers(0, 2)):
        k, n = draw(_sides(min_side, max_side)), draw(_sides(min_side, max_side))
    most = 2 if batch else 0
    a, b = draw(broadcastable(2, max_dims=most, min_side=min_side, max_side=max_side))
    kind = draw(st.sampled_from(["both", "both", "both", "left", "right", "none"]))
    if not vectors or kind == "both":
        return (*a, m, k), (*b, k, n)
    if kind == "none":
        return (k,), (k,)
    return ((k,), (*b, k, n)) if kind == "right" else ((*a, m, k), (k,))


# ----- axes and indices -----


def axis(ndim: int) -> st.SearchStrategy[int]:
    """One axis of an array with ``ndim`` axes, counted from either end."""
    return st.sampled_from([*range(ndim), *range(-1, -ndim - 1, -1)])


def axes(ndim: int) -> st.SearchStrategy[int | tuple[int, ...] | None]:
    """What reductions take: None, one axis, several."""
    several = (
        st.lists(st.sampled_from(range(ndim)), unique=True).map(tuple) if ndim else st.just(())
    )
    return st.one_of(st.none(), axis(ndim), several) if ndim else st.one_of(st.none(), several)


def permutations(n: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Orders of n axes."""
    if n < 6:
        return st.sampled_from([*itertools.permutations(range(n))])
    return st.permutations(range(n)).map(tuple)


def indices(shape: Shape, *, advanced: bool = True) -> st.SearchStrategy[Any]:
    """Whatever ``x[...]`` takes: numbers, slices, None, ...; arrays that repeat, masks."""
    basic = hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
    if not advanced:
        return basic
    kinds: list[st.SearchStrategy[Any]] = [basic, hnp.arrays(np.bool_, shape)]
    if shape and 0 not in shape:
        kinds += [hnp.integer_array_indices(shape), _mixed(shape), _rows(shape[0])]
    return st.one_of(kinds)


def _rows(count: int) -> st.SearchStrategy[Any]:
    """Index arrays into the first axis, from both ends; places repeat."""
    return hnp.arrays(
        np.int64, hnp.array_shapes(max_dims=2, max_side=4), elements=st.integers(-count, count - 1)
    )


@st.composite
def _mixed(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """Slices, numbers and index arrays of one length side by side."""
    length = draw(st.integers(1, 3))
    parts: list[Any] = []
    for size in shape[: draw(st.integers(1, len(shape)))]:
        kind = draw(st.sampled_from(["slice", "number", "array"]))
        if kind == "slice":
            parts.append(draw(st.slices(size)))
        elif kind == "number":
            parts.append(draw(st.integers(-size, size - 1)))
        else:
            parts.append(np.array(draw(st.lists(st.integers(-size, size - 1), min_size=length,
                                                max_size=length))))  # fmt: skip
    return tuple(parts)
