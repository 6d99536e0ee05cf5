"""One pool of worker threads for all kernels.

Kernels are serial functions that let go of the GIL; the pool gives each thread a slice.
Between jobs threads sleep on raw locks: waking one costs 9 µs, and a pool that spins
instead (OpenBLAS, OpenMP) burns the cores that the next kernel or another program needs.

The pool serves one caller at a time. Whoever finds it busy (another Python thread, or a
kernel called by a worker) does the whole job alone and at once; nobody waits for it.
"""

import _thread
import os
import threading
from collections.abc import Callable
from typing import Any

from tinygrad_rnn.kernels import _machine

__all__ = ["num_threads", "parallel", "set_num_threads", "team"]

Kernel = Callable[..., Any]

_acquire = _thread.LockType.acquire
_release = _thread.LockType.release


class _Worker:
    """A thread that sleeps until it is given a job, and again after it."""

    def __init__(self, number: int) -> None:
        self.job: tuple[Kernel, tuple[Any, ...]] | None = None
        self.error: BaseException | None = None
        self.wake = _closed_lock()
        self.done = _closed_lock()
        # A daemon: at exit the interpreter leaves it asleep on its lock.
        threading.Thread(target=self._serve, name=f"tinygrad-rnn-{number}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self.wake.acquire()
            done = self.done
            try:
                function, args = self.job or (_nothing, ())
                function(*args)
            except BaseException as error:
                self.error = error
            # Let go of the arrays, or a sleeping worker would keep them alive.
            function, args = _nothing, ()
            self.job = None
            done.release()

    def wait(self, errors: list[BaseException]) -> None:
        """Wait until the job is done, whatever interrupts: it writes to the caller's arrays."""
        while True:
            try:
                self.done.acquire()
                break
            except BaseException as error:
                errors.append(error)
                if self.job is None:  # done, and nobody knows whether we hold the lock
                    self.done = _closed_lock()
                    break
        if self.error is not None:
            errors.append(self.error)
            self.error = None


class _Pool:
    def __init__(self) -> None:
        self.busy = _thread.allocate_lock()
        self.workers: list[_Worker] = []

    def grow(self, threads: int) -> int:
        """Make sure of ``threads`` threads, the caller's included, or as many as can be had."""
        while len(self.workers) < threads - 1:
            try:
                self.workers.append(_Worker(len(self.workers) + 1))
            except RuntimeError:  # out of threads, or the interpreter is going down
                break
        return min(threads, len(self.workers) + 1)

    def run(self, kernel: Kernel, parts: list[tuple[Any, ...]]) -> None:
        """Call ``kernel(*part)``, the first part here and the others on workers."""
        workers = self.workers[: len(parts) - 1]
        for worker, part in zip(workers, parts[1:], strict=True):
            worker.job = kernel, part
        woken: list[None] = []
        errors: list[BaseException] = []
        try:
            # One call wakes them all: Ctrl-C cannot come between waking and counting.
            woken.extend(map(_release, [worker.wake for worker in workers]))
            kernel(*parts[0])
        except BaseException as error:
            errors.append(error)
        for worker in workers[: len(woken)]:
            worker.wait(errors)
        if errors:
            raise errors[0]


def _nothing() -> None:
    pass


def _closed_lock() -> _thread.LockType:
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock


def parallel(kernel: Kernel, count: int, *args: Any, grain: int = 1) -> None:
    """Call ``kernel(start, stop, *args)`` on slices of ``range(count)``, one for each thread.

    Slices start at multiples of ``grain`` and only the last can be shorter than it. Fewer
    than two grains, or a busy pool, make one slice of all.
    """
    threads = min(_threads, count // grain)
    if threads > 1:
        pool = _pool
        held: list[bool] = []
        try:
            held.extend(map(_acquire, (pool.busy,), (False,)))  # one call, as in run
            if held[0]:
                threads = pool.grow(threads)
                units = -(-count // grain)
                edges = [grain * (units * i // threads) for i in range(threads)] + [count]
                pool.run(kernel, [(edges[i], edges[i + 1], *args) for i in range(threads)])
                return
        finally:
            if held and held[0]:
                pool.busy.release()
    if count > 0:
        kernel(0, count, *args)


def team(kernel: Kernel, *args: Any, limit: int | None = None) -> None:
    """Call ``kernel(worker, workers, *args)`` once in each thread, all at the same time.

    For kernels with barriers: ``workers`` is the number that really takes part, 1 if the
    pool is busy and never more than ``limit``.
    """
    threads = _threads if limit is None else min(_threads, limit)
    if threads > 1:
        pool = _pool
        held: list[bool] = []
        try:
            held.extend(map(_acquire, (pool.busy,), (False,)))  # one call, as in run
            if held[0]:
                threads = pool.grow(threads)
                pool.run(kernel, [(i, threads, *args) for i in range(threads)])
                return
        finally:
            if held and held[0]:
                pool.busy.release()
    kernel(0, 1, *args)


def num_threads() -> int:
    """Return how many threads a kernel may use, the caller's included."""
    return _threads


def set_num_threads(count: int) -> None:
    """Let kernels use ``count`` threads from their next call on."""
    global _threads
    if count < 1:
        raise ValueError(f"set_num_threads: given {count}, expected 1 or more.")
    _threads = int(count)


def _default_threads() -> int:
    chosen = os.environ.get("TINYGRAD_NUM_THREADS", "")
    return int(chosen) if chosen.isdigit() and int(chosen) > 0 else _machine.cpus()


def _anew() -> None:
    global _pool
    _pool = _Pool()


_threads = _default_threads()
_pool = _Pool()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)  # a child has none of its parent's threads
