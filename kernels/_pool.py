"""One pool of worker threads for all kernels.

The kernels are serial functions that let go of the GIL; the pool gives each thread a slice.
Threads sleep on raw locks between jobs: a pool that spins (OpenBLAS, OpenMP) burns the cores
that the next kernel, or another program, needs.

The pool serves one caller at a time. Whoever finds it busy (another Python thread, or a
kernel that a worker itself runs) does the whole job alone and at once; nobody waits for it.
"""

import _thread
import atexit
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["num_threads", "parallel", "set_num_threads", "team"]

Job = tuple[Callable[..., Any], tuple[Any, ...]]


class _Worker:
    """A daemon thread that runs one job at a time."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.error: BaseException | None = None
        self.wake = _thread.allocate_lock()
        self.done = _thread.allocate_lock()
        self.wake.acquire()
        self.done.acquire()
        _thread.start_new_thread(self._serve, ())

    def _serve(self) -> None:
        wait, finish = self.wake.acquire, self.done.release
        while True:
            wait()
            if self.job is None:
                return
            function, args = self.job
            try:
                function(*args)
            except BaseException as error:
                self.error = error
            # Let go of the arrays, or a sleeping worker would keep them alive.
            self.job = function = args = None  # type: ignore[assignment]
            finish()


class _Pool:
    def __init__(self) -> None:
        self.busy = _thread.allocate_lock()
        self.workers: list[_Worker] = []

    def run(self, jobs: list[Job]) -> None:
        """Run the first job here and the others on workers; raise the first error of all."""
        while len(self.workers) < len(jobs) - 1:
            self.workers.append(_Worker())
        started: list[_Worker] = []
        errors: list[BaseException] = []
        try:
            for worker, job in zip(self.workers, jobs[1:], strict=False):
                worker.job = job
                worker.wake.release()
                started.append(worker)
            function, args = jobs[0]
            function(*args)
        except BaseException as error:
            errors.append(error)
        for worker in started:
            _wait(worker, errors)
            if worker.error is not None:
                errors.append(worker.error)
                worker.error = None
        if errors:
            raise errors[0]


def _wait(worker: _Worker, errors: list[BaseException]) -> None:
    """Wait until a worker is done, whatever interrupts: it is writing to the caller's arrays."""
    while True:
        try:
            worker.done.acquire()
            return
        except BaseException as error:
            errors.append(error)


def parallel(kernel: Callable[..., Any], count: int, *args: Any, grain: int = 1) -> None:
    """Call ``kernel(start, stop, *args)`` on slices of ``range(count)``, one a thread.

    Slices start at multiples of ``grain`` and none is shorter, but for the last one.
    """
    parts = min(_threads, count // grain) if count >= 2 * grain else 1
    if parts < 2 or not _pool.busy.acquire(False):
        if count > 0:
            kernel(0, count, *args)
        return
    pool = _pool
    try:
        units = -(-count // grain)
        edges = [grain * (units * part // parts) for part in range(parts)] + [count]
        pool.run([(kernel, (edges[i], edges[i + 1], *args)) for i in range(parts)])
    finally:
        pool.busy.release()


def team(kernel: Callable[..., Any], *args: Any) -> None:
    """Call ``kernel(worker, workers, *args)`` once a thread, all at the same time.

    For kernels with barriers: ``workers`` is the number that really takes part.
    """
    workers = _threads
    if workers < 2 or not _pool.busy.acquire(False):
        kernel(0, 1, *args)
        return
    pool = _pool
    try:
        pool.run([(kernel, (worker, workers, *args)) for worker in range(workers)])
    finally:
        pool.busy.release()


def num_threads() -> int:
    """Return how many threads a kernel may use, the caller's included."""
    return _threads


def set_num_threads(count: int) -> None:
    """Let kernels use ``count`` threads from their next call on."""
    global _threads
    if count < 1:
        raise ValueError(f"set_num_threads: given {count}, expected at least 1.")
    _threads = int(count)


def default_threads(files: Path = Path("/")) -> int:
    """Return the number of CPUs that this process may keep busy.

    TINYGRAD_NUM_THREADS, or what affinity and the quotas of its control groups allow.
    """
    chosen = os.environ.get("TINYGRAD_NUM_THREADS", "")
    if chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        count = os.cpu_count() or 1
    return max(1, min([count, *_quotas(files)]))


def _quotas(files: Path) -> list[int]:
    """Return the whole CPUs that each control group above this process grants."""
    try:
        lines = (files / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    quotas: list[int] = []
    names: tuple[str, ...]
    for line in lines:
        number, controllers, place = line.split(":", 2)
        if number == "0":
            top, names = files / "sys/fs/cgroup", ("cpu.max",)
        elif "cpu" in controllers.split(","):
            top, names = files / "sys/fs/cgroup/cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        else:
            continue
        group = top / place.lstrip("/")
        for folder in (group, *group.parents):
            if folder == top.parent:
                break
            quotas += _quota(folder, names)
    return quotas


def _quota(folder: Path, names: tuple[str, ...]) -> list[int]:
    try:
        words = " ".join((folder / name).read_text() for name in names).split()
        quota, period = int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):  # "max", or no such group seen from in here
        return []
    return [max(1, quota // period)] if quota > 0 and period > 0 else []


_threads = default_threads()
_pool = _Pool()


def _anew() -> None:
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)  # the parent's threads do not exist in a child


@atexit.register
def _stop() -> None:
    """End the workers before the interpreter goes; later callers run alone."""
    set_num_threads(1)
    if _pool.busy.acquire(False):
        for worker in _pool.workers:
            worker.job = None
            worker.wake.release()
