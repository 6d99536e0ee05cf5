"""Slices cover their range once, whoever runs them, and whatever else goes on."""

import math
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from tinygrad_rnn.kernels import _crew, _machine, _pool
from tinygrad_rnn.kernels._jit import DISABLED, kernel
from tinygrad_rnn.kernels._memory import zeros

compiled = pytest.mark.skipif(DISABLED, reason="NUMBA_DISABLE_JIT=1 leaves no threads")


@pytest.fixture(autouse=True)
def _two_threads():
    before = _pool.num_threads()
    _pool.set_num_threads(2)
    yield
    _pool.set_num_threads(before)


@kernel("intp, intp, T[::1], T[::1]")
def mark(start, stop, seen, starts):
    starts[start] = 1
    for i in range(start, stop):
        seen[i] += 1


@kernel("intp, intp, intp[::1]")
def mark_numbers(start, stop, seen):
    for i in range(start, stop):
        seen[i] += start + 1


@kernel("intp, intp, intp[::1], T[::1], T[::1]")
def meet(worker, workers, words, here, met):
    """Count in all threads who has come, once all have."""
    here[worker] = 1
    _crew.barrier(words.ctypes.data, workers)
    for other in range(workers):
        met[worker] += here[other]


@kernel("intp, intp, intp, T[::1]")
def fail_at(start, stop, bad, seen):
    for i in range(start, stop):
        seen[i] = 1
        if i == bad:
            raise ArithmeticError("this is the one")


@kernel("intp, intp, intp[::1], T[::1]")
def hold(worker, workers, words, team):
    """Keep the pool busy until somebody writes to words[1]."""
    team[worker] = workers
    if worker == 0:
        _crew.store(words.ctypes.data, 1)
        while _crew.load(words.ctypes.data + 8) == 0:
            _crew.give_way(0)


@kernel("intp, intp, const(T[:, ::1]), T[::1]")
def sums(start, stop, x, total):
    for i in range(start, stop):
        total[i] = 0
        for j in range(x.shape[1]):
            total[i] += x[i, j] * x[i, j]


@kernel("intp, intp, intp[::1], const(T[::1]), T[::1]")
def squares(worker, workers, words, x, y):
    _crew.barrier(words.ctypes.data, workers)  # so that each thread does one
    y[worker] = x[worker] * x[worker]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 64, 100, 1001])
