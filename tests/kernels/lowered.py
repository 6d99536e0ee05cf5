"""What LLVM makes of kernels."""

import re

from tinygrad_rnn.kernels import _build
from tinygrad_rnn.kernels._numba import njit

# No fptrunc: alone, it takes an argument down to float32, once and for nothing.
_DOUBLE = re.compile(
    r"= (f(add|sub|mul|div|rem|neg|cmp|pext)|[su]itofp|fpto[su]i)\b.*\bdouble\b"
    r"|call\b.*\bdouble\b.*@llvm"
)


def lowered(kernel):
    """Return the LLVM code of a kernel's float32 version.

    Compiles afresh, for what comes from the cache cannot be looked into.
    """
    entry, arguments = _build.entry_of(kernel.definition, "float32")
    dispatcher = njit(entry, from_python=True)
    dispatcher.compile(arguments)
    return dispatcher.inspect_llvm(arguments)


def double_arithmetic(kernel):
    """Return the instructions with which a kernel's float32 version computes in float64.

    There should be none: a constant that is no ``np.float32`` makes LLVM convert back and
    forth.
    """
    return [line.strip() for line in lowered(kernel).splitlines() if _DOUBLE.search(line)]
