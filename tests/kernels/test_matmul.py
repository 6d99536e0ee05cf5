"""Products equal their definition to the bit, whatever the layout, shape or start."""

import numpy as np
import pytest

from tinygrad_rnn.kernels.matmul import matmul, pack, reference


def bits(array):
    return np.ascontiguousarray(array).view(np.uint32 if array.itemsize == 4 else np.uint64)


def assert_same_bits(result, expected):
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(bits(result), bits(expected))


def laid_out(rng, shape, layout, dtype):
    if layout == "rows":
        return rng.standard_normal(shape).astype(dtype)
    if layout == "columns":
        return rng.standard_normal(shape[::-1]).astype(dtype).T
    return rng.standard_normal((2 * shape[0], 3 * shape[1])).astype(dtype)[::-2, ::-3]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("of_a", ["rows", "columns", "steps"])
@pytest.mark.parametrize("of_b", ["rows", "columns", "steps"])
def test_every_layout_gives_the_bits_of_the_definition(dtype, of_a, of_b):
    rng = np.random.default_rng(0)
    for M, K, N in [(1, 8, 8), (0, 3, 4), (3, 0, 4), (3, 4, 0), (9, 3, 49), (70, 300, 100)]:
        a, b = laid_out(rng, (M, K), of_a, dtype), laid_out(rng, (K, N), of_b, dtype)
        expected = reference.matmul(a, b)
        assert_same_bits(matmul(a, b), expected)
        assert_same_bits(matmul(a, pack(b)), expected)
