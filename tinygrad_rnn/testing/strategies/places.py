"""Places in an array: axes, orders of axes, and indices of every kind."""

import itertools
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_rnn.arguments import shortened, whole

__all__ = ["axes", "axis", "indices", "permutations"]

Shape = tuple[int, ...]


def axis(ndim: int) -> st.SearchStrategy[int]:
    """One axis of an array with ``ndim`` axes, counted from either end."""
    ndim = whole("axis", "ndim", ndim, least=1)
    return st.sampled_from([*range(ndim), *range(-1, -ndim - 1, -1)])


def axes(ndim: int) -> st.SearchStrategy[int | tuple[int, ...] | None]:
    """What reductions take: None, one axis, several."""
    ndim = whole("axes", "ndim", ndim, least=0)
    several = (
        st.lists(st.sampled_from(range(ndim)), unique=True).map(tuple) if ndim else st.just(())
    )
    return st.one_of(st.none(), axis(ndim), several) if ndim else st.one_of(st.none(), several)


def permutations(n: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Orders of n axes."""
    n = whole("permutations", "n", n, least=0)
    if n < 6:
        return st.sampled_from([*itertools.permutations(range(n))])
    return st.permutations(range(n)).map(tuple)


def indices(shape: Shape, *, advanced: bool = True) -> st.SearchStrategy[Any]:
    """Whatever ``x[...]`` takes: numbers, slices, None, ...; arrays that repeat, masks."""
    if not isinstance(shape, tuple):
        raise ValueError(f"indices: shape is {shortened(shape)}, expected a tuple of sizes.")
    shape = tuple(whole("indices", "a size of shape", n, 0) for n in shape)
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
