"""Functions at which a check might look away: what they hide is found, what is right passes."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.testing import GradientMismatch, Untestable, assert_gradients

POINT = np.array([0.7, -1.3, 2.1, -0.4])
SHOWN = np.array([True, True, False, True])


def normalized(x):
    return x / np.linalg.norm(x)


def normalized_vjp(g, x):
    size = np.linalg.norm(x)
    return g / size - x * (g @ x) / size**3


def standardized(x):
    return x / np.sqrt(np.var(x) + 1)


def one_by_one(x):
    """A copy that takes no complex numbers."""
    return np.array([float(element) for element in x])


@pytest.mark.parametrize(
    ("fn", "vjp"),
    [
        (normalized, lambda g, x: g / np.linalg.norm(x)),
        (standardized, lambda g, x: g / np.sqrt(np.var(x) + 1)),
        (lambda x: x * np.abs(x), lambda g, x: g * np.abs(x)),
        (lambda x: x * x.real, lambda g, x: g * x),
        (lambda x: (np.abs(x), x**2), lambda g, x: 2 * x * g[1]),
    ],
)
def test_a_gradient_that_forgets_what_complex_steps_drop_is_found(fn, vjp):
    """NumPy takes abs, var, norm and real of complex numbers, and they have no imaginary part."""
    with pytest.raises(GradientMismatch):
        assert_gradients(fn, POINT, vjp=vjp)


@pytest.mark.parametrize("order", [1, 2])
def test_a_plain_array_of_sizes_within_a_graph_is_found(order):
    with pytest.raises(GradientMismatch):
        assert_gradients(lambda x: x * tg.Tensor(np.abs(x.numpy())), POINT, order=order)


def test_right_gradients_of_functions_that_complex_steps_misread_pass():
    assert_gradients(normalized, POINT, vjp=normalized_vjp)
    assert_gradients(lambda x: x * np.abs(x), POINT, vjp=lambda g, x: 2 * g * np.abs(x))


@pytest.mark.parametrize(
    ("fn", "derivative", "at"),
    [
        (lambda x: np.where(x.real > 0, x, 0), lambda x: x > 0, [1e-4, -1e-5, 1e-12]),
        (lambda x: np.floor(x.real) + x, np.ones_like, [1.00001]),
        (np.log, np.reciprocal, [1e-9]),
        (np.reciprocal, lambda x: -(x**-2), [1e-9]),
        (lambda x: np.tanh(1e6 * x), lambda x: 1e6 / np.cosh(1e6 * x) ** 2, [0.0]),
        (lambda x: np.sin(1e4 * x), lambda x: 1e4 * np.cos(1e4 * x), POINT),
        (lambda x: np.exp(-(1e10 * x * x)), lambda x: -2e10 * x * np.exp(-(1e10 * x * x)), [1e-5]),
        (lambda x: (1e8 * x) ** 3, lambda x: 3e24 * x**2, [0.0]),
    ],
)
def test_where_real_steps_are_too_long_complex_ones_have_the_last_word(fn, derivative, at):
    assert_gradients(fn, np.array(at), vjp=lambda g, x: g * derivative(x))


def test_a_gradient_that_writes_into_its_cotangent_is_measured_by_what_it_was_given():
    def doubled(g, x):
        g *= 2
        return g

    assert_gradients(lambda x: 2 * x, POINT, vjp=doubled)
    with pytest.raises(GradientMismatch):
        assert_gradients(lambda x: x + 1, POINT, vjp=doubled)


@pytest.mark.parametrize("scale", [1e-80, 1e-40, 1e-32, 1e-9, 1.0, 1e9])
def test_tiny_gradients_are_checked_as_closely_as_others(scale):
    def fn(x):
        return scale * np.sin(x)

    assert_gradients(fn, POINT, vjp=lambda g, x: scale * g * np.cos(x))
    with pytest.raises(GradientMismatch):
        assert_gradients(fn, POINT, vjp=lambda g, x: 2 * scale * g * np.cos(x))


@pytest.mark.parametrize("size", [1e4, 1e8, 1e12])
def test_large_inputs_leave_no_room_for_a_wrong_gradient(size):
    assert_gradients(lambda x: 3 * x, size * POINT, vjp=lambda g, x: 3 * g)
    assert_gradients(lambda x: x * x, size * POINT, vjp=lambda g, x: 2 * g * x)
    with pytest.raises(GradientMismatch):
        assert_gradients(lambda x: 3 * x, size * POINT, vjp=lambda g, x: 2 * g)


def test_scores_of_minus_infinity_are_constants_to_real_steps():
    def masked(x):
        return np.where(SHOWN, one_by_one(x), -np.inf)

    assert_gradients(masked, POINT, vjp=lambda g, x: g * SHOWN)
    with pytest.raises(GradientMismatch):
        assert_gradients(masked, POINT, vjp=lambda g, x: g)


def test_an_infinite_input_that_is_masked_is_no_reason_to_fail():
    x = np.where(SHOWN, POINT, -np.inf)
    assert_gradients(ops.softmax, x, order=2)
    assert_gradients(
        lambda x: np.where(np.isinf(x), 0, x), x, vjp=lambda g, x: np.where(np.isinf(x), 0, g)
    )


def test_plain_numbers_among_results_have_no_second_derivative():
    assert_gradients(lambda x: (ops.tanh(x), np.ones(3), 2.0, 3, True), POINT, order=2)


@pytest.mark.parametrize(
    ("inputs", "fn", "vjp"),
    [
        ([{"w": POINT}], lambda p: 2 * p["w"], lambda g, p: {"w": 2 * g}),
        ([{"w": POINT}], lambda p: 2 * p["w"], lambda g, p: {"p": {"w": 2 * g}}),
        ([[POINT, -POINT]], lambda p: p[0] * p[1], lambda g, p: [g * p[1], g * p[0]]),
        ([[POINT, -POINT]], lambda p: p[0] * p[1], lambda g, p: ([g * p[1], g * p[0]],)),
        ([[POINT]], lambda p: 2 * p[0], lambda g, p: [2 * g]),
        ([(POINT,)], lambda p: 2 * p[0], lambda g, p: ((2 * g,),)),
        (
            [{"w": [POINT, 3]}, -POINT],
            lambda p, x: p["w"][0] * x,
            lambda g, p, x: ({"w": [g * x, None]}, g * p["w"][0]),
        ),
    ],
)
def test_a_gradient_written_by_hand_may_be_that_of_a_structure(inputs, fn, vjp):
    assert_gradients(fn, *inputs, vjp=vjp)
    with pytest.raises(GradientMismatch):
        assert_gradients(fn, *inputs, vjp=lambda g, *x: vjp(2 * g, *x))


def test_the_gradient_of_a_number_by_a_structure():
    def squares(p):
        return (p["w"] ** 2).sum() + p["b"][0] ** 2

    at = {"w": POINT, "b": [np.array(3.0)]}
    assert_gradients(squares, at, gradient=lambda p: {"w": 2 * p["w"], "b": [2 * p["b"][0]]})
    with pytest.raises(Untestable, match=r"none of p\['b'\]\[0\].*is a list, expected .* key 0"):
        assert_gradients(squares, at, gradient=lambda p: {"w": 2 * p["w"], "b": []})


def test_what_a_gradient_written_by_hand_cannot_be():
    with pytest.raises(Untestable, match="has a complex gradient: the gradient of x has imagin"):
        assert_gradients(lambda x: 2 * x, POINT, vjp=lambda g, x: (2 + 1j) * g)
    with pytest.raises(Untestable, match="returns a dict: with a, b; return an array or a tuple"):
        assert_gradients(lambda x: {"a": x, "b": x}, POINT, vjp=lambda g, x: g["a"])


@pytest.mark.parametrize("share", [3e-4, 3e-5])
def test_a_small_share_that_complex_steps_drop_is_found(share):
    """It must not be less than one in a million of the slope."""
    w = np.array([1.0, -2.0, 3.0])

    def loss(w):
        return (w**2).sum() + share * np.abs(w[0])

    for seed in range(10):
        assert_gradients(loss, w, gradient=lambda w: 2 * w + [share, 0, 0], seed=seed)
        with pytest.raises(GradientMismatch):
            assert_gradients(loss, w, gradient=lambda w: 2 * w, seed=seed)
