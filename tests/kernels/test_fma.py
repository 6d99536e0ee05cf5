"""The emulated multiply-add rounds once, as exact fractions say."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.kernels._fma import fma


def rounded(value, dtype):
    """Round a fraction to the nearest number of a type, ties to even."""
    bits = np.finfo(dtype).nmant + 1
    if value == 0:
        return dtype(0)
    size, exponent = abs(value), 0
    while size >= 2**bits:
        size, exponent = size / 2, exponent + 1
    while size < 2 ** (bits - 1):
        size, exponent = size * 2, exponent - 1
    nearest = round(size)  # of a Fraction: to even
    return dtype(np.ldexp(dtype(nearest if value > 0 else -nearest), exponent))


def numbers(dtype):
    """Numbers whose bits overlap in sums and products, and which never leave the normal range."""
    digits = np.finfo(dtype).nmant
    whole = st.integers(-(2 ** (digits + 1)) + 1, 2 ** (digits + 1) - 1)
    return st.builds(
        lambda n, exponent: dtype(np.ldexp(dtype(n), exponent)), whole, st.integers(-30, 30)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_it_is_rounded_once(dtype, data):
    x, y, z = (data.draw(numbers(dtype)) for _ in range(3))
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    result = fma(x, y, z)
    assert result.dtype == dtype
    assert result == rounded(exact, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_it_is_rounded_once_next_to_ties(dtype, data):
    """The product is half a unit of z, less a bit so low that it shows in no sum."""
    digits = np.finfo(dtype).nmant
    less = data.draw(st.integers(1, 60))
    n = data.draw(st.integers(2**digits, 2 ** (digits + 1) - 1))
    x, y = dtype(2**digits + less), dtype(data.draw(st.sampled_from([-1, 1])) * (2**digits - less))
    z = dtype(np.ldexp(dtype(n), 2 * digits + 1))
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    assert fma(x, y, z) == rounded(exact, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_and_zeros_come_out_as_in_plain_arithmetic(dtype):
    values = np.array([0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan], dtype)
    x, y, z = (a.ravel() for a in np.meshgrid(values, values, values))
    with np.errstate(all="ignore"):
        result, expected = fma(x, y, z), x * y + z
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


def test_complex_numbers_are_multiplied_and_added():
    assert fma(np.complex128(1 + 2j), np.complex128(3j), np.complex128(1)) == -5 + 3j
