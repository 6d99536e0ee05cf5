"""How kernels are compiled: the only module that imports Numba.

Only the ``cpu`` modules of kernel families import it, so that ``import tinygrad_rnn`` loads
no Numba. A family writes ``@helper`` for what is used inside kernels and
``@kernel("intp, intp, T[::1]")`` for what Python calls; ``T`` stands for the element type.

What the options are for:

* ``error_model="numpy"``: without it a division costs 6 to 10 times as much, because a test
  for zero keeps LLVM from vectorising.
* ``_nrt=False``: without Numba's runtime there are no reference counts, which it otherwise
  keeps, atomically, of every array that a helper is given: two threads that count one array
  took three times as long. Kernels make no arrays; whoever calls them holds theirs.
* ``FASTMATH`` never holds nnan or ninf: masks use -inf, and NaN must travel.
* No ``parallel=True``: Numba's own threads abort when two Python threads enter them, die in
  a forked child, and sum in an order that depends on how many there are. ``_pool`` hands
  slices of serial kernels to threads of our own.
* One signature per compiled function, with the element type and a digest in its name:
  Numba's cache index is not locked, and two processes that write different signatures of
  one function can leave one pointing at the code of the other.
"""

import os
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import llvmlite
import numba
import numpy as np
from llvmlite import binding, ir
from numba import extending
from numba.core import cgutils, event, types

from tinygrad_rnn.kernels import _cache, _llvm

__all__ = [
    "ARCHITECTURE", "BUILDS", "DISABLED", "FASTMATH", "KERNELS", "NO_FASTMATH", "Build",
    "Kernel", "binding", "cgutils", "double_arithmetic", "extending", "helper",
    "host_vector_bits", "intrinsic", "ir", "kernel", "load_source", "types",
]  # fmt: skip

FASTMATH = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})
NO_FASTMATH: frozenset[str] = frozenset()
DISABLED = bool(vars(numba.config)["DISABLE_JIT"])
ARCHITECTURE = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}.get(
    binding.get_process_triple().split("-")[0], "other"
)


class Build(NamedTuple):
    """One function made ready: compiled, or loaded from the cache."""

    name: str
    dtype: str
    loaded: bool
    seconds: float


BUILDS: list[Build] = []  # what this process has compiled or loaded so far
KERNELS: list["Kernel"] = []  # all that have been defined so far
_lock = threading.RLock()  # guards building, and numba.config.CACHE_DIR while it is ours


def _new_lock():
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)  # its holder may not exist in a child


# --- what families write ------------------------------------------------------------------


def helper(function=None, *, fastmath=FASTMATH):
    """Mark a function that kernels call; it is compiled into each of them."""
    if function is None:
        return partial(helper, fastmath=fastmath)
    if DISABLED:
        return function
    return _njit(_renamed(function, _cache.fingerprint(function, sorted(fastmath))), fastmath)


def intrinsic(definition=None, *, twin):
    """Make a Numba intrinsic of ``definition(typingctx, *types)``.

    Under NUMBA_DISABLE_JIT=1 the Python function ``twin`` stands in for it.
    """
    if definition is None:
        return partial(intrinsic, twin=twin)
    return twin if DISABLED else extending.intrinsic(definition)


def kernel(signature, *, fastmath=FASTMATH, dtypes=("float32", "float64")):
    """Make an entry that Python calls, compiled on its first call for each element type.

    Args:
        signature: Numba types of the arguments, such as ``"intp, const(T[:, ::1]), T[::1]"``.
            T is the element type, taken from the first array of it; ``const`` marks an
            array that is only read, so that read-only ones are welcome.
        dtypes: What T may be.
    """

    def decorate(body):
        place = _place_of_t(signature)
        sliced = signature.replace(" ", "").startswith("intp,intp,") and not DISABLED
        if place is None:
            kind, types_of_t = _UntypedSliced if sliced else _Untyped, ("",)
        else:
            kind, types_of_t = _Sliced if sliced else Kernel, tuple(dtypes)
        made = kind(body, signature, fastmath, types_of_t, place)
        KERNELS.append(made)
        return made

    return decorate


