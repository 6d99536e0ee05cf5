"""Specs of ``tinygrad_rnn.ops.reduce`` and ``products``."""

import math

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import (
    DENSE,
    apart,
    apart_in_size,
    at_least,
    elements,
    in_sizes,
    largest,
    one_with,
    shapes,
    signed,
)


def _reduction(shape):
    return st.fixed_dictionaries({"axis": gs.axes(len(shape)), "keepdims": st.booleans()})


def _one_axis(shape):
    return st.one_of(st.none(), gs.axis(len(shape))).map(lambda a: {"axis": a})


def _along(shape):
    return gs.axis(len(shape)).map(lambda a: {"axis": a})


def _count(shape, axis):
    axes = range(len(shape)) if axis is None else [axis] if isinstance(axis, int) else axis
    return math.prod(shape[a] for a in axes)


def _where_any(count=1, *, dims=0):
    """A reduction over at least ``count`` elements; axes that stay may be empty."""

    @st.composite
    def sample(draw, side):
        shape = draw(shapes(dims, 3, side))
        attrs = draw(_reduction(shape).filter(lambda a: _count(shape, a["axis"]) >= count))
        return Case((draw(gs.arrays(shape)),), attrs)

    return sample


def _with_ties(sample):
    """Half of the cases hold few different numbers, so that largest ones are equal."""

    def coarse(case):
        return case._replace(inputs=tuple(np.sign(x) for x in case.inputs))

    return lambda side: st.one_of(sample(side), sample(side).map(coarse))


@st.composite
def _spread(draw, side):
    """Elements that differ: where all are equal the standard deviation has a kink."""
    case = draw(_where_any(2, dims=1)(side))
    ddof = draw(st.integers(0, 1))
    return Case(apart(case.inputs, 0.1), {**case.attrs, "ddof": ddof})


@st.composite
def _variance(draw, side):
    case = draw(_where_any(2, dims=1)(side))
    return Case(case.inputs, {**case.attrs, "ddof": draw(st.integers(0, 1))})


@st.composite
def _vectors(draw, side):
    """Away from the zero vector, where norms have no derivative."""
    shape = draw(shapes(1, 3, side))
    attrs = draw(_reduction(shape).filter(lambda a: _count(shape, a["axis"]) > 0))
    order = draw(st.sampled_from([2, 1, math.inf, 3, 1.5]))
    return Case((draw(signed(shape, 0.3)),), {**attrs, "ord": order})


def _norm(x, ord, axis, keepdims):
    if ord == math.inf:
        return np.abs(x).max(axis=axis, keepdims=keepdims)
    return (np.abs(x) ** ord).sum(axis=axis, keepdims=keepdims) ** (1 / ord)


def _total(x, axis, keepdims):
    return x.sum(axis=axis, keepdims=keepdims)


def _cumulative(x, axis):
    np.testing.assert_allclose(
        np.diff(ops.cumsum(x, axis).numpy(), axis=axis, prepend=0), x, atol=1e-12
    )


def _of_parts(x, axis, keepdims):
    mean, total = ops.mean(x, axis, keepdims).numpy(), ops.sum(x, axis, keepdims).numpy()
    np.testing.assert_allclose(mean * _count(x.shape, axis), total, atol=1e-12)


def _squared_norm(x, ord, axis, keepdims):
    scaled = ops.norm(-2 * x, ord, axis, keepdims).numpy()
    np.testing.assert_allclose(scaled, 2 * ops.norm(x, ord, axis, keepdims).numpy(), rtol=1e-12)


# ----- products -----


@st.composite
def _factors(draw, side):
    a, b = draw(gs.matmul_operands(min_side=side, max_side=4 if side else 2))
    return Case((draw(gs.arrays(a)), draw(gs.arrays(b))))


@st.composite
def _two_vectors(draw, side):
    a, b = draw(shapes(1, 1, side)), draw(shapes(1, 1, side))
    return Case((draw(gs.arrays(a)), draw(gs.arrays(b))))


@st.composite
def _affine(draw, side):
    *rows, I, O = draw(shapes(2, 4, side))
    inputs = [draw(gs.arrays((*rows, I))), draw(gs.arrays((I, O)))]
    return Case((*inputs, draw(gs.arrays((O,)))) if draw(st.booleans()) else tuple(inputs))


