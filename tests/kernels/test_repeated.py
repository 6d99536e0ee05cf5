"""Work that is written down does on other arrays what it would have done anew."""

import gc
import os
import threading
import weakref

import numpy as np
import pytest

from tinygrad_rnn.kernels import _memory, _pool, _repeated
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._repeated import repeated
from tinygrad_rnn.kernels.matmul.cpu import matmul
from tinygrad_rnn.kernels.recurrence.cpu_sums import column_sums, fill

pytestmark = pytest.mark.skipif(DISABLED, reason="without JIT nothing is written down")


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Layer:
    """A copy and the sum of a product's rows; it counts how often Python does the work."""

    def __init__(self):
        self.kept, self.done = {}, 0

    def __call__(self, x, w):
        def work():
            self.done += 1
            between = empty((len(x), w.shape[1]))
            matmul(x, w, out=between)
            out = empty(between.shape)
            fill(out, between)
            return [out, column_sums(between)]

        return repeated(self.kept, (x.shape, w.shape), [{"x": x, "w": w}], work)


def right(found, x, w):
    expected = matmul(x, w)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[1], column_sums(expected))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 8, 8), (5, 30, 70), (40, 200, 600)])
def test_it_has_the_bits_of_work_done_anew(shape, threads):
    rows, width, columns = shape
    before = _pool.num_threads()
    _pool.set_num_threads(threads)
    try:
        layer, kept = Layer(), []
        for seed in range(5):
            x, w = drawn(rows, width, seed=seed), drawn(width, columns, seed=seed + 9)
            kept.append((layer(x, w), x, w))
        assert layer.done == 2
        for found, x, w in kept:  # nobody has written over what came out before
            right(found, x, w)
    finally:
        _pool.set_num_threads(before)


def test_parts_of_what_is_given_move_with_it():
    kept = {}
    for seed in range(4):
        x, w = drawn(6, 20, seed=seed), drawn(20, 50, seed=seed + 5)

        def work(x=x, w=w):
            out = empty((3, 30))
            matmul(x[2:5], w[:, 20:], out=out)
            return [out]

        found = repeated(kept, "part", [{"x": x, "w": w}], work)
        np.testing.assert_array_equal(found[0], matmul(x[2:5], np.ascontiguousarray(w[:, 20:])))
    assert kept["part"]