def load_source(name, text):
    """Make a module of generated source, a file in the cache folder; its kernels are cached."""
    return _cache.load_source(name, text, _cache_folder())


class Kernel:
    """A compiled entry: one function per element type, behind one name."""

    def __init__(self, body, signature, fastmath, dtypes, place):
        self.body = body
        self.signature = signature
        self.fastmath = frozenset(fastmath)
        self.dtypes = dtypes
        self.name = f"{body.__module__}.{body.__qualname__}"
        self.__doc__ = body.__doc__
        self._place = place
        self._addresses: dict[str, int] = {}
        self._ready = _Ready(self)  # by dtype.char: to hash a dtype itself costs more

    def __call__(self, *args):
        return self._ready[args[self._place].dtype.char](*args)

    def __repr__(self):
        return f"<kernel {self.name}({self.signature})>"

    def compile(self, dtype: Any = None) -> None:
        """Make it ready for ``dtype``, or for all of its element types."""
        for name in self.dtypes if dtype is None else (np.dtype(dtype).name,):
            self._ready[np.dtype(name).char]

    def address(self, dtype: Any) -> int:
        """Where its machine code for ``dtype`` lies, for kernels that call it by pointer.

        0 under NUMBA_DISABLE_JIT=1, where there is none.
        """
        if DISABLED:
            return 0
        char = np.dtype(dtype).char
        if char not in self._addresses:
            compiled = next(iter(self._ready[char].overloads.values()))
            name = compiled.fndesc.llvm_func_name
            self._addresses[char] = int(compiled.library.get_pointer_to_function(name))
        return self._addresses[char]


class _Untyped(Kernel):
    """A kernel without an element type."""

    def __call__(self, *args):
        return self._ready[""](*args)

    def compile(self, dtype: Any = None) -> None:
        self._ready[""]


_ALONE = (0, 0, 0)


class _Sliced(Kernel):
    """A kernel of a slice, or of one of a team: its first arguments are two numbers."""

    def __call__(self, *args):
        return self._ready[args[self._place].dtype.char](*(_ALONE + args))

    def spread(self, pool, threads, chunk, *args):
        """Let the pool at an address run slices of ``chunk``, or a team where that is 0."""
        self._ready[args[self._place].dtype.char](pool, threads, chunk, *args)


class _UntypedSliced(_Untyped, _Sliced):
    """A kernel of a slice without an element type."""

    def __call__(self, *args):
        return self._ready[""](*(_ALONE + args))

    def spread(self, pool, threads, chunk, *args):
        self._ready[""](pool, threads, chunk, *args)


class _Ready(dict):  # type: ignore[type-arg]
    """Compiled functions by the character of their element type, made when asked for."""

    def __init__(self, owner):
        self.owner = owner

    def __missing__(self, char):
        owner, dtype = self.owner, np.dtype(char).name if char else ""
        if dtype not in owner.dtypes:
            raise TypeError(
                f"{owner.name}: given an array of {dtype}, expected {' or '.join(owner.dtypes)}."
            )
        with _lock:
            if char not in self:
                self[char] = _in_python(owner.body) if DISABLED else _build(owner, dtype)
            return self[char]


# --- signatures ---------------------------------------------------------------------------


def _const(array):
    return types.Array(array.dtype, array.ndim, array.layout, readonly=True)


def _argument_types(signature, dtype):
    names = {**vars(types), "T": getattr(types, dtype or "float32"), "const": _const}
    return tuple(eval(f"({signature},)" if signature.strip() else "()", {}, names))


def _place_of_t(signature):
    """Return the place of the argument whose type is T's; None if the signature has no T."""
    single, double = (_argument_types(signature, dtype) for dtype in ("float32", "float64"))
    places = [i for i, kind in enumerate(single) if kind != double[i]]
    arrays = [i for i in places if isinstance(single[i], types.Array)]
    return next(iter(arrays + places), None)


# --- building -----------------------------------------------------------------------------


