"""The only module that imports Numba and llvmlite, and the options of every compilation.

Only the ``cpu`` modules of kernel families lead here, through ``_jit``, so that
``import tinygrad_rnn`` loads no Numba. What the options are for:

* ``error_model="numpy"``: without it a division costs 6 to 10 times as much, because a test
  for zero keeps LLVM from vectorising.
* ``_nrt=False``: without Numba's runtime there are no reference counts, which it otherwise
  keeps, atomically, of every array that a helper is given: two threads that count one array
  took three times as long. Kernels make no arrays; whoever calls them holds theirs.
* ``FASTMATH`` never holds nnan or ninf: masks use -inf, and NaN must travel.
* Only what Python calls is made into machine code: what kernels call is linked into each of
  them. Numba would optimise and translate it for itself first, at every level; without that
  an LSTM's first step from an empty cache takes 8 s instead of 13.
* No ``parallel=True``: Numba's own threads abort when two Python threads enter them, die in
  a forked child, and sum in an order that depends on how many there are. ``_pool`` hands
  slices of serial kernels to threads of our own.
"""

from types import SimpleNamespace

import llvmlite
import numba
from llvmlite import binding, ir
from numba import extending
from numba.core import cgutils, event, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

__all__ = [
    "ARCHITECTURE", "DISABLED", "FASTMATH", "NO_FASTMATH", "VERSIONS", "binding", "cgutils",
    "config", "event", "extending", "ir", "njit", "types",
]  # fmt: skip

FASTMATH = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})
NO_FASTMATH: frozenset[str] = frozenset()
ARCHITECTURE = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}.get(
    binding.get_process_triple().split("-")[0], "other"
)
VERSIONS = {"numba": numba.__version__, "llvmlite": llvmlite.__version__}

config = numba.config
DISABLED = bool(vars(config)["DISABLE_JIT"])


class _Part(JITCodeLibrary):
    """The code of a function that only kernels call: linked into each of them, never run itself."""

    def finalize(self):
        """Be whole, but no more."""
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name):
        """It has no address."""
        return 0

    @property
    def codegen(self):
        """Whoever asks here wants to tell the machine code of an environment."""
        return _NO_CODE


_NO_CODE = SimpleNamespace(set_env=lambda name, environment: None)


class _PartCompiler(Compiler):
    """Compiles into a part."""

    def __init__(self, typingctx, targetctx, library, *others):
        part = _Part(targetctx.codegen(), "part")
        super().__init__(typingctx, targetctx, part, *others)


def njit(function, fastmath=NO_FASTMATH, *, from_python=False, **options):
    """Make a Numba function, compiled when it is told for which types.

    Only one that is called ``from_python`` can run, and gets what takes arrays apart for it.
    """
    if not from_python:
        options["pipeline_class"] = _PartCompiler
    made = numba.njit(
        function, nogil=True, error_model="numpy", fastmath=set(fastmath) or False, _nrt=False,
        no_cpython_wrapper=not from_python, no_cfunc_wrapper=True, **options,
    )  # fmt: skip
    return made if from_python else _refusing(made)


def _refusing(made):
    """Make a call of a part from Python an error; it would jump to address 0."""

    def refuse(*args, **named):
        raise TypeError(
            f"{made.py_func.__qualname__}: called from Python, expected a call by a kernel;"
            " .py_func is the function as it was written."
        )

    # What Numba may call is what was inserted; where nothing fits, it compiles and calls that.
    made._insert = lambda *overload: None
    made._compile_for_args = refuse
    return made
