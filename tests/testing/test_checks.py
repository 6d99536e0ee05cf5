"""Wrong gradients do not get past the checks, and what cannot be checked is told apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.testing.systems import SYSTEMS
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import ArgumentError, DeviceError, GradientError, ModuleError
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import (
    GradientMismatch,
    Untestable,
    assert_devices_agree,
    assert_double_backward,
    assert_dtype_laws,
    assert_equivalent,
    assert_gradients,
    assert_module_gradients,
    explain,
)


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
                ops.mul, np.full((2, 3), 5.0), np.full((2, 3), 3.0), method=method, names="ab"
            )
    finally:
        mul.rules = before
    report = caught.value.report
    assert report.argument == "ab"[argument]
    assert np.ravel_multi_index(report.index, (2, 3)) == place
    assert report.analytic == pytest.approx(2 * report.numeric)
    assert report.per_argument == {"a": (1 - argument, 6), "b": (argument, 6)}
    assert f"worst element  {'ab'[argument]}[{place // 3}, {place % 3}]: analytic" in str(report)
    assert f"{'ab'[argument]} 1 of 6" in str(report)


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


def test_complex_steps_through_a_cell_are_no_reason_to_warn():
    class Own(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H", "w_h": "H H"}

        def step(self, x, h, p):
            return (x @ p.w_x + h @ p.w_h).tanh()

    assert assert_module_gradients(Own(2, 3), np.ones((1, 2)), method="complex").ok


def test_a_kink_under_the_four_points_is_no_wrong_gradient():
    x = np.array([1e-5, 2.0])
    with pytest.raises(Untestable, match="not differentiable here: along a random direction"):
        assert_gradients(ops.relu, x, method="central4")
    assert assert_gradients(ops.relu, x, method="central4", kinks="subgradient").ok
    with pytest.raises(GradientMismatch, match="near a kink"):
        assert_gradients(ops.relu, x, method="central4", kinks="ignore")


@pytest.mark.parametrize(
    ("fn", "inputs", "options", "says"),
    [
        (lambda x: x, [np.arange(3)], {}, "nothing to differentiate"),
        (lambda x: x, [], {}, "nothing to differentiate"),
        (lambda x: x, [np.ones(3)], {"wrt": []}, "nothing to differentiate"),
        (lambda x: x, [0.5], {}, r"np.asarray\(...\) makes arrays"),
        (lambda x, i: x[i], [np.ones(3), np.arange(2)], {"wrt": [1]}, "i of <lambda> holds no"),
        (lambda x: x, [np.ones(3)], {"wrt": ["y"]}, "wrt names 'y', expected one of .*: x"),
        (lambda x: x, [np.ones(3)], {"kinks": "avoid"}, "kinks is 'avoid'"),
        (lambda x: x, [np.ones(3)], {"order": 0}, "order is 0"),
        (lambda x: x, [np.ones(3)], {"order": 3}, "order is 3"),
        (lambda x: x, [np.ones(3)], {"directions": 0}, "directions 0"),
        (lambda x: x, [np.ones(3)], {"wrt": 0}, r"wrt is 0, expected a list .* such as \[0\]"),
        (lambda x: x, [np.ones(3)], {"wrt": "x"}, r"wrt is 'x', expected .* such as \['x'\]"),
        (lambda x, y: x, [np.ones(3)] * 2, {"names": ["a"]}, r"names is \['a'\], .* a list of 2"),
        (lambda x: x, [np.ones(3)], {"eps": np.nan}, "eps is nan, expected a number above 0"),
        (lambda x: x, [np.ones(3)], {"eps": -1}, "eps is -1, expected a number above 0"),
    ],
)
def test_a_check_that_checks_nothing_says_so(fn, inputs, options, says):
    with pytest.raises((TypeError, ValueError), match=says):
        assert_gradients(fn, *inputs, **options)


@pytest.mark.parametrize("seed", range(6))
def test_at_a_kink_every_element_is_looked_at_alone(seed):
    how = {"kinks": "subgradient", "seed": seed}
    x, y = np.array([0.0, 1.0]), np.array([1.0, 1.0])
    assert_gradients(lambda x, y: ops.maximum(x, y) + ops.relu(x), x, y, **how)
    assert_gradients(
        lambda x, y: (ops.abs(x) * y - ops.max(x)).sum(), np.zeros((2, 3)), y[:1], **how
    )
    for wrong in (1.3, 1 + 1e-6):  # where it is smooth
        with pytest.raises(GradientMismatch):
            assert_gradients(
                lambda x: np.maximum(x, 0), x, vjp=lambda g, x, k=wrong: k * g * (x > 0), **how
            )
    with pytest.raises(GradientMismatch):
        assert_gradients(lambda x: np.maximum(x, 0), x, vjp=lambda g, x: g * (x - 0.1), **how)


# ----- what cannot be checked -----


def _changes_its_input(x):
    x._data[...] = 1.0
    return x * 2.0


def _noisy(x):
    return x * tg.randn(3, dtype=tg.float64)


@pytest.mark.parametrize(
    ("fn", "problem"),
    [
        (lambda x: None, "returns nothing to differentiate"),
        (lambda x: x.numpy(), "returns nothing to differentiate"),
        (lambda x: x > 0, "returns nothing to differentiate"),
        (lambda x: x * np.nan, "returns NaN"),
        (_noisy, "is not deterministic"),
        (_changes_its_input, "changes its inputs"),
    ],
)
def test_a_function_that_cannot_be_checked_is_told_apart(fn, problem):
    with pytest.raises(Untestable) as caught:
        assert_gradients(fn, np.array([0.5, 1.0, 2.0]))
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("hand", "problem"),
    [
        ({"vjp": lambda g, x, w: g @ w.T}, "has the wrong number of gradients"),
        ({"vjp": lambda g, x, w: {"x": g @ w.T}}, "has no gradient for an input"),
        ({"vjp": lambda g, x, w: (g, x.T @ g)}, "has a gradient of the wrong shape"),
        ({"gradient": lambda x, w: (x, w)}, "returns no single number"),
    ],
)
def test_a_gradient_written_by_hand_has_to_fit(hand, problem):
    with pytest.raises(Untestable) as caught:
        assert_gradients(lambda x, w: x @ w, np.ones((2, 2)), np.ones((2, 3)), **hand)
    assert caught.value.problem == problem


def test_a_gradient_written_by_hand_cannot_be_differentiated_itself():
    with pytest.raises(Untestable, match="has no second derivative"):
        assert_double_backward(np.sin, np.ones(2), vjp=lambda g, x: g * np.cos(x))


# ----- gradients written by hand -----


def _softmax_loss(scores, labels):
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -logs[np.arange(len(labels)), labels].mean()


def _softmax_loss_gradient(scores, labels, divided=True):
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return p / len(labels) if divided else p


def test_a_numpy_loss_is_checked_against_its_gradient():
    scores, labels = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 2, 1])
    assert_gradients(_softmax_loss, scores, labels, gradient=_softmax_loss_gradient)
    report = explain(
        _softmax_loss, scores, labels,
        gradient=lambda s, y: _softmax_loss_gradient(s, y, divided=False),
    )  # fmt: skip
    assert not report.ok
    assert "analytic = 4 * numeric" in report.pattern
    assert report.blame == "the gradient written by hand, in the gradient of scores"


def test_several_results_and_gradients_by_name():
    def fn(x, w):
        return x @ w, x.sum(axis=0)

    def vjp(g, x, w):
        return {"w": x.T @ g[0], "x": g[0] @ w.T + g[1]}

    assert_gradients(fn, np.ones((2, 3)), np.ones((3, 4)), vjp=vjp)


def test_structures_of_arrays_are_taken_apart():
    def fn(x, state, options):
        h, c = state
        return {"h": ops.tanh(x * h) * options["scale"], "c": [c * x]}

    x, h, c = np.random.default_rng(1).standard_normal((3, 4))
    report = assert_gradients(fn, x, (h, c), {"scale": 2.0, "unused": None}, order=2)
    assert report.names == ("x", "state[0]", "state[1]")


# ----- modules -----


def test_modules_are_differentiated_by_parameters_and_inputs():
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    before = {name: p.numpy().copy() for name, p in lstm.named_parameters()}
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    report = assert_module_gradients(lstm, x, order=2)
    assert report.names == (*before, "x")
    assert lstm.training
    for name, p in lstm.named_parameters():
        assert p.dtype == np.float32
        np.testing.assert_array_equal(p.numpy(), before[name])
    assert assert_module_gradients(lstm, x, params=[]).names == ("x",)
    assert assert_module_gradients(nn.Linear(3, 2), x, params=["bias"], inputs_too=False).ok


def test_a_weight_that_is_used_twice_is_differentiated_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.layers = [self.first, nn.Linear(3, 3)]

        def forward(self, x):
            return self.layers[1](ops.tanh(self.layers[0](self.first(x))))

    report = assert_module_gradients(Tied(), np.ones((2, 3)))
    assert len(report.names) == 5


def test_a_wrong_module_names_the_parameter():
    class Wrong(nn.Linear):
        def forward(self, x):
            return ops.linear(x, self.weight.detach() * 0.5 + self.weight * 0.5, self.bias)

    with pytest.raises(GradientMismatch) as caught:
        assert_module_gradients(Wrong(3, 2), np.ones((4, 3)))
    assert caught.value.report.argument == "weight"
    assert "a factor 2 is missing" in caught.value.report.pattern
    assert "no single operation" in caught.value.report.blame


def test_parameters_that_are_not_there():
    with pytest.raises(ArgumentError, match="module is 3, expected a Module"):
        assert_module_gradients(3, np.ones((4, 3)))
    with pytest.raises(ModuleError, match="has no parameter 'w', expected one of weight, bias"):
        assert_module_gradients(nn.Linear(3, 2), np.ones((4, 3)), params=["w"])
    with pytest.raises(ModuleError, match="expected 'all' or a list of names"):
        assert_module_gradients(nn.Linear(3, 2), np.ones((4, 3)), params="weight")


# ----- agreement -----


def test_equivalent_functions_agree_and_others_do_not():
    x = np.random.default_rng(0).standard_normal((3, 4))
    assert_equivalent(ops.sigmoid, lambda x: 1 / (1 + ops.exp(-x)), x)
    assert_equivalent(ops.tanh, np.tanh, x, order=0)
    with pytest.raises(AssertionError, match=r"gradient of a?x?\[?.* apart by"):
        assert_equivalent(lambda x: x * 2.0, lambda x: x.detach() + x, x)
    with pytest.raises(AssertionError, match=r"result 0.* apart by"):
        assert_equivalent(ops.tanh, ops.sigmoid, x)


@pytest.mark.parametrize(
    ("fn", "reference"),
    [
        (lambda a: a.argmax(), lambda a: a.argmin()),
        (lambda a: a > 0, lambda a: a < 0),
        (lambda a: (a, None), lambda a: (a, 1.0)),
        (lambda a: (a, "sum"), lambda a: (a, "mean")),
        (lambda a: (a, a.argmax()), lambda a: a),
    ],
)
@pytest.mark.parametrize("order", [0, 1])
def test_results_without_derivatives_have_to_be_equal(fn, reference, order):
    x = np.array([1.0, 2.0])
    assert_equivalent(lambda a: (a, fn(a)), lambda a: (a, fn(a)), x, order=order)
    with pytest.raises(AssertionError, match=r"expected (the same|as many)"):
        assert_equivalent(lambda a: (a, fn(a)), lambda a: (a, reference(a)), x, order=order)


def test_a_reference_is_given_the_same_numbers():
    x = np.array([1.0, 2.0], np.float32)
    assert_equivalent(lambda a: a / 3, lambda a: a / 3, x, order=0)
    assert_equivalent(lambda i, p: p[0][i] / 3, lambda i, p: p[0][i] / 3, np.arange(2), [x])
    assert_equivalent(
        lambda i, a: a[i] / 3, lambda i, a: np.divide(a[i], 3), tg.tensor([1, 0]), tg.tensor(x),
        order=0,
    )  # fmt: skip


def test_float32_is_kept_and_tracks_float64():
    x, w = np.random.default_rng(0).standard_normal((2, 3, 3))
    assert_dtype_laws(lambda x, w: ops.tanh(x @ w), x, w)
    with pytest.raises(AssertionError, match="gave float64 for inputs of float32"):
        assert_dtype_laws(lambda x: x.astype(np.float64), x)
    with pytest.raises(AssertionError, match="differ: result 0"):
        assert_dtype_laws(lambda x: x * 1.0 if x.dtype == np.float64 else x * 1.001, x)


def test_one_device_is_nothing_to_compare():
    with pytest.raises(DeviceError, match="at least two"):
        assert_devices_agree(ops.tanh, np.ones(3), devices=("cpu",))


def test_a_kink_is_one_however_small_beside_the_whole_slope():
    """The product underflows, and the square of a complex step decides the side of the kink."""

    def fn(x, u, y):
        return ops.relu(x * u + y) + 1e4 * x

    tiny = np.full(1, 1e-280)
    problems = set()
    for seed in range(10):
        try:
            assert_gradients(fn, tiny, -tiny, np.zeros(1), seed=seed)
        except Untestable as fault:
            problems.add(fault.problem)
    assert problems == {"is not differentiable here"}


def test_an_error_in_the_ninth_digit_does_not_hide_behind_four_points():
    x = np.random.default_rng(0).standard_normal(3)
    for error in (1e-6, 1e-9, 1e-11):
        with pytest.raises(GradientMismatch):
            assert_gradients(np.sin, x, vjp=lambda g, x, e=error: g * np.cos(x) * (1 + e))
    assert_gradients(lambda x: abs(x) * x, x, vjp=lambda g, x: g * 2 * abs(x))  # not analytic


def test_a_kink_is_seen_through_the_rounding_of_large_slopes():
    """A state that has decayed to 0 stands on the kink of every later step."""
    system = SYSTEMS["indrnn"]
    x = np.zeros((4, 4, 3))
    x[3, 1, 1] = 1.0
    inputs = {
        "x": x,
        "h_0": np.array(
            [[0.369, -0.632], [-0.0257, 1.81], [-0.988, -0.772], [0.0629, 0.104]]
        ),
        "w_x": np.array([[2.61e-9, 0.0], [0.055, -9.16e-12], [0.0, 0.0]]),
        "u": np.array([7.33, -3.79]),
        "b": np.array([-7.69e-7, 0.0]),
    }  # fmt: skip

    def vjp(g, *values):
        return system.backward(g, **dict(zip(inputs, values, strict=True)))

    problems = set()
    for seed in range(20):
        try:
            assert_gradients(
                lambda *values: system.forward(**dict(zip(inputs, values, strict=True))),
                *inputs.values(), vjp=vjp, names=list(inputs), seed=seed,
            )  # fmt: skip
        except Untestable as fault:
            problems.add(fault.problem)
    assert problems <= {"is not differentiable here"}


def test_a_gradient_that_was_forgotten_is_asked_for():
    with pytest.raises(GradientError) as caught:
        assert_gradients(np.tanh, np.ones(2))
    assert any("give vjp= or gradient=" in note for note in caught.value.__notes__)
    with pytest.raises(Untestable, match="give vjp= or gradient="):
        assert_gradients(lambda x: x.numpy(), np.ones(2))
    with pytest.raises(Untestable, match="is there a return missing"):
        assert_gradients(np.tanh, np.ones(2), vjp=lambda g, x: None)
    with pytest.raises(TypeError, match="given vjp= and gradient=, expected one of them"):
        assert_gradients(np.sum, np.ones(2), vjp=lambda g, x: x, gradient=np.ones_like)
