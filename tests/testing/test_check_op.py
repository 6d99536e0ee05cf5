"""``check_op``: one test a law, for operations of one's own, also in NumPy, right and wrong."""

import functools

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.testing import (
    Case,
    GradientMismatch,
    LawViolation,
    OpSpec,
    check_op,
    laws,
    samples,
)
from tinygrad_rnn.testing import strategies as gs

FEW = settings(max_examples=5, deadline=None, database=None, derandomize=True)
QUICK = settings(
    max_examples=50, phases=[Phase.generate], report_multiple_bugs=False, database=None,
    derandomize=True,
)  # fmt: skip


def cases(test):
    """What pytest would run, by name."""
    (mark,) = test.pytestmark
    return {str(case): functools.partial(test, case) for case in mark.args[1]}


def run_all(test):
    for case in cases(test).values():
        case()


# ----- as users write them -----


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _sigmoid_vjp(g, x):
    y = _sigmoid(x)
    return g * y * (1 - y)


@st.composite
def _weighted(draw, side):
    x = draw(gs.arrays(gs.shapes(1, 3, side, 3)))
    return Case((x, draw(gs.arrays(x.shape))), {"power": draw(st.integers(1, 3))})


CUBE = OpSpec("cube", lambda x: x * x * x, lambda x: x**3, samples.one(low=-3, high=3),
              scale=lambda x: samples.largest(x) ** 3)  # fmt: skip
SIGMOID = OpSpec("sigmoid", _sigmoid, None, samples.one(low=-4, high=4), vjp=_sigmoid_vjp,
                 slope_scale=samples.unit, extremes=False)  # fmt: skip
WEIGHTED = OpSpec(
    "weighted", lambda x, w, power: np.sum(w * x**power), None, _weighted,
    vjp=lambda g, x, w, power: (g * w * power * x ** (power - 1), g * x**power),
    linear=(1,), terms=samples.elements, extremes=False, keeps=(laws.repeated_weight,),
    scale=lambda x, w, power: samples.largest(x) ** power * samples.largest(w),
    slope_scale=lambda x, w, power: 3 * max(1, samples.largest(x, w)) ** power,
)  # fmt: skip

test_cube = check_op(CUBE)
test_functions_of_numpy = check_op(SIGMOID, WEIGHTED, settings=FEW)


def test_each_law_is_a_case_and_those_that_do_not_fit_are_named():
    found = cases(test_cube)
    assert {"cube-values", "cube-derivatives", "cube-no_aliasing", "cube-empty_axes"} <= set(found)
    assert test_cube.left_out["cube-linearity"] == "it is linear in no operand (linear=())"
    assert "cube-values" in test_cube.__doc__
    left_out = test_functions_of_numpy.left_out
    assert left_out["sigmoid-jvp_vjp_adjoint"] == "its gradient is written by hand (vjp=)"
    assert left_out["sigmoid-not_finite"] == "there is no reference"
    assert "weighted-repeated_weight" in cases(test_functions_of_numpy)
    assert "sigmoid-repeated_weight" not in cases(test_functions_of_numpy)


def test_laws_are_chosen_and_left_out():
    test = check_op(CUBE, laws=["values", "derivatives"], without="values")
    assert list(cases(test)) == ["cube-derivatives"]
    assert test.left_out == {"cube-values": "it is among those to leave out"}
    with pytest.raises(ValueError, match="check_op: laws names 'value', expected some of values"):
        check_op(CUBE, laws="value")
    with pytest.raises(ValueError, match="check_op: no law is left"):
        check_op(CUBE, laws="linearity")
    with pytest.raises(ValueError, match="check_op: there are two specs named 'cube'"):
        check_op(CUBE, CUBE)


# ----- what is wrong is found -----


def _as(spec, **changes):
    return OpSpec(**{**vars(spec), **changes})


def _rounded(x):
    return x * (1 + 1e-3 * (x.dtype == np.float32)) * x * x


WRONG = {
    "values": _as(CUBE, reference=lambda x: x**3 + (x > 2)),
    "any_layout": _as(CUBE, fn=lambda x: ops.reshape(x._data.ravel("K"), *x.shape) ** 3),
    "empty_axes": _as(CUBE, reference=lambda x: x**3 if x.size else np.zeros(1)),
    "identities": _as(CUBE, laws=(lambda x: np.testing.assert_array_less(x, 2.9),)),
    "linearity": _as(CUBE, linear=(0,)),
    "derivatives": _as(SIGMOID, vjp=lambda g, x: g * _sigmoid(x)),
    "slopes_at_kinks": OpSpec("relu", lambda x: np.maximum(x, 0), None, samples.one(),
                              vjp=lambda g, x: g * np.where(x > 0, 1, -1e-2 * (x == 0)),
                              dodge=samples.off(0.0)),
    "float32": _as(CUBE, fn=_rounded),
    "not_finite": _as(CUBE, fn=lambda x: ops.where(np.isnan(x.numpy()), 0.0, x) ** 3),
    "finite_on_extremes": _as(CUBE, fn=lambda x: ops.log(ops.exp(x)) ** 3, extremes=True),
    "layout_invariance": _as(CUBE, fn=lambda x: ops.reshape(x._data.ravel("K"), *x.shape) * x),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_law_finds_what_breaks_it(name):
    test = check_op(WRONG[name], laws=name, settings=QUICK)
    expected = {"derivatives": GradientMismatch, "identities": AssertionError}
    with np.errstate(all="ignore"), pytest.raises(expected.get(name, LawViolation)) as caught:
        run_all(test)
    if caught.type is LawViolation:
        assert caught.value.law == name


def test_general_laws_are_held_to_operations():
    """One for all: they have functions of their own that break them."""
    test = check_op(_as(SIGMOID, vjp=lambda g, x: np.abs(g)), laws="linear_in_cotangent",
                    settings=QUICK)  # fmt: skip
    (case,) = cases(test).values()
    with pytest.raises(LawViolation, match="sigmoid breaks the law linear_in_cotangent"):
        case()
