"""Shapes: alone, and several that an operation takes together."""

from hypothesis import strategies as st

from tinygrad_rnn.testing.strategies.given import between

__all__ = ["broadcastable", "matmul_operands", "shapes"]

Shape = tuple[int, ...]


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
    sides = between(min_side, max_side)
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
    m = k = n = draw(between(min_side, max_side))
    if draw(st.integers(0, 2)):
        k, n = draw(between(min_side, max_side)), draw(between(min_side, max_side))
    most = 2 if batch else 0
    a, b = draw(broadcastable(2, max_dims=most, min_side=min_side, max_side=max_side))
    kind = draw(st.sampled_from(["both", "both", "both", "left", "right", "none"]))
    if not vectors or kind == "both":
        return (*a, m, k), (*b, k, n)
    if kind == "none":
        return (k,), (k,)
    return ((k,), (*b, k, n)) if kind == "right" else ((*a, m, k), (k,))
