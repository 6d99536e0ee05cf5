"""Buffers start on a line, come back when their last view dies, and never before."""

import gc
import os
import threading

import numpy as np
import pytest

from tinygrad_rnn.kernels import _memory

SHAPE = (64, 512)
SIZE = 64 * 512 * 4


@pytest.fixture(autouse=True)
def _clean():
    gc.collect()
    _memory.empty_cache()
    limit = _memory._cache.limit
    yield
    _memory.poison(False)
    _memory.set_cache_limit(limit)
    _memory.empty_cache()


@pytest.mark.parametrize("shape", [(), 7, np.int64(9), 0, (0,), (3, 5), (64, 512), (1000, 1001)])
@pytest.mark.parametrize("dtype", ["float32", np.float64, np.uint8, np.dtype("int64")])
def test_arrays_are_contiguous_and_start_on_a_line(shape, dtype):
    for _ in range(2):  # fresh, then used
        array = _memory.empty(shape, dtype)
        assert array.shape == np.empty(shape).shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % 64 == 0
        assert type(array) is np.ndarray
        del array


def test_the_address_of_any_array():
    whole = _memory.empty((6, 8))
    still = _memory.empty((6, 8)).reshape(8, 6)
    still.flags.writeable = False
    arrays = [whole, whole[2:], whole[:, 3:], whole.T, whole[5, 7:], whole[:0], whole.reshape(-1)]
    for array in [*arrays, still, np.array(1.5), np.ones((3, 1), np.int64), np.zeros((0, 4))]:
        assert _memory.address_of(array) == array.ctypes.data


def test_zeros_are_zero_in_used_memory():
    _memory.empty((100, 100)).fill(3)
    assert not _memory.zeros((100, 100)).any()


def test_memory_waits_once_nobody_sees_it_and_is_used_again_each_time():
    array = _memory.empty(SHAPE)
    address = array.ctypes.data
    assert _memory.cached_bytes() == 0
    for _ in range(5):
        del array
        assert _memory.cached_bytes() == SIZE
        array = _memory.empty(SHAPE)
        assert _memory.cached_bytes() == 0
        assert array.ctypes.data == address


def test_like_sizes_share_memory():
    del_me = _memory.empty(1000)
    del del_me
    waiting = _memory.cached_bytes()
    _memory.empty((31, 32))
    assert _memory.cached_bytes() == waiting


@pytest.mark.parametrize(
    "view_of",
    [
        pytest.param(lambda a: a[3:][1:, ::2].T, id="view of a view of a view"),
        pytest.param(lambda a: np.asarray(memoryview(a)), id="memoryview"),
        pytest.param(lambda a: np.from_dlpack(a), id="DLPack"),
        pytest.param(lambda a: a.view(np.int32).view(np.float32), id="another type"),
        pytest.param(lambda a: np.frombuffer(a, np.float32), id="buffer"),
        pytest.param(lambda a: a.base[:8].view(np.float32), id="its own block"),
        pytest.param(lambda a: np.lib.stride_tricks.as_strided(a, (4,), (4,)), id="strides"),
    ],
)
def test_memory_is_not_used_again_while_anybody_sees_it(view_of):
    array = _memory.empty(SHAPE)
    view = view_of(array)
    view[...] = 5
    del array
    gc.collect()
    assert _memory.cached_bytes() == 0
    others = [_memory.empty(SHAPE) for _ in range(3)]
    for other in others:
        other.fill(7)
        assert not np.shares_memory(view, other)
    assert (view == 5).all()
    del view, view_of
    gc.collect()
    assert _memory.cached_bytes() == SIZE


def test_views_that_somebody_makes_of_a_block_do_not_return_it_twice():
    array = _memory.empty(SHAPE)
    for _ in range(3):
        array.base[10:]
        array.base.copy()
    assert _memory.cached_bytes() == 0
    del array
    assert _memory.cached_bytes() == SIZE


def test_poison_fills_what_is_fresh_and_what_died_with_nan():
    _memory.poison()
    array = _memory.empty(SHAPE)
    assert np.isnan(array).all()
    array.fill(1)
    address = array.ctypes.data
    del array
    again = _memory.empty(SHAPE)
    assert again.ctypes.data == address
    assert np.isnan(again).all()


def test_no_more_waits_than_the_limit_allows():
    _memory.set_cache_limit(2 * SIZE)
    arrays = [_memory.empty(SHAPE) for _ in range(5)]
    del arrays
    assert _memory.cached_bytes() == 2 * SIZE
    _memory.empty(4 * SHAPE[0] * SHAPE[1])  # larger than all: it drives nothing out
    assert _memory.cached_bytes() == 2 * SIZE
    _memory.set_cache_limit(SIZE)
    assert _memory.cached_bytes() <= SIZE


def test_sizes_that_nobody_wants_any_more_make_room():
    _memory.set_cache_limit(2 * SIZE)
    arrays = [_memory.empty(SHAPE) for _ in range(2)]
    del arrays
    for _ in range(3):
        other = _memory.empty(2 * SIZE, np.uint8)
        del other
    array = _memory.empty(2 * SIZE, np.uint8)
    assert _memory.cached_bytes() == 0
    del array
    assert _memory.cached_bytes() == 2 * SIZE


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="given -1, expected 0 or more"):
        _memory.set_cache_limit(-1)


def test_threads_never_get_the_same_memory():
    wrong = []

    def take(number):
        for _ in range(300):
            arrays = [_memory.empty((50, 50)) for _ in range(5)]
            for array in arrays:
                array.fill(number)
            wrong.extend(array for array in arrays if (array != number).any())

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_writes_to_memory_of_its_own():
    waiting = _memory.empty(SHAPE)
    kept = _memory.zeros(SHAPE)
    del waiting
    child = os.fork()
    if child == 0:
        kept.fill(1)
        _memory.empty(SHAPE).fill(2)
        os._exit(0 if (kept == 1).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not kept.any()
