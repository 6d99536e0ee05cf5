"""Numeric derivatives are as exact as they say, and wrong gradients do not get past them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import (
    GradientMismatch,
    assert_gradients,
    directional_derivative,
    numeric_gradient,
)
from tinygrad_rnn.testing import strategies as gs


def cubic(x, y):
    return x * x * y + y


@given(gs.arrays((3, 2)), gs.arrays((2,)), gs.arrays((3, 2)), gs.arrays((2,)))
@pytest.mark.parametrize(("method", "tolerance"), [("complex", 1e-14), ("central4", 1e-10)])
def test_a_polynomial_has_its_derivative(method, tolerance, x, y, u, v):
    exact = 2 * x * y * u + (x * x + 1) * v
    scale = np.abs(2 * x * y * u) + np.abs((x * x + 1) * v)
    for wrap in (np.asarray, tg.Tensor):  # functions of arrays and of Tensors alike
        moved = directional_derivative(cubic, [wrap(x), wrap(y)], [u, v], method=method)
        assert isinstance(moved.value, np.ndarray)
        assert (np.abs(moved.value - exact) <= tolerance * (scale + np.abs(x * x * y) + 1)).all()


@pytest.mark.parametrize("function", [np.exp, np.sin, np.tanh, lambda x: 1 / (1 + x * x)])
@given(gs.arrays((5,), styles=("lattice", "gaussian", "saturating")))
def test_the_error_of_four_points_is_an_upper_bound(function, x):
    exact = directional_derivative(function, [x], [np.ones(5)]).value
    value, error, rounding = directional_derivative(function, [x], [np.ones(5)], method="central4")
    assert (np.abs(value - exact) <= error + 1e-15).all()
    assert (rounding <= error).all()
    assert (error <= 1e-9 * (1 + np.abs(function(x)))).all()


def test_four_points_are_unsure_beside_a_kink():
    _, error, rounding = directional_derivative(
        np.abs, [np.array([1e-4])], [np.ones(1)], method="central4"
    )
    assert error > 0.01 > 1e-9 > rounding


def test_several_outputs_and_none_that_is_an_integer():
    def fn(x):
        return x * 2, (np.argmax(x), {"a": x * x})

    double, square = directional_derivative(fn, [np.array([1.0, 3.0])], [np.ones(2)]).value
    assert double.tolist() == [2, 2]
    assert square.tolist() == [2, 6]


def test_a_tangent_that_is_none_holds_its_primal():
    x, y = np.array([2.0]), np.array([5])
    assert directional_derivative(lambda x, i: x * i, [x, y], [np.ones(1), None]).value == 5


def test_the_whole_gradient_element_by_element():
    x, w = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 10.0], [100.0, 1000.0]])
    expected = [[2, 40], [600, 8000]]
    assert numeric_gradient(lambda x: x * x, [x], [w], 0).tolist() == expected
    assert np.isnan(numeric_gradient(lambda x: x * x, [x], [w], 0, limit=3)[1, 1])


@pytest.mark.parametrize("lossy", [np.abs, np.real, lambda z: z.astype(np.float64)])
def test_a_complex_step_through_real_numbers_is_refused(lossy):
    with pytest.raises((DTypeError, np.exceptions.ComplexWarning)):
        directional_derivative(lossy, [np.ones(2)], [np.ones(2)])


def test_what_does_not_fit_is_named():
    x = np.ones(2)
    with pytest.raises(ShapeError, match="primal 0 has shape \\(2,\\), its tangent \\(3,\\)"):
        directional_derivative(np.sin, [x], [np.ones(3)])
    with pytest.raises(ShapeError, match="0 tangents for 1 primals"):
        directional_derivative(np.sin, [x], [])
    with pytest.raises(DTypeError, match="primal 0 holds int64"):
        directional_derivative(np.sin, [np.arange(2)], [np.ones(2)])
    with pytest.raises(ValueError, match="method is 'forward', expected complex or central4"):
        directional_derivative(np.sin, [x], [x], method="forward")
    with pytest.raises(DTypeError, match="input 1 holds no floating-point numbers"):
        assert_gradients(lambda x, i: x[i], x, np.arange(2), wrt=[1])


# ----- assert_gradients -----


@pytest.mark.parametrize("method", ["auto", "complex", "central4"])
def test_right_gradients_pass(method):
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    constant = tg.tensor(rng.standard_normal(2))  # of float64, while the step is complex

    def fn(x, w, b):
        h = ops.tanh(ops.linear(x, w, b)) * constant
        return h, h.sum(axis=0), h > 0

    assert_gradients(fn, x, w, b, order=2, method=method, directions=2)
    assert_gradients(fn, x.astype(np.float32), tg.tensor(w), b, wrt=[1], method=method)


def test_integers_and_settings_reach_the_function_as_they_are():
    def fn(weight, ids, scale):
        assert isinstance(ids, np.ndarray)
        assert scale == 3
        return ops.embedding(weight, ids) * scale

    assert_gradients(fn, np.ones((4, 2)), np.array([1, 1, 3]), 3, order=2)


def test_a_function_that_is_not_analytic_falls_back_to_four_points():
    def fn(x):
        return ops.astype(x, np.float64) * x  # the cast drops imaginary parts

    assert_gradients(fn, np.array([1.0, -2.0]), order=2)
    with pytest.raises(np.exceptions.ComplexWarning):
        assert_gradients(fn, np.array([1.0, -2.0]), method="complex")


@given(st.integers(0, 1), st.integers(0, 5), st.sampled_from(["complex", "central4"]))
def test_the_message_names_the_wrong_element(argument, place, method):
    """One element of one gradient is doubled."""
    mul = PRIMITIVES["mul"]
    rules = list(mul.rules)
    wrong = np.ones((2, 3))
    wrong[np.unravel_index(place, (2, 3))] = 2
    right = rules[argument]
    rules[argument] = lambda F, g, out, a, b: right(F, g, out, a, b) * wrong
    before, mul.rules = mul.rules, tuple(rules)
    try:
        with pytest.raises(GradientMismatch) as caught:
            assert_gradients(
                ops.mul, np.full((2, 3), 5.0), np.full((2, 3), 3.0), method=method, name="mul"
            )
    finally:
        mul.rules = before
    report = caught.value.report
    assert (report.argument, np.ravel_multi_index(report.index, (2, 3))) == (argument, place)
    assert report.analytic == pytest.approx(2 * report.numeric)
    assert report.wrong == ((1, 6), (0, 6)) if argument == 0 else ((0, 6), (1, 6))
    assert f"worst element: input {argument}[{place // 3}, {place % 3}]: analytic" in str(report)
    assert f"input {argument} 1 of 6" in str(report)


def test_a_wrong_second_derivative_and_one_that_is_missing_are_found():
    square = PRIMITIVES["square"]
    before = square.rules
    x = np.array([1.0, -2.0])
    try:
        square.rules = (lambda F, g, _out, x: g * np.asarray(x) * 2.0,)
        assert_gradients(ops.square, x)
        with pytest.raises(GradientMismatch, match="derivative of order 2 is wrong"):
            assert_gradients(ops.square, x, order=2)
    finally:
        square.rules = before
    assert_gradients(ops.square, x, order=2)


def test_a_gradient_of_nan_or_of_nothing_does_not_pass():
    with pytest.raises(GradientMismatch):
        assert_gradients(lambda x: ops.sqrt(x * 0.0).clip(None, 1.0), np.ones(3), method="complex")
    with pytest.raises(GradientMismatch, match="analytic 0"):
        assert_gradients(lambda x: x.detach() * 2.0, np.ones(3))


def test_a_kink_under_the_four_points_is_suspected():
    with pytest.raises(GradientMismatch, match="near a kink"):
        assert_gradients(ops.relu, np.array([1e-5]), method="central4")


# ----- Hypothesis is an extra -----


def test_the_checks_need_no_hypothesis_and_the_strategies_say_how_to_get_it():
    code = """
import sys
sys.modules["hypothesis"] = None
import numpy as np
from tinygrad_rnn import ops, testing
testing.assert_gradients(ops.sin, np.ones(2), order=2)
try:
    testing.strategies.arrays((2,))
except ModuleNotFoundError as error:
    assert "pip install 'tinygrad-rnn[test]'" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("fn", "inputs", "options", "says"),
    [
        (lambda x: x, [np.arange(3)], {}, "nothing to differentiate"),
        (lambda x: x, [], {}, "nothing to differentiate"),
        (lambda x: x, [np.ones(3)], {"wrt": []}, "nothing to differentiate"),
        (lambda x: x.numpy(), [np.ones(3)], {}, "returned no Tensor"),
        (lambda x: None, [np.ones(3)], {}, "returned no Tensor"),
        (lambda x: x, [np.ones(3)], {"order": 0}, "order is 0"),
        (lambda x: x, [np.ones(3)], {"order": 3}, "order is 3"),
        (lambda x: x, [np.ones(3)], {"directions": 0}, "directions 0"),
    ],
)
def test_a_check_that_checks_nothing_says_so(fn, inputs, options, says):
    with pytest.raises((TypeError, ValueError), match=says):
        assert_gradients(fn, *inputs, **options)