def _njit(function, fastmath=NO_FASTMATH, **options):
    return numba.njit(
        function, nogil=True, error_model="numpy", fastmath=set(fastmath) or False, _nrt=False,
        **options,
    )  # fmt: skip


def _renamed(function, ending):
    """Return a copy of ``function`` with more to its qualified name."""
    f = function
    copy = type(f)(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    copy.__qualname__ = f"{function.__qualname__.replace('<locals>.', '')}__{ending}"
    return copy


def _in_python(body):
    """Return the body itself, as silent about NaN and division by zero as compiled code."""

    def run(*args):
        with np.errstate(all="ignore"):
            return body(*args)

    return run


def _build(kernel, dtype):
    """Compile a kernel for an element type, or load it."""
    started = time.perf_counter()
    entry, arguments = _entry_of(kernel, dtype)
    folder = _cache_folder()
    dispatcher = folder and _from_folder(entry, arguments, folder)
    loaded = bool(dispatcher) and sum(dispatcher.stats.cache_hits.values()) > 0
    if not dispatcher:
        dispatcher = _njit(entry)
        _compile(dispatcher, arguments)
    dispatcher.disable_compile()
    BUILDS.append(Build(kernel.name, dtype, loaded, time.perf_counter() - started))
    return dispatcher


def _entry_of(kernel, dtype):
    """Return the Python function to compile for an element type, and its argument types."""
    from tinygrad_rnn.kernels import _entry  # it needs this module

    digest = _cache.fingerprint(kernel.body, sorted(kernel.fastmath), kernel.signature, dtype)
    body = _njit(_renamed(kernel.body, f"{dtype}__{digest}"), kernel.fastmath)
    sliced = isinstance(kernel, _Sliced)
    arguments = _argument_types(kernel.signature, dtype)
    return _entry.entry(body, sliced), (types.intp,) * 3 * sliced + arguments


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
    config = numba.config
    saved = config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES
    config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = str(folder), ""
    try:
        return _njit(entry, cache=True)
    except Exception:  # the folder is gone, or nothing can be written to it any more
        return None
    finally:
        config.CACHE_DIR, config.CACHE_LOCATOR_CLASSES = saved


class _Announce(event.Listener):
    """Say once in a process that it compiles, when it really begins to."""

    said = False

    def on_start(self, event):
        if not _Announce.said:
            _Announce.said = True
            _cache.announce(_cache_folder())

    def on_end(self, event):
        pass


def _compile(dispatcher, arguments):
    with event.install_listener("numba:compile", _Announce()):
        dispatcher.compile(arguments)


def double_arithmetic(kernel):
    """Return the instructions with which a kernel's float32 version computes in float64.

    There should be none: a constant that is no ``np.float32`` makes LLVM convert back and
    forth. Compiles afresh, for what comes from the cache cannot be looked into.
    """
    entry, arguments = _entry_of(kernel, "float32")
    dispatcher = _njit(entry)
    dispatcher.compile(arguments)
    return _llvm.double_arithmetic(dispatcher.inspect_llvm(arguments))


# --- the machine --------------------------------------------------------------------------


def _cache_folder():
    return _cache.folder(_facts)


def _facts():
    """Return all that compiled code depends on besides Python and the sources."""
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "cpu": _llvm.host_cpu(numba.config, binding),
        "flags": {
            name: repr(value)
            for name, value in vars(numba.config).items()
            if name.isupper() and not name.startswith(_HARMLESS)
        },
    }


# They change no code; a longer list would only save compiling again.
_HARMLESS = ("CACHE_", "COLOR_SCHEME", "CUDA", "DEBUG_CACHE", "GDB", "NUMBA_", "THREADING_LAYER")


def host_vector_bits():
    """Return 512, 256 or 128: the widest vectors of the CPU that Numba compiles for.

    Asked of LLVM itself, by lowering one wide addition and looking at its registers, so
    that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count as they do for kernels.
    """
    return _llvm.vector_bits(ir, binding, *_llvm.host_cpu(numba.config, binding))