@pytest.mark.parametrize("grain", [1, 6, 64])
def test_slices_cover_the_range_once_from_multiples_of_the_grain(threads, count, grain):
    _pool.set_num_threads(threads)
    seen, starts = zeros(count), zeros(count + 1)
    for turn in range(1, 4):
        _pool.parallel(mark, count, seen, starts, grain=grain)
        assert (seen == turn).all()
    assert not np.flatnonzero(starts).size or (np.flatnonzero(starts) % grain == 0).all()
    assert starts.sum() <= -(-count // grain)


@compiled
def test_there_is_more_than_one_slice_where_there_is_work_for_two():
    seen, starts = zeros(8), zeros(8)
    _pool.parallel(mark, 8, seen, starts)
    assert starts.sum() > 1


@compiled
def test_a_kernel_of_a_slice_needs_no_element_type():
    seen = zeros(8, np.intp)
    mark_numbers(0, 8, seen)
    assert seen.tolist() == [1] * 8
    _pool.parallel(mark_numbers, 8, seen)
    assert seen.tolist() == [1 + start + 1 for start in range(8)]


@compiled
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_a_team_is_as_many_as_it_is_told(threads):
    _pool.set_num_threads(threads)
    here, met = zeros(5), zeros(5)
    _pool.team(meet, zeros(16, np.intp), here, met)
    assert met[:threads].tolist() == [threads] * threads
    assert not met[threads:].any()


def test_a_team_is_no_larger_than_its_limit():
    here, met = zeros(5), zeros(5)
    _pool.team(meet, zeros(16, np.intp), here, met, limit=1)
    assert met.tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("bad", [0, 5, 63])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_an_error_in_any_slice_reaches_the_caller_after_all_others_ran(bad, threads):
    _pool.set_num_threads(threads)
    seen = zeros(64)
    for _ in range(3):  # the pool is none the worse for it
        with pytest.raises(ArithmeticError, match="this is the one"):
            _pool.parallel(fail_at, 64, bad, seen, grain=1)
    if threads > 1 and not DISABLED:
        assert seen[[i for i in range(64) if i // 8 != bad // 8]].all()
    _pool.parallel(fail_at, 64, -1, seen)
    assert seen.all()


@compiled
def test_whoever_finds_the_pool_busy_works_alone_and_at_once():
    words, team = zeros(2, np.intp), zeros(2)
    other = threading.Thread(target=_pool.team, args=(hold, words, team))
    other.start()
    while words[0] == 0:
        pass
    here, met = zeros(5), zeros(5)
    _pool.team(meet, zeros(16, np.intp), here, met)
    seen, starts = zeros(100), zeros(100)
    _pool.parallel(mark, 100, seen, starts)
    words[1] = 1
    other.join()
    assert team.tolist() == [2, 2]
    assert met.tolist() == [1, 0, 0, 0, 0]
    assert starts.sum() == 1
    assert (seen == 1).all()


def test_four_threads_at_once_each_get_their_result():
    results = [zeros(1000) for _ in range(4)]
    together = threading.Barrier(4)

    def caller(seen):
        starts = zeros(1000)
        together.wait()
        for _ in range(200):
            _pool.parallel(mark, 1000, seen, starts)

    threads = [threading.Thread(target=caller, args=(seen,)) for seen in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((seen == 200).all() for seen in results)


def test_a_plain_function_runs_on_the_caller_and_may_use_the_pool_itself():
    seen, starts, who = zeros(100), zeros(100), []

    def outer(start, stop):
        who.append((start, stop, threading.get_ident()))
        _pool.parallel(mark, 100, seen, starts)

    _pool.parallel(outer, 4)
    assert who == [(0, 4, threading.get_ident())]
    assert (seen == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_are_the_same_to_the_bit_for_any_number_of_threads(dtype):
    x = np.random.default_rng(0).normal(size=(101, 37)).astype(dtype)
    totals = []
    for threads in (1, 2, 4):
        _pool.set_num_threads(threads)
        total = zeros(101, dtype)
        _pool.parallel(sums, 101, x, total)
        totals.append(total.tobytes())
    assert len(set(totals)) == 1


@compiled
@pytest.mark.parametrize(("dtype", "tiny"), [("float32", 1e-20), ("float64", 1e-160)])
def test_denormals_are_flushed_in_every_thread(dtype, tiny):
    _pool.set_num_threads(4)
    x, y = np.full(4, tiny, dtype), np.ones(4, dtype)
    _pool.team(squares, zeros(16, np.intp), x, y)
    assert y.tolist() == [0, 0, 0, 0]
    assert (x * x > 0).all()  # the caller's mode


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own():
    seen, starts = zeros(100), zeros(100)
    _pool.parallel(mark, 100, seen, starts)
    child = os.fork()
    if child == 0:
        here, met = zeros(5), zeros(5)
        _pool.parallel(mark, 100, seen, starts)
        _pool.team(meet, zeros(16, np.intp), here, met)
        os._exit(0 if (seen == 2).all() and met[0] == (1 if DISABLED else 2) else 1)
    assert os.waitpid(child, 0)[1] == 0
    _pool.parallel(mark, 100, seen, starts)
    assert (seen == 2).all()


@compiled
@pytest.mark.parametrize("last", ["", "threading.Thread(target=go, daemon=True).start()"])
def test_the_interpreter_ends_cleanly_with_threads_awake(last):
    program = f"""
import atexit, threading, numpy as np
from tinygrad_rnn.kernels import _crew, _pool
def left():
    print([thread.name for thread in threading.enumerate() if "tinygrad" in thread.name])
atexit.register(left)  # called after what the pool registers later
from tinygrad_rnn.kernels._jit import kernel
@kernel("intp, intp, T[::1]")
def add(start, stop, x):
    for i in range(start, stop):
        x[i] += 1
def go():
    x = np.zeros(100000, np.float32)
    while True:
        _pool.parallel(add, len(x), x)
_pool.set_num_threads(4)
x = np.zeros(100, np.float32)
_pool.parallel(add, 100, x)
_pool._Words(_pool._pool.address)[_crew.PATIENCE] = 10**12  # nobody sleeps from the next job on
_pool.parallel(add, 100, x)
{last}
print(x.sum())
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TINYGRAD_QUIET": "1"},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "200.0\n[]\n", "")


@pytest.mark.parametrize("count", [0, -1, 5000, 1.5, 2.0, math.nan, True, None, "2", [2]])
def test_a_number_of_threads_that_cannot_be_is_refused(count):
    message = f"set_num_threads: given {count!r}, expected a whole number from 1 to 1024."
    with pytest.raises(ValueError, match=re.escape(message)):
        _pool.set_num_threads(count)


def test_a_number_of_threads_may_be_numpys():
    _pool.set_num_threads(np.int64(1))
    assert _pool.num_threads() == 1
    assert type(_pool.num_threads()) is int


def test_an_environment_variable_sets_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("TINYGRAD_NUM_THREADS", "7")
    assert _pool._default_threads() == 7
    monkeypatch.setenv("TINYGRAD_NUM_THREADS", "")
    assert _pool._default_threads() == _machine.cpus()


@pytest.mark.parametrize("nonsense", ["0", "-1", "many", "²", "1.5", "5000"])
def test_a_number_in_the_environment_that_cannot_be_is_told(nonsense, monkeypatch):
    monkeypatch.setenv("TINYGRAD_NUM_THREADS", nonsense)
    with pytest.warns(RuntimeWarning, match=f"TINYGRAD_NUM_THREADS is '{nonsense}', expected a"):
        assert _pool._default_threads() == _machine.cpus()


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "3:cpu,cpuacct:/a\n2:memory:/a\n1:name=systemd:/a\n"}


@pytest.mark.parametrize(
    ("files", "cpus", "memory"),
    [
        pytest.param({}, 64, None, id="none"),
        pytest.param({**V2, "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 64, None, id="no limit"),
        pytest.param({**V2, "sys/fs/cgroup/a/b/cpu.max": "350000 100000"}, 3, None, id="own"),
        pytest.param({**V2, "sys/fs/cgroup/a/cpu.max": "50000 100000"}, 1, None, id="outer"),
        pytest.param({**V2, "sys/fs/cgroup/a/memory.max": "1000000"}, 64, 1000000, id="memory"),
        pytest.param(
            {
                **V1,
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2000000\n",
            },
            2,
            2000000,
            id="version 1",
        ),
        pytest.param(
            {
                **V1,
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
            },
            64,
            None,
            id="version 1, no limit",
        ),
    ],
)
def test_limits_of_control_groups_count(tmp_path, monkeypatch, files, cpus, memory):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    write(tmp_path, files)
    assert _machine.cpus(tmp_path) == cpus
    assert _machine.memory(tmp_path) == memory or _machine.memory(tmp_path) > 1 << 26
