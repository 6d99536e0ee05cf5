"""Pooling: the compiled kernels hold what the definition says, whatever the windows."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernels.on_gpu import fetched, in_all_orders, same_bits, sent
from tinygrad_rnn.kernels import pooling
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.convolution import Windows
from tinygrad_rnn.kernels.pooling import reference
from tinygrad_rnn.testing import strategies as gs


@st.composite
def calls(draw):
    """An image with many equal numbers, a kernel and windows."""
    axes = draw(st.integers(1, 2))
    kernel, stride = (tuple(draw(st.integers(1, 4)) for _ in range(axes)) for _ in range(2))
    padding = tuple((p, p) for p in (draw(st.integers(0, k // 2)) for k in kernel))
    sizes = tuple(
        max(1, k - sum(p)) + draw(st.sampled_from([0, 1, 5, 40]))
        for k, p in zip(kernel, padding, strict=True)
    )
    rng = np.random.default_rng(draw(gs.seeds()))
    x = rng.choice([-np.inf, -1.0, 0.0, 1.0, np.nan], (draw(st.integers(0, 2)), 3, *sizes))
    return x, kernel, Windows(stride, padding, (1,) * axes)


def both(x, kernel, windows):
    y, places = pooling.max_pool(x, kernel, windows)
    g = np.arange(1, y.size + 1, dtype=x.dtype).reshape(y.shape)
    return y, places, pooling.max_pool_input(g, places, x.shape[2:])


@given(calls(), st.sampled_from(["float32", "float64"]))
def test_kernels_give_what_the_definition_says(call, dtype):
    x, kernel, windows = call[0].astype(dtype), *call[1:]
    with use_reference():
        expected = both(x, kernel, windows)
    for one, other in zip(both(x, kernel, windows), expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@given(calls(), st.sampled_from(["float32", "float64"]))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_gpu_finds_the_same(cupy, call, dtype):
    x, kernel, windows = call[0].astype(dtype), *call[1:]
    y, places, dx = both(x, kernel, windows)
    g = np.arange(1, y.size + 1, dtype=dtype).reshape(y.shape)

    def found():
        y, places = pooling.max_pool(sent(x), kernel, windows)
        return [y, places, pooling.max_pool_input(sent(g), places, x.shape[2:])]

    same_bits(in_all_orders(found), [y, places, dx])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_on_a_gpu_gradients_are_added_in_their_order(cupy, dtype):
    rng = np.random.default_rng(0)
    places = rng.integers(0, 5, (2, 3, 7, 11)).astype(np.int32)
    g = (100 * rng.standard_normal(places.shape)).astype(dtype)
    expected = reference.max_pool_input(g, places, (2, 4))
    turned = sent(np.ascontiguousarray(np.flip(g, -1)))[..., ::-1]
    for there in (sent(g), turned):
        (found,) = in_all_orders(
            lambda there=there: [pooling.max_pool_input(there, sent(places), (2, 4))]
        )
        np.testing.assert_array_equal(found, expected)


def test_on_a_gpu_whole_numbers_stay_what_they_are(cupy):
    x = np.array([[[0, 3, 3, 1, 0]]])
    pooled = pooling.max_pool(sent(x), (2,), Windows((1,), ((1, 1),), (1,)))
    same_bits(
        fetched(list(pooled)), list(pooling.max_pool(x, (2,), Windows((1,), ((1, 1),), (1,))))
    )


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_whole_numbers_stay_what_they_are(dtype):
    x = np.array([[[0, 3, 3, 1, 0]]], dtype)
    y, places = pooling.max_pool(x, (2,), Windows((1,), ((1, 1),), (1,)))
    assert y.dtype == dtype
    assert np.array_equal(y, np.array([[[0, 3, 3, 3, 1, 0]]], dtype))
    if dtype != "bool":
        assert places.tolist() == [[[0, 1, 1, 2, 3, 4]]]


@given(calls())
@settings(max_examples=20)
def test_the_first_of_the_largest_counts_and_padding_never(call):
    x, kernel, windows = call
    y, places = pooling.max_pool(x, kernel, windows)
    for (b, c, *p), place in np.ndenumerate(places):
        starts = [
            n * s - a for n, s, (a, _) in zip(p, windows.stride, windows.padding, strict=True)
        ]
        index = tuple(slice(max(0, a), a + k) for a, k in zip(starts, kernel, strict=True))
        window = x[b, c][index]
        best = np.unravel_index(window.argmax(), window.shape)  # NumPy's is of the first, too
        there = [n + i.start for n, i in zip(best, index, strict=True)]
        assert place == np.ravel_multi_index(there, x.shape[2:])
        np.testing.assert_equal(y[(b, c, *p)], window[best])


def test_bits_do_not_depend_on_threads():
    x = np.random.default_rng(0).standard_normal((4, 9, 40, 30)).astype("float32")
    before, found = num_threads(), []
    try:
        for count in (1, 2, 4):
            set_num_threads(count)
            found.append(both(x, (3, 3), Windows((1, 2), ((1, 1), (1, 1)), (1, 1))))
    finally:
        set_num_threads(before)
    for one, *others in zip(*found, strict=True):
        assert all(np.array_equal(one, other) for other in others)
