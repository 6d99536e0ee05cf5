"""Buffers start on a line, come back when their last view dies, and never before."""

import numpy as np
import pytest

from tinygrad_rnn.kernels import _memory


@pytest.fixture(autouse=True)
def _clean():
    _memory.empty_cache()
    yield
    _memory.empty_cache()


@pytest.mark.parametrize("shape", [(), 7, (0,), (3, 5), (64, 512), (1000, 1001)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
def test_arrays_are_contiguous_and_start_on_a_line(shape, dtype):
    array = _memory.empty(shape, dtype)
    assert array.shape == np.empty(shape).shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.ctypes.data % 64 == 0
    assert type(array) is np.ndarray


def test_zeros_are_zero_in_used_memory():
    _memory.empty((100, 100)).fill(3)
    assert not _memory.zeros((100, 100)).any()


def test_memory_is_used_again_once_nobody_sees_it():
    address = _memory.empty((64, 512)).ctypes.data
    for _ in range(5):
        assert _memory.empty((64, 512)).ctypes.data == address


def test_a_view_of_a_view_keeps_the_memory():
    array = _memory.empty((64, 512))
    view = array[3:][1:, ::2].T
    view[...] = 5
    del array
    assert _memory.cached_bytes() == 0
    _memory.empty((64, 512)).fill(7)
    assert (view == 5).all()
    del view
    assert _memory.cached_bytes() > 0
