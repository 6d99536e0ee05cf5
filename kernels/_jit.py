"""What families write kernels with.

``@helper`` is for what is used inside kernels, ``@kernel("intp, intp, T[::1]")`` for what
Python calls; ``T`` stands for the element type. Nothing is compiled before the first call:
``_build`` does it, and ``_entry`` puts around each kernel what all of them need.
"""

from functools import partial
from typing import Any

import numpy as np

from tinygrad_rnn.kernels import _cache
from tinygrad_rnn.kernels._build import BUILDS, Definition, Ready, cache_folder, renamed
from tinygrad_rnn.kernels._entry import PREPARE
from tinygrad_rnn.kernels._llvm import host_vector_bits
from tinygrad_rnn.kernels._numba import (
    DISABLED,
    FASTMATH,
    NO_FASTMATH,
    binding,
    cgutils,
    extending,
    ir,
    njit,
    types,
)
from tinygrad_rnn.kernels._signature import index_of_t, is_sliced

__all__ = [
    "BUILDS", "DISABLED", "FASTMATH", "KERNELS", "NO_FASTMATH", "Kernel", "binding", "cgutils",
    "extending", "helper", "host_vector_bits", "intrinsic", "ir", "kernel", "load_source", "types",
]  # fmt: skip

KERNELS: list["Kernel"] = []  # all that have been defined so far


def helper(function=None, *, fastmath=FASTMATH):
    """Mark a function that kernels call; it is compiled into each of them."""
    if function is None:
        return partial(helper, fastmath=fastmath)
    if DISABLED:
        return function
    return njit(renamed(function, _cache.fingerprint(function, sorted(fastmath))), fastmath)


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
        index = index_of_t(signature)
        name = f"{body.__module__}.{body.__qualname__}"
        types_of_t = ("",) if index is None else tuple(dtypes)
        made = Definition(name, body, signature, frozenset(fastmath), types_of_t)
        sliced = is_sliced(signature) and not DISABLED
        if index is None:
            entry = (_UntypedSliced if sliced else _Untyped)(made, index)
        else:
            entry = (_Sliced if sliced else Kernel)(made, index)
        KERNELS.append(entry)
        return entry

    return decorate


def load_source(name, text):
    """Make a module of generated source, a file in the cache folder; its kernels are cached."""
    return _cache.load_source(name, text, cache_folder())


class Kernel:
    """A compiled entry: one function per element type, behind one name."""

    def __init__(self, definition, index):
        self.definition = definition
        self.name, self.body, self.dtypes = definition.name, definition.body, definition.dtypes
        self.__doc__ = definition.body.__doc__
        self._index = index  # of the argument that tells the element type
        self._addresses: dict[str, int] = {}
        self._ready = Ready(definition)  # by dtype.char: to hash a dtype itself costs more

    def __call__(self, *args):
        return self._ready[args[self._index].dtype.char](*args)

    def __repr__(self):
        return f"<kernel {self.name}({self.definition.signature})>"

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


_ALONE = (0, 0, 0)  # what an entry takes before its arguments, where no pool is to help


class _Sliced(Kernel):
    """A kernel of a slice, or of one of a team: its first arguments are two numbers."""

    def __call__(self, *args):
        return self._ready[args[self._index].dtype.char](*(_ALONE + args))

    def spread(self, pool, threads, chunk, *args):
        """Let the pool at an address run slices of ``chunk``, or a team where that is 0."""
        self._ready[args[self._index].dtype.char](pool, threads, chunk, *args)

    def prepared(self, *args):
        """What runs it with these arguments; the arrays are to live as long.

        An array of words: the address of a function that runs a slice, the size of the arguments,
        and the arguments as that function takes them.
        """
        return self._prepared(self._ready[args[self._index - 2].dtype.char], args)

    def _prepared(self, entry, args):
        words = np.zeros(128, np.int64)
        while True:
            entry(0, 0, PREPARE, words.ctypes.data, words.nbytes - 16, *args)
            if words[1] <= words.nbytes - 16:
                return words
            words = np.zeros(2 + -(-int(words[1]) // 8), np.int64)


class _UntypedSliced(_Untyped, _Sliced):
    """A kernel of a slice without an element type."""

    def __call__(self, *args):
        return self._ready[""](*(_ALONE + args))

    def spread(self, pool, threads, chunk, *args):
        self._ready[""](pool, threads, chunk, *args)

    def prepared(self, *args):
        return self._prepared(self._ready[""], args)
