"""Clipping and accumulating gradients."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim
from tinygrad_rnn.errors import ArgumentError, GradientError
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import laws

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=4)
DTYPES = st.sampled_from(["float32", "float64"])
EPS = {"float32": 6e-8, "float64": 1.2e-16}


def with_gradients(gradients):
    made = [nn.Parameter(np.zeros_like(g)) for g in gradients]
    for parameter, gradient in zip(made, gradients, strict=True):
        parameter.grad = tg.tensor(gradient)
    return made


def drawn(sizes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n).astype(dtype) for n in sizes]


def clipped(gradients, max_norm):
    parameters = with_gradients(gradients)
    optim.clip_grad_norm(parameters, max_norm)
    return [p.grad.numpy() for p in parameters]


@given(st.data())
def test_clipping_obeys_its_law(data):
    laws.clip_norm_scales(clipped, data.draw)


@given(SIZES, DTYPES, st.floats(0.01, 10), st.integers(0, 99))
def test_the_norm_is_the_root_of_the_sum_of_squares(sizes, dtype, threshold, seed):
    gradients = drawn(sizes, dtype, seed)
    norm = math.sqrt(sum(float((g.astype("d") ** 2).sum()) for g in gradients))
    assume(abs(norm - threshold) > 1e-4)
    parameters = with_gradients(gradients)
    assert optim.grad_norm(parameters) == pytest.approx(norm, rel=8 * EPS[dtype])
    found = optim.clip_grad_norm(parameters, threshold)
    assert found == optim.grad_norm(with_gradients(gradients))
    for parameter, g in zip(parameters, gradients, strict=True):
        if norm < threshold:
            np.testing.assert_array_equal(parameter.grad.numpy(), g)
        else:
            # the factor is rounded once, and so is each product
            np.testing.assert_allclose(
                parameter.grad.numpy(), g * threshold / norm, rtol=10 * EPS[dtype]
            )
    if norm >= threshold:
        assert optim.grad_norm(parameters) == pytest.approx(threshold, rel=16 * EPS[dtype])


def test_the_norm_depends_neither_on_order_nor_on_where_parameters_end():
    g = np.random.default_rng(0).standard_normal(3 * 4096).astype("float32")
    whole = optim.grad_norm(with_gradients([g]))
    pieces = with_gradients([g[:4096], g[4096:]])
    assert optim.grad_norm(pieces) == optim.grad_norm(pieces[::-1]) == whole


def test_the_norm_is_that_of_any_view():
    g = np.arange(48, dtype="float32").reshape(4, 12)
    for view in (g[:, ::2], g[::-1, ::-2], g.T, np.broadcast_to(g[0], (4, 12))):
        w = nn.Parameter(np.zeros(view.shape, "float32"))
        w.grad = tg.Tensor(view)
        assert optim.grad_norm([w]) == optim.grad_norm(with_gradients([view.copy()]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_whose_squares_leave_the_range_are_found(dtype):
    info = np.finfo(dtype)
    small = float(info.tiny) * 40 if dtype == "float32" else 2e-154
    for size in (info.max / 4, 1e20, 1e-20, small):
        parameters = with_gradients([np.array([3, 0, 4], dtype) * np.array(size / 5, dtype)])
        assert optim.clip_grad_norm(parameters, size / 10) == pytest.approx(size, rel=1e-6, abs=0)
        assert optim.grad_norm(parameters) == pytest.approx(size / 10, rel=1e-6, abs=0)
    assert optim.grad_norm(with_gradients([np.zeros(3, dtype)])) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_no_number_is_not_hidden(bad):
    parameters = with_gradients([np.array([1, bad], "float32"), np.ones(2, "float32")])
    with pytest.raises(GradientError, match=f"the norm of the gradients is {bad}"):
        optim.clip_grad_norm(parameters, 1.0, error_if_nonfinite=True)
    assert parameters[0].grad.numpy()[0] == 1
    found = optim.clip_grad_norm(parameters, 1.0)
    np.testing.assert_equal(found, bad)
    assert np.isnan(parameters[0].grad.numpy()[1])
    np.testing.assert_array_equal(parameters[1].grad.numpy(), [1 / bad, 1 / bad])


def test_clipping_by_value():
    parameters = with_gradients([np.array([-7, -5, 0.5, 6, np.nan, np.inf], "float32")])
    optim.clip_grad_value(parameters, 5)
    np.testing.assert_array_equal(parameters[0].grad.numpy(), [-5, -5, 0.5, 5, np.nan, 5])


def test_parameters_without_gradients_are_passed_over():
    parameters = with_gradients([np.array([3.0, 4.0])])
    nothing = nn.Parameter(np.zeros(2))
    assert optim.clip_grad_norm([nothing, *parameters], 1.0) == 5
    assert nothing.grad is None
    assert optim.clip_grad_norm([nothing], 1.0) == 0
    optim.clip_grad_value([nothing], 1.0)


def test_gradients_that_others_hold_or_that_are_recorded_are_not_written():
    w = nn.Parameter(np.array([1.0, 2.0]))
    w.grad = tg.tensor(np.array([[3.0, 9.0], [4.0, 9.0]]))[:, 0]
    seen = w.grad
    optim.clip_grad_norm([w], 1.0)
    np.testing.assert_allclose(w.grad.numpy(), [0.6, 0.8])
    np.testing.assert_array_equal(seen.numpy(), [3, 4])
    w.grad = None
    (w * w * w).sum().backward(create_graph=True)
    recorded = w.grad
    optim.clip_grad_value([w], 1.0)
    np.testing.assert_array_equal(w.grad.numpy(), [1, 1])
    np.testing.assert_array_equal(recorded.numpy(), [3, 12])


def test_a_gradient_of_two_parameters_is_scaled_once():
    a, b = nn.Parameter(np.zeros(1)), nn.Parameter(np.zeros(1))
    a.grad = b.grad = tg.tensor(np.array([8.0]))
    optim.clip_grad_value([a, b], 4.0)
    factor = 2 / optim.clip_grad_norm([a, b], 2.0)
    np.testing.assert_allclose(a.grad.numpy(), 4 * factor)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, "1"])
def test_thresholds_are_numbers_above_zero(bad):
    with pytest.raises(ArgumentError, match=r"clip_grad_norm: max_norm is .* expected a number"):
        optim.clip_grad_norm([], bad)
    with pytest.raises(ArgumentError, match="clip_grad_value: clip_value is"):
        optim.clip_grad_value([], bad)


@pytest.mark.parametrize("every", [1, 3])
def test_accumulation_makes_the_step_of_one_large_batch(every):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 4)), rng.standard_normal((6, 2))

    def train(parts, accumulation_of):
        tg.seed(0)
        model = nn.Linear(4, 2).astype("float64")
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        accumulation = accumulation_of(model)
        for _ in range(3):
            for part in np.split(np.arange(6), parts):
                d = model(tg.tensor(x[part])) - tg.tensor(y[part])
                (d * d).mean().backward()
                if accumulation.complete():
                    optimizer.step()
                    optimizer.zero_grad()
        return model.state_dict()

    with use_reference():
        small = train(every, lambda m: optim.Accumulation(m.parameters(), every))
        large = train(1, lambda m: optim.Accumulation(m.parameters(), 1))
    for name in small:
        np.testing.assert_allclose(small[name], large[name], rtol=1e-9)


def test_accumulation_counts_from_one_up():
    with pytest.raises(ArgumentError, match="Accumulation: every is 0, expected a whole number"):
        optim.Accumulation([], 0)