def test_what_is_given_may_come_out():
    kept = {}
    for seed in range(4):
        x, w, total = drawn(6, 20, seed=seed), drawn(20, 50, seed=seed + 5), drawn(6, 50, seed=3)
        expected = total.copy()
        matmul(x, w, out=expected, accumulate=True)

        def work(x=x, w=w, total=total):
            return [matmul(x, w, out=total, accumulate=True)]

        (found,) = repeated(kept, "sum", [{"x": x, "w": w, "total": total}], work)
        assert found is total
        np.testing.assert_array_equal(found, expected)
    assert kept["sum"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_was_forked_meanwhile_writes_down_its_own():
    read, write = os.pipe()

    def work():
        child = os.fork()
        if child == 0:
            layer = Layer()
            for _ in range(4):
                right(layer(drawn(5, 30), drawn(30, 70)), drawn(5, 30), drawn(30, 70))
            os.write(write, bytes([layer.done]))
            os._exit(0)
        os.waitpid(child, 0)
        return [matmul(drawn(5, 30), drawn(30, 70), out=empty((5, 70)))]

    kept = {}
    for _ in range(2):
        repeated(kept, "forking", [{}], work)
    assert list(os.read(read, 2)) == [2, 2]


def test_an_interrupt_leaves_nothing_behind():
    kept = {}

    def work():
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            repeated(kept, "interrupted", [{}], work)
    assert _memory._cache.seen is None
    assert not _pool.are_noted()


@pytest.mark.parametrize("fault", ["shared memory", "a copy", "made by nobody"])
def test_what_cannot_be_told_is_done_anew(fault):
    kept, done = {}, []
    for seed in range(4):
        x, w = drawn(6, 20, seed=seed), drawn(20, 50, seed=seed + 5)
        other = x if fault == "shared memory" and seed < 2 else drawn(6, 20, seed=seed + 1)

        def work(x=x, w=w, other=other):
            done.append(True)
            out = empty((6, 50))
            matmul(x, w.T.copy().T if fault == "a copy" else w, out=out)
            if fault == "shared memory":
                matmul(other, w, out=out, accumulate=True)
            return [out, np.ones(3, np.float32)] if fault == "made by nobody" else [out]

        found = repeated(kept, "unclear", [{"x": x, "w": w, "other": other}], work)[0]
        expected = matmul(x, w)
        if fault == "shared memory":
            matmul(other, w, out=expected, accumulate=True)
        np.testing.assert_array_equal(found, expected)
    assert len(done) == 4
    assert kept["unclear"] == []


def test_nothing_that_was_given_is_kept_alive():
    layer = Layer()
    x, w = drawn(5, 30), drawn(30, 70)
    gone = [weakref.ref(x), weakref.ref(w)]
    for _ in range(3):
        gone += [weakref.ref(a) for a in layer(x, w)]
    del x, w
    gc.collect()
    assert layer.done == 2
    assert all(ref() is None for ref in gone)


def test_threads_do_not_share_what_is_written_down():
    layer, wrong = Layer(), []
    pairs = [(drawn(5, 300, seed=seed), drawn(300, 700, seed=seed + 9)) for seed in range(4)]
    expected = [matmul(x, w) for x, w in pairs]
    for x, w in pairs:
        layer(x, w)

    def call(number):
        x, w = pairs[number]
        for _ in range(200):
            if not np.array_equal(layer(x, w)[0], expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    (stock,) = layer.kept.values()
    assert len(stock) == 1


def test_calls_of_other_threads_are_not_written_down():
    kept = {}
    for _ in range(4):
        x, w = drawn(5, 30), drawn(30, 70)

        def work(x=x, w=w):
            thread = threading.Thread(target=lambda: matmul(drawn(40, 50), drawn(50, 600)))
            thread.start()
            thread.join()
            return [matmul(x, w, out=empty((5, 70)))]

        (found,) = repeated(kept, "beside", [{"x": x, "w": w}], work)
        np.testing.assert_array_equal(found, matmul(x, w))
    assert len(kept["beside"][0].chain._kernels) == 1


def test_while_others_are_written_down_it_waits_for_the_next_time(monkeypatch):
    layer = Layer()
    x, w = drawn(5, 30), drawn(30, 70)
    layer(x, w)
    monkeypatch.setattr(_pool, "_notes", _pool.Notes(-1, [], []))
    right(layer(x, w), x, w)
    monkeypatch.undo()
    for _ in range(3):
        right(layer(x, w), x, w)
    assert layer.done == 3


def test_a_call_of_nothing_is_none():
    """Of a team it would be a call for each thread."""
    kept = {}
    for _ in range(4):
        rows = empty((0, 70))

        def work(rows=rows):
            out = empty((3, 70))
            fill(rows, None)
            fill(out, None)
            return [out]

        (found,) = repeated(kept, "nothing", [{"rows": rows}], work)
        assert not found.any()
    (written,) = kept["nothing"]
    assert len(written.chain._kernels) == 1


def test_only_so_many_kinds_are_kept(monkeypatch):
    monkeypatch.setattr(_repeated, "_MOST", 3)
    layer = Layer()
    for rows in range(1, 9):
        right(layer(drawn(rows, 8), drawn(8, 8)), drawn(rows, 8), drawn(8, 8))
        assert len(layer.kept) <= 3


def test_work_that_fails_is_done_anew():
    kept, calls = {}, []

    def work():
        calls.append(True)
        raise ValueError("no")

    for _ in range(4):
        with pytest.raises(ValueError, match="no"):
            repeated(kept, "failing", [{}], work)
    assert len(calls) == 4
    layer = Layer()  # and nothing is left locked
    for _ in range(3):
        layer(drawn(5, 30), drawn(30, 70))
    assert layer.done == 2
