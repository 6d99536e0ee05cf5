"""Numeric derivatives are as exact as they say, and wrong gradients do not get past them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.testing import directional_derivative, numeric_gradient, numeric_jacobian
from tinygrad_rnn.testing import strategies as gs


def cubic(x, y):
    return x * x * y + y


@given(gs.arrays((3, 2)), gs.arrays((2,)), gs.arrays((3, 2)), gs.arrays((2,)))
@pytest.mark.parametrize(
    ("method", "tolerance"),
    [("complex", 1e-14), ("central4", 1e-10), ("central2", 1e-7), ("ridders", 1e-9)],
)
def test_a_polynomial_has_its_derivative(method, tolerance, x, y, u, v):
    exact = 2 * x * y * u + (x * x + 1) * v
    scale = np.abs(2 * x * y * u) + np.abs((x * x + 1) * v)
    for wrap in (np.asarray, tg.Tensor):  # functions of arrays and of Tensors alike
        moved = directional_derivative(cubic, [wrap(x), wrap(y)], [u, v], method=method)
        assert isinstance(moved.value, np.ndarray)
        assert (np.abs(moved.value - exact) <= tolerance * (scale + np.abs(x * x * y) + 1)).all()


@pytest.mark.parametrize(
    ("method", "size"), [("central4", 1e-9), ("central2", 1e-6), ("ridders", 1e-8)]
)
@pytest.mark.parametrize("function", [np.exp, np.sin, np.tanh, lambda x: 1 / (1 + x * x)])
@given(gs.arrays((5,), styles=("lattice", "gaussian", "saturating")))
def test_the_error_of_finite_steps_is_an_upper_bound(function, method, size, x):
    exact = directional_derivative(function, [x], [np.ones(5)]).value
    value, error, rounding = directional_derivative(function, [x], [np.ones(5)], method=method)
    assert (np.abs(value - exact) <= error + 1e-15).all()
    assert (rounding <= error).all()
    assert (error <= size * (1 + np.abs(function(x)))).all()


def test_the_jacobian_has_the_axes_of_the_result_and_of_the_input():
    a, x = np.arange(6.0).reshape(2, 3), np.ones(3)
    np.testing.assert_allclose(numeric_jacobian(lambda x: a @ x, x), a, rtol=1e-15)
    double, total = numeric_jacobian(lambda x, k: (k * x, x.sum()), x, 2, argument=0)
    assert double.tolist() == (2 * np.eye(3)).tolist()
    assert total.tolist() == [1, 1, 1]


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
    with pytest.raises(ValueError, match="method is 'forward', expected one of complex, central4"):
        directional_derivative(np.sin, [x], [x], method="forward")
    with pytest.raises(ShapeError, match="expected at least one element to move"):
        numeric_jacobian(np.sin, np.ones((0, 2)))


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


def test_elements_that_stay_have_no_rounding():
    x = np.array([1.0, 2.0])
    moved = directional_derivative(np.sin, [x], [np.array([1.0, 0.0])], method="central4")
    np.testing.assert_allclose(moved.value, [np.cos(1.0), 0.0], atol=1e-11)
    assert (moved.error < 1e-10).all()
