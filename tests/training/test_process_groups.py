"""Sums over processes: right, the same everywhere, in order; and clear errors, never a hang."""

import socket
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.process_groups import at_once, in_threads, results
from tinygrad_rnn.errors import ArgumentError, DistributedError
from tinygrad_rnn.training import parallel


def test_sums_of_any_size_in_groups_of_any_size():
    sizes = [0, 1, 2, 3, 5, 64, 1000, 300_000]

    def work(group):
        rng = np.random.default_rng(group.rank)
        arrays = [rng.standard_normal(n).astype(t) for n in sizes for t in ("f4", "f8")]
        before = [array.copy() for array in arrays]
        works = [group.all_reduce(array, async_op=True) for array in arrays]
        for one in works:
            one.wait()
        return before, arrays

    for size in (1, 2, 3, 5):
        found = results(work, size)
        for number, first in enumerate(found[0][1]):
            exact = sum(before[number].astype(np.longdouble) for before, _ in found)
            error = np.finfo(first.dtype).eps * size * 4
            np.testing.assert_allclose(first, exact.astype(first.dtype), rtol=error, atol=error)
            for _, after in found:  # the same to the bit
                np.testing.assert_array_equal(after[number], first)


def test_shapes_whole_numbers_and_the_sum_stays_in_place():
    def work(group):
        array = np.arange(6).reshape(2, 3) * (group.rank + 1)
        group.all_reduce(array)
        return array

    for array in results(work, 3):
        np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3) * 6)


def test_broadcast_barrier_any_and_bytes():
    def work(group):
        array = np.full(1000, group.rank, np.float32)
        group.broadcast(array, 2)
        group.barrier()
        texts = group.all_gather_bytes(b"x" * group.rank)
        said = group.broadcast_bytes(f"from {group.rank}".encode(), 1)
        return set(array), texts, said, group.any(group.rank == 1), group.any(False)

    for found in results(work, 3):
        assert found == ({2}, [b"", b"x", b"xx"], b"from 1", True, False)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
@settings(max_examples=5)
def test_the_same_bits_whoever_is_late(sizes, seed):
    def work(group):
        delays = np.random.default_rng([seed, group.rank])
        found = []
        for n in sizes:
            array = np.random.default_rng([group.rank, n]).standard_normal(n).astype(np.float32)
            time.sleep(delays.uniform(0, 0.003) if late else 0)
            group.all_reduce(array)
            found.append(array)
        return found

    late = False
    first = results(work, 3)
    late = True
    for one, other in zip(first, results(work, 3), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_group_of_one_needs_nobody():
    with parallel.SocketGroup("nowhere:1", 0, 1, key="k") as group:
        array = np.ones(3)
        group.all_reduce(array, async_op=True).wait()
        assert group.all_gather_bytes(b"a") == [b"a"]
        np.testing.assert_array_equal(array, np.ones(3))


# ----- what goes wrong -----


def test_different_calls_are_an_error_in_all_processes():
    def work(group):
        group.all_reduce(np.zeros(3))
        if group.rank == 1:
            group.broadcast(np.zeros(3), 0)
        else:
            group.all_reduce(np.zeros(4))

    found = in_threads(work, 3)
    assert all(isinstance(one, DistributedError) for one in found), found
    told = "\n".join(map(str, found))
    assert "makes call 1, all_reduce of float64[4]" in told
    assert "makes call 1, broadcast from 0 of float64[3]" in told


def test_one_that_ends_early_is_an_error_for_the_others():
    def work(group):
        if group.rank != 1:
            group.all_reduce(np.zeros(100_000))

    found = in_threads(work, 3)
    assert found[1] is None
    for one in (found[0], found[2]):
        assert isinstance(one, DistributedError)
        assert "is gone" in str(one)


def test_after_an_error_every_call_says_it_again():
    def work(group):
        if group.rank == 0:
            works = [group.all_reduce(np.zeros(10), async_op=True) for _ in range(3)]
            for each in works:
                with pytest.raises(DistributedError, match="is gone"):
                    each.wait()

    assert in_threads(work)[0] is None


def test_silence_is_an_error_after_the_time_limit():
    def work(group):
        if group.rank == 0:
            group.all_reduce(np.zeros(10))
        time.sleep(0.6)

    error = in_threads(work, timeout=0.3)[0]
    assert isinstance(error, DistributedError)
    assert "rank 1 has sent nothing for 0.3 seconds" in str(error)


def meeting(places):
    """What comes of it where rank r is told ``places[r]``, beside the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()[:2]

        def meet(rank, world_size=2, key="k", timeout=5.0):
            only = {} if rank else {"listener": listener}
            with parallel.SocketGroup(
                address, rank, world_size, key=key, timeout=timeout, **only
            ) as group:
                return group.any(True)

        return at_once([partial(meet, rank, **place) for rank, place in enumerate(places)])


def test_another_key_is_refused_by_both():
    first, second = meeting([{"key": "a", "timeout": 1.0}, {"key": "b"}])
    assert isinstance(first, DistributedError)
    assert "rank 1 has not come" in str(first)
    assert "1 had another key" in str(first)
    assert isinstance(second, DistributedError)
    assert "has another key" in str(second)


def test_who_was_told_something_else():
    for error in meeting([{}, {"world_size": 3}]):
        assert isinstance(error, DistributedError)
        assert "rank 1 was told that there are 3 processes, rank 0 2" in str(error)


def test_strangers_do_not_keep_the_others_from_meeting():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()[:2]
        with socket.create_connection(address) as stranger:
            stranger.sendall(b"GET / HTTP/1.0\r\n\r\n" + b"x" * 100)

            def meet(rank, **only):
                with parallel.SocketGroup(address, rank, 2, key="k", **only) as group:
                    return group.any(True)

            assert at_once([partial(meet, 0, listener=listener), partial(meet, 1)]) == [True, True]


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[:2]
    with pytest.raises(DistributedError, match=r"nobody answers at 127.0.0.1:.*where rank 0"):
        parallel.SocketGroup(free, 1, 2, key="k", timeout=0.2)
    with pytest.raises(DistributedError, match="ranks 1, 2 have not come"):
        parallel.SocketGroup(free, 0, 3, key="k", timeout=0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 2}, "rank is 2, expected one from 0 to 1"),
        ({"world_size": 0}, "world_size"),
        ({"key": ""}, "key is empty"),
        ({"address": "10.0.0.1"}, "expected where rank 0 listens"),
        ({"address": ("h", 70000)}, "expected where rank 0 listens"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_bad_arguments(change, message):
    given = {"address": "127.0.0.1:1", "rank": 0, "world_size": 2, "key": "k", **change}
    with pytest.raises(ArgumentError, match=message):
        parallel.SocketGroup(**given)


def test_what_cannot_be_sent():
    with parallel.SocketGroup("h:1", 0, 1, key="k") as group:
        for wrong in (np.zeros((4, 4)).T[1:], np.array(["a"]), np.broadcast_to(1.0, 3)):
            with pytest.raises(ArgumentError, match="expected numbers in an array"):
                group.all_reduce(wrong)
        with pytest.raises(DistributedError, match="expected one of NumPy"):
            group.all_reduce([1.0])


def test_a_group_that_was_closed():
    def work(group):
        group.barrier()
        group.close()
        with pytest.raises(DistributedError, match="closed"):
            group.barrier()

    results(work)
