"""Rows that are standardised: the definition, whatever stands beside them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.on_gpu import close, fetched, in_all_orders, same_bits, sent
from tinygrad_rnn.kernels import normalization
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels.normalization import reference
from tinygrad_rnn.testing import strategies as gs

DTYPES = ["float32", "float64"]
EPS = 1e-5


def drawn(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [(3 * rng.standard_normal(shape) + 1).astype(dtype) for _ in range(2)]


def results(g, x):
    return [normalization.standardize(x, EPS), normalization.standardize_slope(g, x, EPS)]


def expected(g, x):
    g, x = g.astype(np.float64), x.astype(np.float64)
    return [reference.standardize(x, EPS), reference.standardize_slope(g, x, EPS)]


def check(found, g, x, dtype):
    for one, other in zip(found, expected(g, x), strict=True):
        # A row of one number, or of equal ones, is what rounding leaves divided by √eps.
        close(one, other, dtype, x.shape[-1] / EPS if x.shape[-1] == 1 else x.shape[-1] * 10)


@given(st.integers(0, 3), st.integers(1, 70), gs.seeds(), st.sampled_from(DTYPES))
def test_the_cpu_finds_what_the_definition_says(rows, width, seed, dtype):
    g, x = drawn((rows, width), dtype, seed)
    start = x.copy(), g.copy()
    check(results(g, x), g, x, dtype)
    assert np.array_equal(x, start[0])
    assert np.array_equal(g, start[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (0, 4), (2, 1), (2, 3, 129), (2, 2100), (7,)])
def test_a_gpu_finds_what_the_definition_says(cupy, shape, dtype):
    g, x = drawn(shape, dtype)
    check(in_all_orders(lambda: results(*sent([g, x]))), g, x, dtype)


def test_a_row_alone_has_the_same_bits(cupy):
    g, x = drawn((5, 300), "float32")
    whole = fetched(results(*sent([g, x])))
    same_bits([part[2:3] for part in whole], fetched(results(*sent([g[2:3], x[2:3]]))))
    turned = [np.asfortranarray(part) for part in (g, x)]
    same_bits(whole, fetched(results(*sent(turned))))
    before = num_threads()
    try:
        set_num_threads(2)
        on_cpu = results(g, x)
        set_num_threads(1)
        same_bits([part[2:3] for part in on_cpu], results(g[2:3], x[2:3]))
    finally:
        set_num_threads(before)


def test_what_is_not_finite_shows_in_its_row_alone(cupy):
    g, x = drawn((3, 40), "float64")
    x[1, 7] = np.nan
    for found in (results(g, x), fetched(results(*sent([g, x])))):
        for part in found:
            assert np.isnan(part[1]).all()
            assert np.isfinite(part[::2]).all()


def test_complex_numbers_pass_through_both_twins(cupy):
    g, x = drawn((2, 5), "float64")
    x = x + 1e-200j
    slopes = expected(g, x.real)
    for y in (normalization.standardize(x, EPS), fetched(normalization.standardize(sent(x), EPS))):
        # Every number of x was moved: the derivative is that along a row of ones, which is 0.
        assert abs(y.imag / 1e-200).max() < 1e-12
    np.testing.assert_allclose(fetched(normalization.standardize_slope(*sent([g, x]), EPS)).real,
                               slopes[1], atol=1e-12)  # fmt: skip
