"""Specs of ``tinygrad_rnn.ops.arithmetic``."""

import numpy as np
from hypothesis import strategies as st

from tests.ops.compare import close
from tinygrad_rnn import ops
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.laws import broadcast_equals_explicit, repeated_weight
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import (
    DENSE,
    apart,
    broadcastable,
    keywords,
    off,
    one,
    one_with,
    shapes,
    signed,
    two,
    unit,
)


@st.composite
def _division(draw, side):
    a, b = draw(broadcastable(2, side))
    return Case((draw(gs.arrays(a)), draw(signed(b, 0.5))))


@st.composite
def _choice(draw, side):
    c, a, b = draw(broadcastable(3, side))
    condition = draw(gs.arrays(c, styles=DENSE)) > 0
    return Case((draw(gs.arrays(a)), draw(gs.arrays(b))), {"condition": condition})


def _bounds(shape):
    sides = st.tuples(st.sampled_from([None, -1.0, 0.0]), st.sampled_from([None, 0.5, 2.0]))
    return sides.filter(lambda p: p != (None, None)).map(lambda p: {"low": p[0], "high": p[1]})


# Kinks of the bounds that _bounds may choose.
_off_bounds = off(-1.0, 0.0, 0.5, 2.0)


@st.composite
def _any_power(draw, side):
    """Whole exponents of any base, others of positive ones; zero has a slope from 1 up."""
    exponent = draw(st.sampled_from([2, 1, 0, 3, 4.0, -1, -2.0, 0.5, 1.5, -0.7]))
    shape = draw(shapes(0, 3, side))
    if exponent in (0, 1, 2, 3, 4):
        return Case((draw(gs.arrays(shape)),), {"exponent": exponent})
    if exponent in (-1, -2):
        return Case((draw(signed(shape, 0.5)),), {"exponent": exponent})
    return Case((draw(gs.arrays(shape, low=0.3, high=4)),), {"exponent": exponent})


def _sum_is_kept(a, b):
    close(ops.maximum(a, b) + ops.minimum(a, b), np.add(a, b))


def _other_choice(a, b, condition):
    both = ops.where(condition, a, b) + ops.where(~condition, a, b)
    close(both, np.broadcast_to(a + b, both.shape))


def _product_of_powers(x, exponent):
    close(ops.pow(x, exponent) * ops.pow(x, 2), np.power(x, exponent) * np.square(x))


def _pow(x, exponent):
    return ops.pow(x, exponent)


_of_two = {"keeps": (broadcast_equals_explicit, repeated_weight)}
_power = {"low": 0.3, "high": 3}
_any = st.sampled_from([0.5, 2.0, 3.7, 1.0])

SPECS = [
    OpSpec("add", ops.add, np.add, two(), exact=True, linear=(0, 1), **_of_two),
    OpSpec("sub", ops.sub, np.subtract, two(), exact=True, linear=(0, 1), **_of_two),
    OpSpec("mul", ops.mul, np.multiply, two(), exact=True, linear=(1,), **_of_two),
    OpSpec("div", ops.div, np.divide, _division, exact=True, linear=(0,),
           keeps=(broadcast_equals_explicit,)),
    OpSpec("maximum", ops.maximum, np.maximum, two(), exact=True, dodge=apart,
           laws=(_sum_is_kept,), **_of_two),
    OpSpec("minimum", ops.minimum, np.minimum, two(), exact=True, dodge=apart, **_of_two),
    OpSpec("where", lambda a, b, condition: ops.where(condition, a, b),
           lambda a, b, condition: np.where(condition, a, b), _choice, exact=True, linear=(0, 1),
           laws=(_other_choice,), **_of_two),
    OpSpec("neg", ops.neg, np.negative, one(), exact=True, linear=(0,)),
    OpSpec("square", ops.square, np.square, one(), exact=True),
    OpSpec("sqrt", ops.sqrt, np.sqrt, one(low=0.1, high=9), exact=True),
    OpSpec("reciprocal", ops.reciprocal, np.reciprocal,
           lambda side: signed(shapes(0, 3, side), 0.3).map(lambda x: Case((x,))),
           exact=True),
    OpSpec("power", PRIMITIVES["power"].call, np.power, two(_power, {"low": -2, "high": 3}),
           extremes=False, keeps=(broadcast_equals_explicit,)),
    OpSpec("power_of", PRIMITIVES["power_of"].call, lambda x, exponent: np.power(x, exponent),
           _any_power, extremes=False),
    OpSpec("pow", _pow, lambda x, exponent: np.power(x, exponent), _any_power, extremes=False,
           laws=(_product_of_powers,), reaches=("power_of", "square")),
    OpSpec("number_to_the", PRIMITIVES["number_to_the"].call, lambda x, base: np.power(base, x),
           one_with(keywords(base=_any)), extremes=False),
    OpSpec("exp", ops.exp, np.exp, one(), extremes=False),
    OpSpec("log", ops.log, np.log, one(low=0.1, high=9)),
    OpSpec("log1p", ops.log1p, np.log1p, one(low=-0.8, high=9), extremes=False),
    OpSpec("expm1", ops.expm1, np.expm1, one(), slope_scale=unit, extremes=False),
    OpSpec("sin", ops.sin, np.sin, one()),
    OpSpec("cos", ops.cos, np.cos, one()),
    OpSpec("sign", ops.sign, np.sign, one(), exact=True, dodge=off(0.0), bounded=False),
    OpSpec("abs", ops.abs, np.abs, one(), exact=True, dodge=off(0.0)),
    OpSpec("clip", ops.clip, lambda x, low, high: np.clip(x, low, high),
           one_with(_bounds, kinks=(-1.0, 0.0, 0.5, 2.0)), exact=True, dodge=_off_bounds),
]  # fmt: skip
