"""At kinks, derivatives are the documented ones, exactly; smooth functions have none."""

import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops


def slope(function, x, w=None, order=1):
    """The derivative of a function at x, in float64."""
    x = tg.tensor(np.asarray(x, np.float64), requires_grad=True)
    y = function(x)
    for n in range(order):
        seed = np.ones(y.shape) if w is None else np.asarray(w, np.float64)
        (y,) = tg.grad(y, x, seed, create_graph=n + 1 < order)
    return y.numpy().tolist()


@pytest.mark.parametrize(
    ("function", "at_zero"),
    [
        (ops.relu, 0),
        (ops.abs, 0),
        (ops.sign, 0),
        (lambda x: ops.leaky_relu(x, 0.1), 0.1),
        (lambda x: ops.elu(x, 0.7), 0.7),
        (ops.softplus, 0.5),
        (ops.silu, 0.5),
        (ops.gelu, 0.5),
        (lambda x: ops.maximum(x, 0.0), 0.5),
        (lambda x: ops.minimum(0.0, x), 0.5),
        (lambda x: ops.maximum(x, x * 3.0), 2),
        (lambda x: ops.norm(x, axis=()), 0),
        (ops.sqrt, math.inf),
    ],
)
def test_slopes_at_zero(function, at_zero):
    assert slope(function, 0.0) == at_zero
    assert slope(function, [0.0, 0.0]) == [at_zero, at_zero]


@pytest.mark.parametrize(
    ("function", "at_zero"),
    [
        (ops.softplus, 0.25),
        (ops.silu, 0.5),
        (ops.sigmoid, 0),
        (ops.gelu, math.sqrt(2 / math.pi)),
    ],
)
def test_second_derivatives_at_zero(function, at_zero):
    assert slope(function, [0.0, 0.0], order=2) == pytest.approx([at_zero, at_zero], abs=1e-15)


@pytest.mark.parametrize("reduce", [ops.max, ops.min])
def test_equal_extremes_share_equally(reduce):
    x = [[1.0, 1.0, 1.0, 0.5], [0.5, 0.0, 1.0, 1.0]]
    if reduce is ops.min:
        x = -np.array(x)
    assert slope(lambda x: reduce(x, 1), x, [1.0, 10.0]) == [
        [1 / 3, 1 / 3, 1 / 3, 0],
        [0, 0, 5, 5],
    ]
    assert slope(reduce, x, 10.0) == [[2, 2, 2, 0], [0, 0, 2, 2]]
    assert slope(lambda x: reduce(x, (0, 1), True), x, [[10.0]]) == slope(reduce, x, 10.0)


def test_maximum_of_equals_halves_on_both_sides():
    a, b = (tg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True) for _ in range(2))
    found = tg.grad(ops.maximum(a, b + np.array([0.0, 1.0, -1.0])), [a, b], np.ones(3))
    assert [g.tolist() for g in found] == [[0.5, 0, 1], [0.5, 1, 0]]
    (both,) = tg.grad(ops.minimum(a, a), a, np.ones(3))
    assert both.tolist() == [1, 1, 1]


def test_clip_passes_gradients_on_the_closed_interval():
    x = [-1.5, -1.0, 0.0, 2.0, 2.5]
    assert slope(lambda x: ops.clip(x, -1, 2), x) == [0, 1, 1, 1, 0]
    assert slope(lambda x: ops.clip(x, low=-1), x) == [0, 1, 1, 1, 1]
    assert slope(lambda x: ops.clip(x, high=2), x) == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("order", [1, 1.5, 2, 3, math.inf])
def test_norms_have_slope_0_at_0(order):
    x = [[0.0, 0.0, 0.0], [0.0, 3.0, -3.0]]
    g = slope(lambda x: ops.norm(x, order, axis=1), x)
    assert g[0] == [0, 0, 0]
    assert g[1][0] == 0
    assert g[1][1] == -g[1][2] > 0
    if order in (2, 3):
        assert np.isfinite(slope(lambda x: ops.norm(x, order, axis=1), x, order=2)).all()


@pytest.mark.parametrize("zeros", [[], [0], [3], [0, 2], [1, 2, 4]])
def test_products_of_zeros_have_the_products_of_the_others_as_slopes(zeros):
    x = np.array([2.0, 3.0, -1.0, 0.5, 4.0])
    x[zeros] = 0
    others = [math.prod(np.delete(x, i)) for i in range(5)]
    assert slope(ops.prod, x) == others
    without = [sum(math.prod(np.delete(x, [i, j])) for j in range(5) if j != i) for i in range(5)]
    x = tg.tensor(x, requires_grad=True)
    (g,) = tg.grad(ops.prod(x), x, create_graph=True)
    assert tg.grad(g, x, np.ones(5))[0].tolist() == pytest.approx(without, abs=1e-12)


def test_powers_of_zero():
    assert slope(lambda x: x**0, 0.0) == 0
    assert slope(lambda x: x**1, 0.0) == 1
    assert slope(lambda x: x**2, 0.0) == 0
    assert slope(lambda x: x**3, 0.0, order=2) == 0
    assert slope(lambda x: x**0.5, 0.0) == math.inf
    assert slope(lambda b: 0.0**b, [0.0, 1.0, 2.0]) == [0, 0, 0]
    base, exponent = np.zeros(4), np.array([0.0, 1.0, 2.0, 3.0])
    a, b = tg.tensor(base, requires_grad=True), tg.tensor(exponent, requires_grad=True)
    y = a**b
    assert y.tolist() == [1, 0, 0, 0]
    da, db = tg.grad(y, [a, b], np.ones(4))
    assert da.tolist() == [0, 1, 0, 0]
    assert db.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_what_was_not_chosen_gets_no_gradient_however_wild(bad):
    chosen = np.array([True, False])
    x = [1.0, 2.0]
    assert slope(lambda x: ops.where(chosen, x, 0.0), x, [1.0, bad]) == [1, 0]
    assert slope(lambda x: ops.where(chosen, 0.0, x), x, [bad, 1.0]) == [0, 1]
    assert slope(lambda x: ops.masked_fill(x, chosen, 0.0), x, [bad, 1.0]) == [0, 1]
    assert slope(lambda x: ops.maximum(x, 1.5), x, [bad, 1.0]) == [0, 1]
    assert slope(lambda x: ops.clip(x, 1.5, 3), x, [bad, 1.0]) == [0, 1]
    assert slope(lambda x: x[1:], x, [bad])[0] == 0
    assert slope(lambda x: ops.concat([x, x * 0.0])[:2], x) == [1, 1]


def test_a_deviation_of_equals_has_slope_0():
    assert slope(ops.std, [1.0, 1.0, 1.0]) == [0, 0, 0]
    assert slope(lambda x: ops.std(x, ddof=1), [0.0, 0.0]) == [0, 0]
    rows = slope(lambda x: ops.std(x, axis=1), [[2.0, 2.0], [1.0, 3.0]])
    np.testing.assert_allclose(rows, [[0, 0], [-0.5, 0.5]], rtol=1e-15)
