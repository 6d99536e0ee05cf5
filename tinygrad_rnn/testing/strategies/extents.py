"""Shapes: alone, and several that an operation takes together."""

from hypothesis import strategies as st

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.testing.strategies.given import between, check_bounds

__all__ = ["broadcastable", "matmul_operands", "shapes"]

Shape = tuple[int, ...]

_SIDES = ("min_side", "max_side")


def shapes(
    min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 5
) -> st.SearchStrategy[Shape]:
    """Shapes, zero-size axes among them unless ``min_side=1``.

    Several axes longer than 1 are the rule: on a row or a single number most mistakes with
    axes, strides and sums do not show. A third of the shapes are squares and cubes, where
    taking one axis for another raises nothing.
    """
    dims = check_bounds("shapes", ("min_dims", "max_dims"), min_dims, max_dims)
    return _shapes(*dims, *check_bounds("shapes", _SIDES, min_side, max_side))


@st.composite
def _shapes(draw: st.DrawFn, min_dims: int, max_dims: int, min_side: int, max_side: int) -> Shape:
    dims = [*range(min_dims, max_dims + 1), *[*range(max(min_dims, 2), max_dims + 1)] * 2]
    sides = between(min_side, max_side)
    ndim: int = draw(st.sampled_from(dims))
    if draw(st.sampled_from([False, False, True])):
        side: int = draw(sides)
        return (side,) * ndim
    return tuple(draw(sides) for _ in range(ndim))


def broadcastable(
    n: int, *, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> st.SearchStrategy[tuple[Shape, ...]]:
    """``n`` shapes that broadcast against each other."""
    n = whole("broadcastable", "n", n, least=0)
    dims = whole("broadcastable", "max_dims", max_dims, least=0)
    return _broadcastable(n, dims, *check_bounds("broadcastable", _SIDES, min_side, max_side))


@st.composite
def _broadcastable(
    draw: st.DrawFn, n: int, max_dims: int, min_side: int, max_side: int
) -> tuple[Shape, ...]:
    full = draw(shapes(0, max_dims, min_side, max_side))
    parts = []
    for _ in range(n):
        first = draw(st.sampled_from([*[0] * (len(full) + 1), *range(1, len(full) + 1)]))
        ones = draw(st.sampled_from([*[0] * 8, *range(1, 8)]))  # which axes are 1, in bits
        parts.append(tuple(1 if ones >> i & 1 else n for i, n in enumerate(full))[first:])
    return tuple(parts)


def matmul_operands(
    *, batch: bool = True, vectors: bool = True, min_side: int = 1, max_side: int = 4
) -> st.SearchStrategy[tuple[Shape, Shape]]:
    """Two shapes that ``@`` takes: matrices, vectors, stacks that broadcast.

    One in three is square throughout: shapes give every other transposition away.
    """
    sides = check_bounds("matmul_operands", _SIDES, min_side, max_side)
    return _matmul_operands(batch, vectors, *sides)


@st.composite
def _matmul_operands(
    draw: st.DrawFn, batch: bool, vectors: bool, min_side: int, max_side: int
) -> tuple[Shape, Shape]:
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
