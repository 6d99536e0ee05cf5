"""What @kernel promises whoever calls one."""

import numpy as np
import pytest

from tinygrad_rnn.kernels._jit import helper, kernel


@helper
def square(x):
    return x * x


@kernel("intp, intp, const(T[::1]), T[::1]")
def squares(start, stop, x, y):
    for i in range(start, stop):
        y[i] = square(x[i])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_array_chooses_the_element_type(dtype):
    x = np.arange(5, dtype=dtype)
    y = np.empty_like(x)
    squares(0, 5, x, y)
    np.testing.assert_array_equal(y, x * x)


def test_read_only_arrays_are_welcome_where_the_signature_says_const():
    x, y = np.arange(5.0), np.empty(5)
    x.flags.writeable = False
    squares(0, 5, x, y)
    np.testing.assert_array_equal(y, x * x)


def test_another_element_type_is_refused_by_name():
    with pytest.raises(TypeError, match="squares: given an array of int64, expected one of float3"):
        squares(0, 5, np.arange(5), np.arange(5))


@pytest.mark.parametrize(("dtype", "tiny"), [("float32", 1e-30), ("float64", 1e-200)])
def test_denormals_are_flushed_inside_and_the_mode_is_given_back(dtype, tiny):
    x = np.array([tiny], dtype)
    y = np.ones_like(x)
    squares(0, 1, x, y)
    assert y[0] == 0
    smallest = np.finfo(dtype).smallest_subnormal
    assert np.array([smallest])[0] * np.array([3], dtype)[0] > 0
