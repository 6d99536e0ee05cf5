"""Slices cover their range once, whoever runs them."""

import threading

import numpy as np
import pytest

from tinygrad_rnn.kernels import _pool


@pytest.fixture(autouse=True)
def _two_threads():
    before = _pool.num_threads()
    _pool.set_num_threads(2)
    yield
    _pool.set_num_threads(before)


def mark(start, stop, seen):
    seen[start:stop] += 1


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 64, 100])
@pytest.mark.parametrize("grain", [1, 6, 64])
def test_slices_cover_the_range_once(threads, count, grain):
    _pool.set_num_threads(threads)
    seen = np.zeros(count, int)
    _pool.parallel(mark, count, seen, grain=grain)
    assert (seen == 1).all()


def test_a_team_is_told_how_many_take_part():
    _pool.set_num_threads(3)
    calls = []
    _pool.team(lambda worker, workers: calls.append((worker, workers)))
    assert sorted(calls) == [(0, 3), (1, 3), (2, 3)]


def test_an_error_in_a_worker_reaches_the_caller_after_all_slices():
    finished = []

    def fail(start, stop):
        if start == 0:
            finished.append(start)
        else:
            raise ArithmeticError("slice")

    with pytest.raises(ArithmeticError, match="slice"):
        _pool.parallel(fail, 2)
    assert finished == [0]


def test_a_nested_call_runs_alone():
    workers = []

    def outer(worker, _):
        _pool.team(lambda _, count: workers.append(count))

    _pool.team(outer)
    assert workers == [1, 1]


def test_four_threads_at_once_each_get_their_result():
    results = [np.zeros(1000, int) for _ in range(4)]

    def caller(seen):
        for _ in range(200):
            _pool.parallel(mark, 1000, seen)

    threads = [threading.Thread(target=caller, args=(seen,)) for seen in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((seen == 200).all() for seen in results)
