"""Arrays are joined as NumPy joins them, in memory that is kept."""

import numpy as np
import pytest

from tinygrad_rnn.kernels._room import concatenate


@pytest.mark.parametrize("kinds", ["ff", "dd", "FF", "??", "ii", "il", "li", "?l", "fd"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_joined_as_by_numpy(kinds, axis):
    long = [3, 0, 5]
    arrays = []
    for number, count in enumerate(long):
        shape = [2, 2, 2]
        shape[axis] = count
        array = np.arange(np.prod(shape)).reshape(shape[::-1]).T  # its last axis is no row
        arrays.append(array.astype(kinds[number % 2]))
    found, expected = concatenate(arrays, axis), np.concatenate(arrays, axis)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous
