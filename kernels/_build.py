"""From what a family wrote to code that runs: compiled, or loaded from the cache folder.

One signature per compiled function, with the element type and a digest in its name: Numba's
cache index is not locked, and two processes that write different signatures of one function
can leave one pointing at the code of the other.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.kernels import _cache, _entry, _llvm
from tinygrad_rnn.kernels._numba import DISABLED, VERSIONS, config, event, njit, types
from tinygrad_rnn.kernels._signature import LOOP, argument_types, is_sliced

__all__ = ["BUILDS", "Build", "Definition", "Ready", "cache_folder", "entry_of", "renamed"]


class Build(NamedTuple):
    """One function made ready: compiled, or loaded from the cache."""

    name: str
    dtype: str
    loaded: bool
    seconds: float


BUILDS: list[Build] = []  # what this process has compiled or loaded so far
_lock = threading.RLock()  # guards building, and Numba's CACHE_DIR while it is ours


def _new_lock():
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)  # its holder may not exist in a child


class Definition(NamedTuple):
    """What a family wrote: a function, and how it is to be compiled."""

    name: str
    body: Callable[..., Any]
    signature: str
    fastmath: frozenset[str]
    dtypes: tuple[str, ...]  # what T may be; ("",) without a T


class Ready(dict):  # type: ignore[type-arg]
    """The compiled functions of a definition, by the character of T, made when asked for."""

    def __init__(self, definition):
        self.definition = definition

    def __missing__(self, char):
        made, dtype = self.definition, np.dtype(char).name if char else ""
        if dtype not in made.dtypes:
            raise TypeError(
                f"{made.name}: given an array of {dtype}, expected {' or '.join(made.dtypes)}."
            )
        with _lock:
            if char not in self:
                self[char] = _in_python(made.body) if DISABLED else _build(made, dtype)
            return self[char]


def _in_python(body):
    """Return the body itself, as silent about NaN and division by zero as compiled code."""

    def call(*args):
        with np.errstate(all="ignore"):
            return body(*args)

    return call


def _build(definition, dtype):
    """Compile a definition for an element type, or load it."""
    started = time.perf_counter()
    entry, arguments = entry_of(definition, dtype)
    folder = cache_folder()
    dispatcher = folder and _from_folder(entry, arguments, folder)
    loaded = bool(dispatcher) and sum(dispatcher.stats.cache_hits.values()) > 0
    if not dispatcher:
        dispatcher = njit(entry, from_python=True)
        _compile(dispatcher, arguments)
    dispatcher.disable_compile()
    BUILDS.append(Build(definition.name, dtype, loaded, time.perf_counter() - started))
    return dispatcher


def entry_of(definition, dtype):
    """Return the Python function to compile for an element type, and its argument types."""
    _, body, signature, fastmath, _ = definition
    digest = _cache.fingerprint(body, sorted(fastmath), signature, dtype)
    compiled = njit(renamed(body, f"{dtype}__{digest}"), fastmath)
    if signature == LOOP:
        return _entry.loop_entry(compiled, argument_types(signature, dtype)), ()
    sliced = is_sliced(signature)
    arguments = (types.intp,) * 3 * sliced + argument_types(signature, dtype)
    return _entry.entry(compiled, sliced), arguments


def renamed(function, ending):
    """Return a copy of ``function`` with more to its qualified name."""
    f = function
    copy = type(f)(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    copy.__qualname__ = f"{function.__qualname__.replace('<locals>.', '')}__{ending}"
    return copy


class _Announce(event.Listener):
    """Say once in a process that it compiles, when it really begins to."""

    said = False

    def on_start(self, event):
        if not _Announce.said:
            _Announce.said = True
            _cache.announce(cache_folder())

    def on_end(self, event):
        pass


def _compile(dispatcher, arguments):
    with event.install_listener("numba:compile", _Announce()):
        dispatcher.compile(arguments)


# ----- the cache -----


def _from_folder(entry, arguments, folder):
    """Compile or load with the cache; None if the cache is of no use, for whatever reason."""
    for _ in range(2):
        dispatcher = _decorated(entry, folder)
        # A full disk, a damaged file: compiling again is always right, and if the kernel
        # itself is at fault it says so then.
        with suppress(Exception):
            _compile(dispatcher, arguments)
        if dispatcher is not None and arguments in dispatcher.overloads:
            return dispatcher
        with suppress(OSError):
            for path in folder.rglob(f"*.{entry.__qualname__}-*"):  # damaged, or another's
                path.unlink(missing_ok=True)
    return None


def _decorated(entry, folder):
    """Make a dispatcher that caches in ``folder``; Numba's own setting stays what it was."""
    saved = config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES
    config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = str(folder), ""
    try:
        return njit(entry, from_python=True, cache=True)
    except Exception:  # the folder is gone, or nothing can be written to it any more
        return None
    finally:
        config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = saved


def cache_folder():
    """Return the folder of this process's state of sources, versions and flags, or None."""
    return _cache.folder(_facts)


def _facts():
    """Return all that compiled code depends on besides Python and the sources."""
    return {
        **VERSIONS,
        "numpy": np.__version__,
        "cpu": _llvm.host_cpu(),
        "flags": {
            name: repr(value)
            for name, value in vars(config).items()
            if name.isupper() and not name.startswith(_HARMLESS)
        },
    }


# They change no code; a longer list would only save compiling again.
_HARMLESS = ("CACHE_", "COLOR_SCHEME", "CUDA", "DEBUG_CACHE", "GDB", "NUMBA_", "THREADING_LAYER")
