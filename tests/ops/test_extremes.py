"""Limits at 1e4, infinite masks, reductions of nothing, integers: answers without warnings."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.ops.specs import SPECS
from tinygrad_rnn import ops
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError, TinygradError
from tinygrad_rnn.primitive import PRIMITIVES, Primitive
from tinygrad_rnn.testing.numeric import as_list

LARGE = 1e4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("function", "values", "slopes"),
    [
        (ops.sigmoid, [0, 1], [0, 0]),
        (ops.tanh, [-1, 1], [0, 0]),
        (ops.relu, [0, LARGE], [0, 1]),
        (ops.elu, [-1, LARGE], [0, 1]),
        (ops.leaky_relu, [-0.01 * LARGE, LARGE], [0.01, 1]),
        (ops.softplus, [0, LARGE], [0, 1]),
        (ops.silu, [0, LARGE], [0, 1]),
        (ops.gelu, [0, LARGE], [0, 1]),
        (ops.softmax, [0, 1], [0, 0]),
        (ops.log_softmax, [-2 * LARGE, 0], [1, -1]),
        (lambda x: ops.logsumexp(x, keepdims=True), [LARGE], [0, 1]),
        (lambda x: ops.norm(x, 2, keepdims=True), [math.sqrt(2) * LARGE], [-(0.5**0.5), 0.5**0.5]),
        (lambda x: ops.norm(x, 20, keepdims=True), [2**0.05 * LARGE], [-(2**-0.95), 2**-0.95]),
    ],
)
def test_limits(function, values, slopes, dtype):
    """At -1e4 and 1e4, values and slopes are the limits."""
    x = tg.tensor(np.array([-LARGE, LARGE], dtype), requires_grad=True)
    y = function(x)
    w = np.ones(y.shape, dtype)
    if function is ops.log_softmax:
        w[1] = 0
    (g,) = tg.grad(y, x, w)
    np.testing.assert_allclose(y.numpy(), values, rtol=4 * np.finfo(dtype).eps, atol=1e-37)
    np.testing.assert_allclose(g.numpy(), slopes, rtol=8 * np.finfo(dtype).eps, atol=1e-37)


def test_minus_infinity_masks():
    """An entry of -inf has the probability 0, and neither receives nor sends a gradient."""
    x = tg.tensor(np.array([1.0, -np.inf, 2.0]), requires_grad=True)
    rest = np.array([1.0, 2.0])
    np.testing.assert_array_equal(ops.softmax(x)[[0, 2]].numpy(), ops.softmax(rest).numpy())
    assert ops.softmax(x).tolist()[1] == 0
    assert ops.logsumexp(x).item() == ops.logsumexp(rest).item()
    for y in (ops.softmax(x), ops.logsumexp(x)):
        (g,) = tg.grad(y, x, np.ones(y.shape) + y.numpy())
        assert g.tolist()[1] == 0
        assert np.isfinite(g.numpy()).all()
    y = ops.log_softmax(x)
    assert y.tolist()[1] == -np.inf
    (g,) = tg.grad(y, x, np.array([1.0, 0.0, 3.0]))
    assert g.tolist()[1] == 0
    assert np.isfinite(g.numpy()).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.max(x, 0), "max: no elements over axes (0,) of shape (0, 3)"),
        (lambda x: ops.min(x), "min: no elements over axes (0, 1) of shape (0, 3)"),
        (lambda x: ops.mean(x, 0), "mean: nothing to average over axes (0,) of shape (0, 3)"),
        (lambda x: ops.var(x[:0].T), "var: 0 elements over axes (0, 1), expected more than 0"),
        (lambda x: ops.layer_norm(x.T), "layer_norm: nothing to normalise in shape (3, 0)"),
        (lambda x: ops.std(x.reshape(-1)[:0].sum(0, True), ddof=1), "expected more than 1"),
    ],
)
def test_nothing_has_no_extreme_and_no_mean(call, message):
    with pytest.raises(ShapeError, match=re.escape(message)):
        call(tg.zeros(0, 3))


def test_softmax_of_nothing_is_nothing():
    x = tg.zeros(2, 0, requires_grad=True)
    assert ops.softmax(x).shape == ops.log_softmax(x).shape == (2, 0)
    assert ops.logsumexp(x).tolist() == [-math.inf, -math.inf]
    assert ops.logsumexp(x, keepdims=True).shape == (2, 1)
    (ops.softmax(x).sum() + ops.log_softmax(x).sum() + ops.logsumexp(x).sum()).backward()
    assert x.grad.shape == (2, 0)


def test_rows_of_infinities_have_answers_without_warnings():
    x = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [0.0, -np.inf]])
    assert ops.logsumexp(x).tolist() == [-math.inf, math.inf, 0]
    for function in (ops.softmax, ops.log_softmax):
        assert np.isnan(function(x).numpy()).tolist() == [[True, True], [True, False], [False] * 2]
    x = tg.tensor(x[:1], requires_grad=True)
    ops.logsumexp(x).sum().backward()
    assert np.isnan(x.grad.numpy()).all()  # -inf of -inf has no slope


def test_sums_and_products_of_nothing():
    x = tg.zeros(0, 3, requires_grad=True)
    assert ops.sum(x, 0).tolist() == [0, 0, 0]
    assert ops.prod(x, 0).tolist() == [1, 1, 1]
    assert ops.norm(x, axis=0).tolist() == [0, 0, 0]
    assert ops.norm(x, 3, axis=0).tolist() == [0, 0, 0]
    assert (x.T @ x).tolist() == np.zeros((3, 3)).tolist()
    (x.T @ x).sum().backward()
    assert x.grad.shape == (0, 3)


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if s.name in PRIMITIVES], ids=str)
@settings(max_examples=5)
@given(st.data())
def test_integers_stay_or_become_float32(spec, data):
    """Operations that need fractions, or are given one, make float32 of integers."""
    op = PRIMITIVES[spec.name]
    if not isinstance(op, Primitive):
        return
    case = data.draw(spec.sample(1))
    if case.attrs.get("ord", 2) != 2 or spec.name == "clip":
        return  # other orders are sums; for clip see below
    inputs = [np.asarray(np.rint(x), np.int64) for x in case.inputs]
    with np.errstate(all="ignore"):
        try:
            results = as_list(spec.fn(*map(tg.Tensor, inputs), **case.attrs))
        except TinygradError:  # a whole number to a negative power
            return
    fractions = op.floats or case.attrs.get("value", 0) % 1
    for result in results:
        if spec.keeps_type:
            assert result.dtype == (np.float32 if fractions else np.int64)
            assert not result.requires_grad


def test_settings_from_numpy_do_not_change_the_type():
    """np.float64 is what np.sqrt and np.pi's relatives give; it must not make everything wide."""
    x, wide = tg.ones(2, 3), np.float64(0.5)
    for y in (
        x * wide, wide * x, x**wide, wide**x, x / wide, x - wide, ops.clip(x, -wide, wide),
        ops.layer_norm(x, eps=wide), ops.leaky_relu(-x, wide), ops.elu(-x, wide),
        ops.dropout(x, wide), ops.where(x > wide, x, wide), ops.masked_fill(x, x > wide, wide),
        ops.pad(x, [(1, 1), (0, 0)], wide), ops.index_update(x, 0, wide), ops.norm(x, wide),
        ops.maximum(x, wide),
    ):  # fmt: skip
        assert y.dtype == np.float32
    assert ops.clip(tg.arange(3), 0, wide).dtype == np.float32
    assert ops.clip(tg.arange(3), 0, np.int64(1)).dtype == np.int64