EQUATIONS = [
    "ij->ji", "ij->", "ii->i", "ii", "ij->i", "iij->j", "i,i", "i,j->ij", "ij,jk", "ij,jk->ki",
    "bij,bjk->bik", "bij,jk->bik", "ij,ij->i", "ij,ij->ij", "ij,ik->i", "ijk,ik,k->j", "i,ij,j",
    "...i,ij->...j", "...ij,...jk->...ik", "b...,b->b...", "ii,i->i", "iji,j", "a,b,c->cab",
    "bthd,bshd->bhts", "ij,k->k", ",i->i", "iJ,Jk",
]  # fmt: skip


@st.composite
def _sum_of_products(draw, side):
    """Axes of one letter are as long as each other, or 1 somewhere, and broadcast."""
    equation = draw(st.sampled_from(EQUATIONS))
    sizes = {c: draw(st.integers(side, 3)) for c in sorted(set(equation)) if c.isalpha()}
    dots = draw(shapes(0, 2, side)) if "..." in equation else ()
    inputs = []
    for term in equation.partition("->")[0].split(","):
        hidden = (1,) * len(dots) if draw(st.booleans()) else dots
        parts = [(sizes[c],) if c.isalpha() else hidden for c in term.replace("...", ".")]
        shape = [n for part in parts for n in part]
        if len(shape) and len(set(term)) == len(term) and draw(st.integers(0, 3)) == 0:
            shape[draw(st.integers(0, len(shape) - 1))] = 1
        inputs.append(draw(gs.arrays(tuple(shape), styles=DENSE)))
    return Case(tuple(inputs), {"equation": equation})


def _einsum(*inputs, equation):
    return ops.einsum(equation, *inputs)


def _einsum_reference(*inputs, equation):
    return np.einsum(equation, *inputs)


def _linear(x, w, b=None):
    return x @ w if b is None else x @ w + b


def _sums(reference):
    return {"terms": elements, "scale": in_sizes(reference)}


SPECS = [
    OpSpec("sum", ops.sum, _total, one_with(_reduction), linear=(0,), **_sums(_total)),
    OpSpec("mean", ops.mean, lambda x, axis, keepdims: x.mean(axis=axis, keepdims=keepdims),
           _where_any(), linear=(0,), terms=elements, scale=largest, laws=(_of_parts,)),
    OpSpec("var", ops.var,
           lambda x, axis, keepdims, ddof: x.var(axis=axis, keepdims=keepdims, ddof=ddof),
           _variance, terms=elements, scale=lambda x, **attrs: largest(x) ** 2,
           reaches=("sum", "mean", "square")),
    OpSpec("std", ops.std,
           lambda x, axis, keepdims, ddof: x.std(axis=axis, keepdims=keepdims, ddof=ddof),
           _spread, terms=elements, scale=largest, reaches=("norm",), extremes=False),
    OpSpec("cumsum", ops.cumsum, lambda x, axis: np.cumsum(x, axis=axis),
           one_with(_along, at_least(1)), linear=(0,), laws=(_cumulative,),
           **_sums(lambda x, axis: np.cumsum(x, axis=axis))),
    OpSpec("prod", ops.prod, lambda x, axis, keepdims: x.prod(axis=axis, keepdims=keepdims),
           one_with(_reduction), terms=elements, reaches=("mul",), extremes=False),
    OpSpec("max", ops.max, lambda x, axis, keepdims: x.max(axis=axis, keepdims=keepdims),
           _with_ties(_where_any()), exact=True, dodge=apart),
    OpSpec("min", ops.min, lambda x, axis, keepdims: x.min(axis=axis, keepdims=keepdims),
           _with_ties(_where_any()), exact=True, dodge=apart),
    OpSpec("argmax", ops.argmax, lambda x, axis: np.argmax(x, axis=axis),
           one_with(_one_axis, at_least(1)), exact=True, smooth=False, empty=False),
    OpSpec("argmin", ops.argmin, lambda x, axis: np.argmin(x, axis=axis),
           one_with(_one_axis, at_least(1)), exact=True, smooth=False, empty=False),
    OpSpec("norm", ops.norm, _norm, _vectors, terms=elements, dodge=apart_in_size,
           laws=(_squared_norm,)),
    OpSpec("matmul", ops.matmul, np.matmul, _factors, linear=(0,), **_sums(np.matmul)),
    OpSpec("linear", ops.linear, _linear, _affine, linear=(1, 2), **_sums(_linear)),
    OpSpec("outer", ops.outer, np.outer, _two_vectors, exact=True, linear=(1,),
           reaches=("mul",)),
    OpSpec("einsum", _einsum, _einsum_reference, _sum_of_products, linear=(0,),
           reaches=("matmul",), infinities=False, **_sums(_einsum_reference)),
]  # fmt: skip
