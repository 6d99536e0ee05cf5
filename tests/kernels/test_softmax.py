"""Sums and slopes of rows of scores: the definition, at any width, with any rows beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.kernels import softmax
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels.softmax import reference

DTYPES = ["float32", "float64"]


def draw(rows, width, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = (4 * rng.standard_normal((rows, width))).astype(dtype)
    g, even = rng.standard_normal((2, rows)).astype(dtype)
    return x, g, even, rng.random(width).astype(dtype)


def all_of(family, x, g, even, weights):
    top, total, lean = family.row_sums(x, weights)
    bare = family.row_slopes(x, top, total, g)
    return [top, total, lean, bare, family.row_slopes(x, top, total, g, even, weights)]


@pytest.mark.parametrize("dtype", DTYPES)
@given(rows=st.integers(0, 4), width=st.integers(1, 1100), seed=st.integers(0, 99))
def test_it_is_the_definition(dtype, rows, width, seed):
    given = draw(rows, width, dtype, seed)
    wide = all_of(reference, *(a.astype(np.float64) for a in given))
    for got, want in zip(all_of(softmax, *given), wide, strict=True):
        assert got.dtype == dtype
        size = max(1.0, np.abs(want).max(initial=0))
        np.testing.assert_allclose(
            got, want, rtol=0, atol=16 * np.finfo(dtype).eps * np.sqrt(width) * size
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_alone_and_on_any_number_of_threads(dtype):
    given = draw(301, 333, dtype)
    before, found = num_threads(), []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            found.append(all_of(softmax, *given))
    finally:
        set_num_threads(before)
    x, g, even, weights = given
    alone = all_of(softmax, x[7:8], g[7:8], even[7:8], weights)
    for one, two, three, single in zip(*found, alone, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)
        assert np.array_equal(one[7:8], single)


@pytest.mark.parametrize("family", [softmax, reference])
@pytest.mark.parametrize("dtype", DTYPES)
def test_infinities_and_nan(family, dtype):
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, 1, 1], [-inf] * 3, [inf, 0, 0], [nan, 0, 5], [0, 3, nan]], dtype)
    top, total, _ = family.row_sums(x)
    np.testing.assert_array_equal(top[:3], [1, 0, 0])
    np.testing.assert_array_equal(total, np.array([2, 0, inf, nan, nan], dtype))
    slopes = family.row_slopes(x, top, total, np.ones(5, dtype))
    np.testing.assert_array_equal(slopes[0], [0, 0.5, 0.5])
    assert np.isnan(slopes[3:]).all()


@pytest.mark.parametrize("family", [softmax, reference])
def test_rows_of_no_weight_have_no_slope_whatever_they_hold(family):
    x = np.array([[np.nan, np.inf], [1, 1]], np.float32)
    top, total, _ = family.row_sums(x)
    slopes = family.row_slopes(x, top, total, np.array([0, 2], np.float32))
    np.testing.assert_array_equal(slopes, [[0, 0], [1, 1]])


def test_the_result_may_go_where_the_scores_are_or_anywhere():
    x, g, even, weights = draw(9, 70, "float32")
    top, total, _ = softmax.row_sums(x)
    want = softmax.row_slopes(x, top, total, g, even, weights)
    out = np.zeros((9, 140), np.float32)[:, ::2]
    assert softmax.row_slopes(x, top, total, g, even, weights, out) is out
    assert np.array_equal(out, want)
    assert np.array_equal(softmax.row_slopes(x[:, ::-1], top, total, g)[:, ::-1],
                          softmax.row_slopes(x, top, total, g))  # fmt: skip
    softmax.row_slopes(x, top, total, g, even, weights, x)
    assert np.array_equal(x, want)


@pytest.mark.parametrize("family", [softmax, reference])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sums_leave_the_exponentials_if_asked_to(family, dtype):
    x, *_, weights = draw(9, 70, dtype)
    want = family.row_sums(x, weights)
    powers = np.exp(x - want[0][:, None])
    for out in (np.full_like(x, np.nan), x):  # at last in place
        for got, sums in zip(family.row_sums(x, weights, out), want, strict=True):
            np.testing.assert_array_equal(got, sums)
        np.testing.assert_allclose(out, powers, rtol=4 * np.finfo(dtype).eps)


def best_by_hand(x, count):
    """The places of scores whose log P is as good as that of the ``count`` best of a row."""
    top, total, _ = softmax.row_sums(x)
    found = []
    for row in softmax.log_rows(x, top, total):
        (there,) = np.nonzero(row > -np.inf)
        bound = np.sort(row[there])[::-1][:count].min(initial=np.inf)
        found.append(set(there[row[there] >= bound].tolist()))
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    rows=st.integers(0, 3), width=st.integers(1, 700), seed=st.integers(0, 99),
    count=st.integers(1, 40), values=st.sampled_from([3, 10**6]), lost=st.integers(0, 3),
)  # fmt: skip
def test_the_best_of_a_row_are_among_what_is_found(dtype, rows, width, seed, count, values, lost):
    rng = np.random.default_rng(seed)
    x = (rng.integers(0, values, (rows, width)) * (1e-6 if values > 3 else 1)).astype(dtype)
    x[rng.random(x.shape) < lost / 3] = -np.inf
    with np.errstate(all="ignore"):
        wanted = best_by_hand(x, count)
    top, total, most, token, found = softmax.row_best(x, count)
    for one, other in zip((top, total), softmax.row_sums(x), strict=False):
        assert np.array_equal(one, other)
    assert np.array_equal(most, x.max(axis=1))
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


@pytest.mark.parametrize("family", [softmax, reference])
def test_nan_and_infinity_show_in_the_sums_of_the_best(family):
    x = np.array([[1, np.nan, 3], [-np.inf] * 3, [1, np.inf, 2], [0, 1, 2]])
    with np.errstate(all="ignore"):
        top, total, most, token, found = family.row_best(x, 2)
    np.testing.assert_array_equal(top[1:], [0, 0, 2])
    np.testing.assert_array_equal(np.isfinite(total), [False, True, False, True])
    np.testing.assert_array_equal(most, [3, -np.inf, np.inf, 2])
    assert token[3, : found[3]].tolist() == [1, 2]
    assert found[1] == 0