INT32, BYTES = np.array([1, 2], np.int32), np.array([1, 2], np.uint8)
FIRST = np.array([True, False])
TOO_LARGE = {
    "masked_fill": lambda: tg.tensor(INT32).masked_fill(FIRST, 2**40),
    "where": lambda: ops.where(FIRST, INT32, 2**40),
    "where of bytes": lambda: ops.where(FIRST, 300, tg.tensor(BYTES)),
    "index_update": lambda: ops.index_update(INT32, 0, np.array(2**40)),
    "index_update with a number": lambda: ops.index_update(BYTES, 0, 300),
    "index_add": lambda: ops.index_add(BYTES, [0], 300),
    "index_add below": lambda: ops.index_add(BYTES, [0], np.array([-1])),
    "scatter_add": lambda: ops.scatter_add(INT32, 0, [0], np.array([2**40])),
    "add": lambda: tg.tensor(BYTES) + 300,
    "add to floats": lambda: tg.tensor([1.0]) + 10**400,
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_an_integer_that_the_type_does_not_hold_is_refused(name):
    made_of = {"masked_fill": "where", "scatter_add": "index_add"}
    operation = name.split()[0]
    with pytest.raises(DTypeError, match=f"^{made_of.get(operation, operation)}: "):
        TOO_LARGE[name]()


def test_integers_of_another_type_that_fit_are_taken():
    assert ops.where(FIRST, INT32, 5).tolist() == [1, 5]
    for value in (7, np.array(7), np.array([7], np.uint8)):
        found = ops.index_update(INT32, [0], value)
        assert (found.dtype, found.tolist()) == (np.int32, [7, 2])
    assert tg.tensor(BYTES).masked_fill(FIRST, 255).tolist() == [255, 2]


def test_means_of_halves_go_beyond_what_halves_hold():
    x = tg.tensor(np.full((4096, 2), 20, np.float16))
    assert (x.mean().item(), x.var().item(), x.mean(0).tolist()) == (20, 0, [20, 20])
    x = tg.tensor(np.repeat(np.array([-200, 200], np.float16), 40_000))
    assert (x.mean().item(), x.var().item(), x.var().dtype) == (0, 40_000, np.float16)
    drawn = tg.rand(100_000, dtype=np.float16).numpy()
    assert drawn.max() < 1


@pytest.mark.parametrize("shape", [(1_000_003, 2), (1000, 1001, 2)])
def test_sums_over_many_rows_are_as_exact_as_over_few(shape):
    x = tg.full(shape, 0.1)
    axes = tuple(range(len(shape) - 1))
    count = x.size // 2
    np.testing.assert_allclose(x.sum(axes).numpy(), np.float64(np.float32(0.1)) * count, rtol=4e-6)
    np.testing.assert_allclose(x.mean(axes, keepdims=True).numpy(), 0.1, rtol=4e-6)
    bias = tg.zeros(2, requires_grad=True)
    ((tg.zeros(shape) + bias) * x).sum().backward()
    np.testing.assert_allclose(bias.grad.numpy(), 0.1 * count, rtol=4e-6)
    layer = tg.nn.Linear(1, 2)
    (layer(tg.zeros(*shape[:-1], 1)) * x).sum().backward()
    np.testing.assert_allclose(layer.bias.grad.numpy(), 0.1 * count, rtol=4e-6)


@pytest.mark.parametrize("count", [511, 512, 513, 576, 577, 64 * 512 + 1])
def test_sums_in_blocks_have_every_row_once(count):
    x = np.arange(count * 3, dtype=np.float64).reshape(count, 3)
    for rows in (x, x[::-1], np.asfortranarray(x), np.broadcast_to(x[:1], x.shape)):
        np.testing.assert_array_equal(tg.tensor(rows).sum(0).numpy(), rows.sum(0))


def test_a_layer_norm_needs_room_for_its_root():
    with pytest.raises(ArgumentError, match=r"layer_norm: eps is -1, expected a number from 0 up"):
        ops.layer_norm([1.0, 2.0], eps=-1)
