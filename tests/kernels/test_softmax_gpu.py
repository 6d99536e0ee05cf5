"""Rows of scores on the GPU: the definition's values, for rows from one score to many thousands."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.kernels.on_gpu import close, fetched, sent
from tests.kernels.test_softmax import DTYPES, all_of, best_by_hand, draw
from tests.standin import cuda
from tinygrad_rnn import losses
from tinygrad_rnn.kernels import softmax
from tinygrad_rnn.kernels.softmax import gpu, reference

# What a block of threads is chosen by: a warp, a few, many; less than a turn of them, and more.
WIDTHS = [1, 5, 32, 257, 2049, 9000]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rows", [0, 3])
def test_it_is_the_definition_in_any_order_of_threads(cupy, dtype, width, rows):
    drawn = draw(rows, width, dtype)
    wide = all_of(reference, *(a.astype(np.float64) for a in drawn))
    found = []
    for order in cuda.ORDERS[-3:] if width < 5000 else [2]:
        with cuda.orders(order):
            found.append(all_of(softmax, *sent(drawn)))
    for got, want in zip(found[0], wide, strict=True):
        close(fetched(got), want, dtype, width)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one.get(), two.get())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_alone(cupy, dtype):
    x, g, even, weights = sent(draw(9, 333, dtype))
    whole = all_of(softmax, x, g, even, weights)
    alone = all_of(softmax, x[7:8], g[7:8], even[7:8], weights)
    for all_rows, one in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(all_rows[7:8].get(), one.get())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [4, 300])
def test_infinities_and_nan(cupy, dtype, width):
    inf, nan = np.inf, np.nan
    x = np.full((7, width), -inf, dtype)
    x[:, -3:] = [[-inf, 1, 1], [-inf] * 3, [inf, 0, inf], [nan, 0, 5], [0, 3, nan], [nan, inf, 0],
                 [nan, -inf, -inf]]  # fmt: skip
    top, total, _ = softmax.row_sums(cupy.asarray(x))
    np.testing.assert_array_equal(top.get()[:3], [1, 0, 0])
    np.testing.assert_array_equal(total.get(), np.array([2, 0, inf, nan, nan, nan, nan], dtype))
    slopes = softmax.row_slopes(cupy.asarray(x), top, total, cupy.ones(7, dtype)).get()
    np.testing.assert_array_equal(slopes[0, -3:], [0, 0.5, 0.5])
    assert np.isnan(slopes[3:5]).all()
    _, _, most, _, found = softmax.row_best(cupy.asarray(x), 2)
    np.testing.assert_array_equal(most.get(), np.array([1, -inf, inf, 5, 3, inf, -inf], dtype))
    np.testing.assert_array_equal(found.get()[:2], [2, 0])


@pytest.mark.parametrize("width", [3, 300])
def test_scores_far_from_zero_are_no_trouble(cupy, width):
    x = draw(4, width, "float32")[0]
    _, expected, _ = softmax.row_sums(cupy.asarray(x))
    for far in (-3000, 3000):
        top, total, _ = softmax.row_sums(cupy.asarray(x + np.float32(far)))
        np.testing.assert_allclose(top.get(), x.max(axis=1) + far, atol=1e-3)
        np.testing.assert_allclose(total.get(), expected.get(), rtol=1e-3 * width)


def test_rows_of_no_weight_have_no_slope_whatever_they_hold(cupy):
    x = cupy.asarray(np.array([[np.nan, np.inf], [1, 1]], np.float32))
    top, total, _ = softmax.row_sums(x)
    g = cupy.asarray(np.array([0, 2], np.float32))
    np.testing.assert_array_equal(softmax.row_slopes(x, top, total, g).get(), [[0, 0], [1, 1]])


def test_what_rounding_makes_as_good_as_the_best_is_found(cupy):
    """Scores that differ by less than their log P can show."""
    x = np.arange(300, dtype=np.float32)[None] * np.float32(1e-8)
    *_, token, found = softmax.row_best(cupy.asarray(x), 2)
    assert len(best_by_hand(x, 2)[0]) > token.shape[1]
    assert found.get()[0] >= len(best_by_hand(x, 2)[0])


def test_the_sums_leave_the_exponentials_and_slopes_take_the_place_of_scores(cupy):
    x, g, even, weights = sent(draw(9, 70, "float32"))
    top, total, _ = softmax.row_sums(x)
    want = softmax.row_slopes(x, top, total, g, even, weights).get()
    gaps = cupy.zeros((9, 140), np.float32)[:, ::2]
    assert softmax.row_slopes(x, top, total, g, even, weights, gaps) is gaps
    np.testing.assert_array_equal(gaps.get(), want)
    back = softmax.row_slopes(x[:, ::-1], top, total, g, even, weights[::-1])
    np.testing.assert_array_equal(back.get()[:, ::-1], want)
    powers = np.exp(x.get() - top.get()[:, None])
    for out in (gaps, cupy.empty_like(x), x):  # at last in place
        again = softmax.row_sums(x, None, out)[1]
        np.testing.assert_allclose(out.get(), powers, rtol=4e-7)
        np.testing.assert_array_equal(again.get(), total.get())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothed", [False, True])
@pytest.mark.parametrize("width", [1, 40, 2500])
def test_losses_of_classes_are_the_definition(cupy, dtype, smoothed, width):
    rng = np.random.default_rng(width)
    x, hard, even, weights = draw(6, width, dtype)
    ids = rng.integers(0, width, 6)
    hard[2] = even[2] = 0
    x[2] = np.nan  # a row of no weight may hold anything
    rest = (even, weights) if smoothed else (None, None)
    wide = x.astype(float)
    want = reference.class_losses(wide, ids, hard.astype(float), *rest)
    for order in (1, 2):
        given = sent((x, ids, hard, *rest))
        with cuda.orders(order):
            found = softmax.class_losses(*given)
        for got, expected in zip((*found, given[0]), (*want, wide), strict=True):
            close(fetched(got), expected, dtype, width)
    assert not given[0].get()[2].any()
    gaps = cupy.zeros((6, 2 * width), dtype)[:, ::2]
    gaps[...] = cupy.asarray(x)
    np.testing.assert_array_equal(softmax.class_losses(gaps, *given[1:])[0].get(), found[0].get())
    np.testing.assert_array_equal(gaps.get(), given[0].get())


@pytest.mark.parametrize("dtype", DTYPES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 700), seed=st.integers(0, 99), count=st.integers(1, 70),
    values=st.sampled_from([3, 10**6]), lost=st.integers(0, 3),
)  # fmt: skip
def test_the_best_of_a_row_are_among_what_is_found(cupy, dtype, width, seed, count, values, lost):
    rng = np.random.default_rng(seed)
    x = (rng.integers(0, values, (2, width)) * (1e-6 if values > 3 else 1)).astype(dtype)
    x[rng.random(x.shape) < lost / 3] = -np.inf
    x[rng.random(x.shape) < 0.01] *= -1  # keys of both signs
    with np.errstate(all="ignore"):
        wanted = best_by_hand(x, count)
    there = cupy.asarray(x)
    top, total, *best = softmax.row_best(there, count)
    for one, other in zip((top, total), softmax.row_sums(there), strict=False):
        np.testing.assert_allclose(one.get(), other.get(), rtol=1e-5)
    most, token, found = (array.get() for array in best)
    np.testing.assert_array_equal(most, x.max(axis=1))
    for n, good in enumerate(wanted):
        places = token[n, : found[n]].tolist()
        assert places == sorted(places)
        assert (x[n, places] > -np.inf).all()
        if found[n] <= token.shape[1]:
            assert good <= set(places)
        else:
            assert found[n] >= len(good)
        if values > 3 and width > 8 * count and not lost:  # few are there that are not asked for
            assert found[n] <= 4 * count + 8


def test_more_than_there_is_memory_for_is_said_to_be_more(cupy, monkeypatch):
    monkeypatch.setattr(gpu, "_MOST_BYTES", 4096)
    x = np.random.default_rng(0).standard_normal((2, 300)).astype(np.float32)
    *_, most, token, found = softmax.row_best(cupy.asarray(x), 200)
    assert (found.get() > token.shape[1]).all()
    np.testing.assert_array_equal(most.get(), x.max(axis=1))
    monkeypatch.undo()
    *_, token, found = softmax.row_best(cupy.asarray(x), 5000)  # of 300
    assert (found.get() == 300).all()
    np.testing.assert_array_equal(token.get()[:, :300], np.tile(np.arange(300), (2, 1)))


@pytest.mark.parametrize("smoothing", [0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_linear_layer_with_its_cross_entropy_is_that_of_the_cpu(cupy, smoothing, reduction):
    rng = np.random.default_rng(0)
    h, w, b = (rng.standard_normal(shape) for shape in ((23, 7), (7, 60), (60,)))
    targets = rng.integers(0, 60, 23)
    targets[4] = -100
    found = []
    for device in ("cpu", "gpu"):
        given = [tg.tensor(a, dtype="float64").to(device).requires_grad_() for a in (h, w, b)]
        loss = losses.linear_cross_entropy(
            given[0], given[1], tg.tensor(targets).to(device), given[2], chunk=5,
            label_smoothing=smoothing, reduction=reduction,
        )  # fmt: skip
        loss.sum().backward()
        assert all(x.grad.device == loss.device for x in given)
        found.append([loss.numpy(), *(x.grad.numpy() for x in given)])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-12)


def test_scores_of_a_large_vocabulary_are_never_all_in_memory(machine):
    rows, width, vocabulary = 512, 8, 2000
    h = tg.zeros(rows, width).to("gpu").requires_grad_()
    w = tg.zeros(width, vocabulary).to("gpu").requires_grad_()
    targets = tg.tensor(np.zeros(rows, np.int64)).to("gpu")
    machine.peak[0] = machine.used[0]
    before = machine.used[0]
    losses.linear_cross_entropy(h, w, targets, chunk=32).backward()
    # A chunk of scores, and of products with them; the gradient of w, twice while it is added to.
    assert machine.peak[0] - before < 4 * (3 * 32 + 4 * width) * vocabulary
