"""The only module that imports Numba and llvmlite, and the options of every compilation.

Only the ``cpu`` modules of kernel families lead here, through ``_jit``, so that
``import tinygrad_rnn`` loads no Numba. What the options are for:

* ``error_model="numpy"``: without it a division costs 6 to 10 times as much, because a test
  for zero keeps LLVM from vectorising.
* ``_nrt=False``: without Numba's runtime there are no reference counts, which it otherwise
  keeps, atomically, of every array that a helper is given: two threads that count one array
  took three times as long. Kernels make no arrays; whoever calls them holds theirs.
* ``FASTMATH`` never holds nnan or ninf: masks use -inf, and NaN must travel.
* No ``parallel=True``: Numba's own threads abort when two Python threads enter them, die in
  a forked child, and sum in an order that depends on how many there are. ``_pool`` hands
  slices of serial kernels to threads of our own.
"""

import llvmlite
import numba
from llvmlite import binding, ir
from numba import extending
from numba.core import cgutils, event, types

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


def njit(function, fastmath=NO_FASTMATH, *, from_python=False, **options):
    """Make a Numba function, compiled when it is told for which types.

    Only one that is called ``from_python`` gets what takes arrays apart for it: for fifty of
    them that is a quarter of the time of compiling.
    """
    return numba.njit(
        function, nogil=True, error_model="numpy", fastmath=set(fastmath) or False, _nrt=False,
        no_cpython_wrapper=not from_python, no_cfunc_wrapper=True, **options,
    )  # fmt: skip
