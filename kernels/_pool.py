"""One pool of threads for all kernels.

``parallel`` gives each thread slices of a kernel's work, ``team`` one call each. The threads
run compiled code only (``_crew``), so that a dispatch costs no turn of the GIL: 2 µs on two
cores while they are awake. Pools of Python threads on raw locks were tried; waking a thread
and waiting for it came to 90 µs a dispatch, twice 40 µs for a core that sleeps, and work of
less than 0.2 ms was no faster on two threads than on one.

A thread stays awake for up to a millisecond after a job, giving way to whatever else wants
its core. The pool serves one caller at a time. Whoever finds it busy does the whole job
alone and at once; nobody waits for it.
"""

import atexit
import ctypes
import os
import threading
import time
import warnings
from collections.abc import Callable
from operator import index
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.kernels import _machine

__all__ = [
    "Link", "Notes", "are_noted", "noted", "num_threads", "parallel", "set_num_threads", "team",
]  # fmt: skip

_MOST = 1024
_PATIENCE = 4000  # looks for a job, or for the end of one, of about 0.2 µs before sleeping
_PIECES = 4  # slices a thread: enough that one which is slowed down does not hold up all


class _Pool:
    """The threads, and the words through which they talk."""

    def __init__(self) -> None:
        self.address = 0  # of the words
        self.threads: list[threading.Thread] = []
        self.growing = threading.Lock()

    def grow(self, count: int) -> None:
        """Start what is missing of ``count`` threads, the caller's included."""
        from tinygrad_rnn.kernels import _crew  # loads Numba

        with self.growing:
            if not self.address:
                self.begin()
            while len(self.threads) < count - 1:
                number = len(self.threads) + 1
                own = _Words(self.address + _crew.MEMBERS + number * _crew.MEMBER)
                own[_crew.LOCK] = _closed_lock()
                own[_crew.POOL] = self.address
                own[_crew.NUMBER] = number
                name = f"tinygrad-rnn-{number}"
                thread = threading.Thread(
                    target=_crew.serve, args=(own.address,), name=name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # out of threads: go on with those that there are
                    return
                words = _Words(self.address)
                while words[_crew.RUN] == 0:
                    time.sleep(1e-5)
                words[_crew.WORKERS] = number
                self.threads.append(thread)

    def begin(self) -> None:
        """Make the words; ``_kept`` keeps them, for a thread may look at them to the last."""
        from tinygrad_rnn.kernels import _crew

        _crew.serve.compile()  # before a thread needs it
        lines = np.zeros((_crew.MEMBERS + (_MOST + 1) * _crew.MEMBER) // 8, np.int64)
        _kept.append(lines)
        self.address = -(-lines.ctypes.data // 64) * 64
        words = _Words(self.address)
        words[_crew.CALLER_LOCK] = _closed_lock()
        words[_crew.PATIENCE] = _PATIENCE
        # Registered after what Numba registers, and so run before: code must not be taken
        # away under a thread that runs it.
        atexit.register(self.end)

    def end(self) -> None:
        """End the threads; kernels run on the caller's from now on."""
        from tinygrad_rnn.kernels import _crew

        if self is not _pool:  # in a forked child
            return
        set_num_threads(1)
        _Words(self.address)[_crew.STOP] = 1
        for number, thread in enumerate(self.threads, 1):
            own = _Words(self.address + _crew.MEMBERS + number * _crew.MEMBER)
            for _ in range(10):  # unless it is at work for somebody else's thread
                if own[_crew.ASLEEP] == 1:
                    own[_crew.ASLEEP] = 0
                    _release(own[_crew.LOCK])
                thread.join(timeout=0.1)
                if not thread.is_alive():
                    break


_kept: list[Any] = []


class _Words:
    """Numbers in memory, by their distance from an address."""

    def __init__(self, address: int) -> None:
        self.address = address

    def __getitem__(self, offset: int) -> int:
        return ctypes.c_int64.from_address(self.address + offset).value

    def __setitem__(self, offset: int, value: int) -> None:
        ctypes.c_int64.from_address(self.address + offset).value = value


# Locks that compiled code can sleep on. Python's own, for they exist wherever it does.
_python = ctypes.pythonapi
_allocate = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", _python))
_acquire = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(
    ("PyThread_acquire_lock", _python)
)
_release = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyThread_release_lock", _python))


def _closed_lock() -> int:
    lock: int = _allocate()
    _acquire(lock, 1)
    return lock


def parallel(kernel: Any, count: int, *args: Any, grain: int = 1) -> None:
    """Call ``kernel(start, stop, *args)`` on slices of ``range(count)``, several a thread.

    Slices start at multiples of ``grain`` and only the last can be shorter than it. There
    is one slice of all if there are fewer than two grains or the pool is busy, and for a
    function that is not a compiled kernel of a slice.
    """
    threads = min(_threads, count // grain)
    if _notes is not None and count > 0:  # as a call of none it would be one of a team
        _note(kernel, count, args, threads > 1)
    if threads > 1 and hasattr(kernel, "spread"):
        pool = _pool
        if len(pool.threads) < threads - 1:
            pool.grow(threads)
        chunk = grain * -(-count // (grain * threads * _PIECES))
        kernel.spread(pool.address, threads, chunk, 0, count, *args)
    elif count > 0:
        kernel(0, count, *args)


def team(kernel: Any, *args: Any, limit: int | None = None) -> None:
    """Call ``kernel(worker, workers, *args)`` once in each thread, all at the same time.

    For kernels with barriers: ``workers`` is the number that really takes part, never more
    than ``limit``, and 1 if the pool is busy.
    """
    threads = _threads if limit is None else min(_threads, limit)
    if _notes is not None:
        _note(kernel, 0, args, threads > 1)
    if threads > 1 and hasattr(kernel, "spread"):
        pool = _pool
        if len(pool.threads) < threads - 1:
            pool.grow(threads)
        kernel.spread(pool.address, threads, 0, 0, 1, *args)
    else:
        kernel(0, 1, *args)


class Link(NamedTuple):
    """A call of a kernel: of a slice, in ``pieces``, or of one of a team, where that is 0."""

    kernel: Any
    pieces: int
    arguments: tuple[Any, ...]  # after the two numbers that every such kernel takes first


class Notes(NamedTuple):
    """The calls that a thread makes while they are written down.

    spread  that of each call whether it was for several threads
    """

    thread: int
    links: list[Link]
    spread: list[bool]


_notes: Notes | None = None


def noted(work: Callable[[], Any]) -> tuple[Any, Notes | None] | None:
    """What ``work()`` returns, and the calls that it makes, unless another thread came between.

    None, and nothing is done, while those of another thread are written down.
    """
    global _notes
    thread = threading.get_ident()
    if _notes is not None and _notes.thread != thread:
        return None
    notes = Notes(thread, [], [])
    try:
        _notes = notes  # without a lock, which an interrupt could leave closed
        made = work()
        return made, notes if _notes is notes else None
    finally:
        if _notes is notes:
            _notes = None


def are_noted() -> bool:
    """Whether anybody's calls are written down just now."""
    return _notes is not None


def _note(kernel: Any, pieces: int, arguments: tuple[Any, ...], spread: bool) -> None:
    notes = _notes
    if notes is not None and notes.thread == threading.get_ident():
        notes.links.append(Link(kernel, pieces, arguments))
        notes.spread.append(spread)


def num_threads() -> int:
    """Return how many threads a kernel may use, the caller's included."""
    return _threads


def set_num_threads(count: int) -> None:
    """Let kernels use ``count`` threads from their next call on."""
    global _threads
    try:
        whole = 0 if isinstance(count, bool) else index(count)
    except TypeError:
        whole = 0
    if not 1 <= whole <= _MOST:
        raise ValueError(
            f"set_num_threads: given {count!r}, expected a whole number from 1 to {_MOST}."
        )
    _threads = whole


def _default_threads() -> int:
    cpus = min(_machine.cpus(), _MOST)
    chosen = os.environ.get("TINYGRAD_NUM_THREADS", "").strip()
    if not chosen:
        return cpus
    count = int(chosen) if chosen.isdecimal() else 0
    if 1 <= count <= _MOST:
        return count
    # Not an error: this runs where the first kernel is imported, far from who set it.
    warnings.warn(
        f"TINYGRAD_NUM_THREADS is {chosen!r}, expected a whole number from 1 to {_MOST}; kernels "
        f"use {cpus} threads, one for each CPU.",
        RuntimeWarning,
        stacklevel=2,
    )
    return cpus


def _anew() -> None:
    global _pool, _notes
    _pool, _notes = _Pool(), None


_threads = _default_threads()
_pool = _Pool()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)  # a child has none of its parent's threads
