"""exp, tanh and sigmoid: how far from the truth they may be, and that bits never vary."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.kernels.on_gpu import fetched, in_all_orders, sent
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels import _approximation, _arithmetic, _pool
from tinygrad_rnn.kernels import pointwise as contract
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels.pointwise import cpu, exp, gpu, reference, sigmoid, tanh

FUNCTIONS = [exp, tanh, sigmoid]
DTYPES = ["float32", "float64"]
TRUTH = {exp: np.exp, tanh: np.tanh, sigmoid: lambda x: 1 / (1 + np.exp(-x))}
# The farthest found in units in the last place: of float32 over all its numbers, of float64
# over 10^8. The contract allows 2 of float32, or 2.5e-7 absolute, and 4 of float64.
FARTHEST = {exp: (1.05, 1.05), tanh: (2.52, 2.7), sigmoid: (2.49, 2.4)}
compiled = pytest.mark.skipif(DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")
STRIDE = 100_003 if DISABLED else 257


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def check_distance(function, x, wide, result=None, farthest=None):
    """Compare with the truth, computed in a wider type; below the normal range zero is right."""
    result = function(x) if result is None else result
    with np.errstate(all="ignore"):
        truth = TRUTH[function](x.astype(wide))
        info = np.finfo(x.dtype)
        np.testing.assert_array_equal(np.isnan(result), np.isnan(x))
        far = np.abs(truth) > info.max
        np.testing.assert_array_equal(result[far], truth[far].astype(x.dtype))
        normal = ~far & (np.abs(truth) >= info.tiny) & (np.abs(x) >= info.tiny)
        _, exponent = np.frexp(truth[normal])
        unit = np.ldexp(np.ones((), wide), exponent - 1 - info.nmant)
        distance = np.abs(result[normal].astype(wide) - truth[normal]) / unit
        assert distance.max(initial=0) <= (farthest or FARTHEST[function][x.itemsize == 8])
        small = ~far & ~normal & ~np.isnan(x)
        assert (np.abs(result[small] - truth[small]) <= info.tiny).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_float32_is_close_to_the_truth_over_all_its_numbers(function):
    for start in range(0, 1 << 32, 1 << 29):
        stop = start + (1 << 29)
        patterns = np.arange(start + start // (1 << 29), stop, STRIDE, np.uint32)
        check_distance(function, patterns.view(np.float32), np.float64)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs a wider type than float64")
def test_float64_is_close_to_the_truth(function):
    rng = np.random.default_rng(0)
    count = 300 if DISABLED else 100_000
    for scale in (1e-300, 1e-9, 1e-3, 0.3, 1, 10, 40, 300):
        check_distance(function, rng.standard_normal(count) * scale, np.longdouble)


@pytest.mark.parametrize("dtype", DTYPES)
def test_edges_are_exact(dtype):
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan], dtype)
    np.testing.assert_array_equal(exp(x), np.array([1, 1, np.inf, 0, np.nan], dtype))
    np.testing.assert_array_equal(tanh(x), np.array([0, -0.0, 1, -1, np.nan], dtype))
    np.testing.assert_array_equal(np.signbit(tanh(x[:2])), [False, True])
    np.testing.assert_array_equal(sigmoid(x), np.array([0.5, 0.5, 1, 0, np.nan], dtype))
    limits = _approximation.CONSTANTS[np.dtype(dtype)]
    last, first = np.array([limits.largest, limits.smallest], dtype)
    assert np.isfinite(exp(last[None]))[0]
    assert np.isinf(exp(np.nextafter(last, last.dtype.type(np.inf))[None]))[0]
    assert exp(first[None])[0] >= np.finfo(dtype).tiny
    assert exp(np.nextafter(first, first.dtype.type(-np.inf))[None])[0] == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_element_has_the_same_bits_wherever_it_stands(function, dtype, monkeypatch):
    monkeypatch.setattr(cpu, "_GRAIN", 16)
    x = (np.random.default_rng(0).standard_normal(101) * 5).astype(dtype)
    before = _pool.num_threads()
    try:
        _pool.set_num_threads(1)
        whole = bits(function(x))
        for threads in (1, 2, 4):
            _pool.set_num_threads(threads)
            for start, stop in [(0, 101), (1, 101), (0, 1), (50, 53), (3, 99), (64, 96)]:
                np.testing.assert_array_equal(bits(function(x[start:stop])), whole[start:stop])
    finally:
        _pool.set_num_threads(before)
    np.testing.assert_array_equal(bits(function(x[::-3])), whole[::-3])
    np.testing.assert_array_equal(
        bits(function(x[:100].reshape(4, 25).T)), whole[:100].reshape(4, 25).T
    )
    np.testing.assert_array_equal(
        bits(function(np.broadcast_to(x[:4, None], (4, 7))))[:, 6], whole[:4]
    )
    in_place = x.copy()
    assert function(in_place, in_place) is in_place
    np.testing.assert_array_equal(bits(in_place), whole)


@given(
    hnp.arrays(
        st.sampled_from(DTYPES),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=5),
        elements=st.floats(-30, 30, width=32),
    )
)
def test_results_have_the_shape_and_type_of_x_and_equal_the_definition(x):
    for function in FUNCTIONS:
        result = function(x)
        assert result.shape == x.shape
        assert result.dtype == x.dtype
        assert result.flags.c_contiguous
        expected = getattr(reference, function.__name__)(x)
        bound = 1e-36 if x.dtype == np.float32 else 1e-300
        np.testing.assert_allclose(
            result, expected, 5e-7 if x.dtype == np.float32 else 2e-15, bound
        )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_out_may_have_any_layout_and_x_is_left_alone(function):
    x = np.linspace(-3, 3, 12).reshape(3, 4)
    x.flags.writeable = False
    out = np.zeros((8, 3)).T[:, ::2]
    assert function(x, out) is out
    np.testing.assert_array_equal(out, function(x))
    assert not out.base.T[:, 1::2].any()


@compiled
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_numbers_go_through_the_same_steps_to_the_same_bits(function, dtype):
    x = (np.random.default_rng(0).standard_normal(300) * 8).astype(dtype)
    x[:7] = [0, -0.0, np.inf, -np.inf, np.nan, 88.7228, -87.3365]
    steps = getattr(_approximation, function.__name__)
    with np.errstate(all="ignore"):
        by_numpy = _arithmetic.in_python(steps, x)
    known = ~np.isnan(x)
    np.testing.assert_array_equal(bits(function(x))[known], bits(by_numpy)[known])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [5, 40_000])
def test_a_rectifier_and_its_slope_choose_and_compute_nothing(dtype, size):
    x = np.random.default_rng(0).standard_normal(size).astype(dtype)
    x[:5] = [0, -0.0, np.inf, -np.inf, np.nan]
    given, slopes = x.copy(), np.where(x > 0, np.inf, np.nan).astype(dtype)
    y = contract.rectify(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    found = contract.rectify_slope(slopes, y)
    np.testing.assert_array_equal(found, np.where(np.isnan(x), np.nan, np.where(x > 0, np.inf, 0)))
    np.testing.assert_array_equal(reference.rectify_slope(slopes, y), found)
    np.testing.assert_array_equal(x, given)
    assert y.dtype == found.dtype == dtype


# ----- on a GPU -----


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gpu_is_close_to_the_truth(cupy, function, dtype):
    single = dtype == "float32"
    if single:
        x = np.arange(0, 1 << 32, 100 * STRIDE, np.uint32).view(np.float32)
    else:
        scales = np.repeat([1e-300, 1e-9, 1e-3, 0.3, 1, 10, 40, 300], 500)
        x = np.random.default_rng(0).standard_normal(scales.size) * scales
    x[:5] = [0, -0.0, np.inf, -np.inf, np.nan]
    (found,) = in_all_orders(lambda: [function(sent(x))])
    check_distance(function, x, np.float64 if single else np.longdouble, found, 2.7)
    np.testing.assert_array_equal(found[:5], function(x[:5]))
    np.testing.assert_array_equal(np.signbit(found[:2]), np.signbit(function(x[:2])))


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (3, 5), (3, 700)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_a_gpu_may_have_any_layout(cupy, dtype, shape):
    both = (3 * np.random.default_rng(0).standard_normal((2, *shape))).astype(dtype)
    x, g = map(np.asarray, both)
    for function in FUNCTIONS:
        whole = fetched(function(sent(x)))
        np.testing.assert_allclose(whole, function(x), 16 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(fetched(function(sent(x).T)), whole.T)
        place = sent(np.zeros((*shape, 2), dtype))[..., 0]
        assert function(sent(x), place) is place
        np.testing.assert_array_equal(fetched(place), whole)
        in_place = sent(x)
        assert function(in_place, in_place) is in_place
        np.testing.assert_array_equal(fetched(in_place), whole)
    slopes = (contract.tanh_slope, contract.sigmoid_slope, contract.rectify_slope)
    for slope in slopes:  # of the bits of NumPy
        expected = getattr(reference, slope.__name__)(g, x)
        np.testing.assert_array_equal(fetched(slope(*sent([g, x]))), expected)
        np.testing.assert_array_equal(fetched(slope(sent(g).T, sent(x).T)), expected.T)
        if shape:  # one g for all of a row
            expected = getattr(reference, slope.__name__)(g[..., :1], x)
            np.testing.assert_array_equal(fetched(slope(sent(g)[..., :1], sent(x))), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rectifier_of_a_gpu_chooses_and_computes_nothing(cupy, dtype):
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, 2, -2], dtype)
    g = np.where(x > 0, np.inf, np.nan).astype(dtype)
    y = contract.rectify(sent(x))
    np.testing.assert_array_equal(fetched(y), np.maximum(x, 0))
    found = fetched(contract.rectify_slope(sent(g), y))
    np.testing.assert_array_equal(found, reference.rectify_slope(g, np.maximum(x, 0)))
    whole = contract.rectify(sent(np.array([-3, 4])))
    np.testing.assert_array_equal(fetched(whole), [0, 4])


def test_a_gpu_takes_complex_numbers_and_refuses_what_does_not_fit(cupy):
    x = np.array([0.5 + 1e-9j, -3.0])
    for function in FUNCTIONS:
        np.testing.assert_allclose(fetched(function(sent(x))), function(x), rtol=1e-15)
    with pytest.raises(DTypeError, match="expected float32 or float64"):
        exp(sent(np.arange(3)))
    with pytest.raises(ShapeError, match=r"out is float32 \(2,\), expected float64 \(3,\)"):
        tanh(*sent([np.zeros(3), np.zeros(2, np.float32)]))


# ----- what a call may be -----


def test_what_does_not_fit_is_refused():
    with pytest.raises(DTypeError, match="expected float32 or float64"):
        exp(np.arange(3))
    with pytest.raises(ShapeError, match=r"out is float32 \(2,\), expected float64 \(3,\)"):
        tanh(np.zeros(3), np.zeros(2, np.float32))


@pytest.mark.parametrize("twin", [cpu, gpu, reference])
def test_twins_take_the_arguments_of_the_contract(twin):
    for function in FUNCTIONS:
        expected = inspect.signature(getattr(contract, function.__name__)).parameters.values()
        given = inspect.signature(getattr(twin, function.__name__)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in given] == [
            (p.name, p.kind, p.default) for p in expected
        ]
