"""Loops of ours that NumPy runs over small arrays.

For a dozen numbers, most of the time goes into the way from Python to the loop and into the
result's memory. NumPy's way, that of its own functions, takes 0.2 µs for both; a call of a
Numba function and ``np.empty`` take 0.6. So families that are used on small arrays give
NumPy a loop around the code that their kernels consist of.
"""

import ctypes
from typing import Any

import numpy as np
from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

from tinygrad_rnn.kernels._build import Definition
from tinygrad_rnn.kernels._jit import DISABLED, KERNELS, NO_FASTMATH, Kernel
from tinygrad_rnn.kernels._numba import ARCHITECTURE
from tinygrad_rnn.kernels._signature import LOOP

__all__ = ["AVAILABLE", "Loop", "loop"]

# Elsewhere loops would leave marks of overflow behind, of which NumPy warns: on x86 they
# stand in the register that holds the mode, and go when that is given back.
AVAILABLE = ARCHITECTURE == "x86" and not DISABLED

# Places in NumPy's table of functions, part of its binary interface.
_FROM_LOOPS = 31  # PyUFunc_FromFuncAndDataAndSignature
_NO_IDENTITY = -1


def loop(body):
    """Make functions of ``body(data, sizes, steps, number, like)``, one an element type.

    ``data``, ``sizes`` and ``steps`` are NumPy's: the addresses of the arrays, inputs first;
    how many elements, then how long each axis of the core is; the distances in bytes.
    ``like`` is a number of the element type.
    """
    made = Loop(body)
    KERNELS.append(made)
    return made


class Loop(Kernel):
    """A loop, compiled for each element type when that is first asked for."""

    def __init__(self, body):
        name = f"{body.__module__}.{body.__qualname__}"
        super().__init__(Definition(name, body, LOOP, NO_FASTMATH, ("float32", "float64")), 4)

    def ufuncs(self, name, inputs, core=None, number=0):
        """Return the ufunc of each element type, by its character.

        Args:
            inputs: How many arrays it takes; it makes one.
            core: The axes that the loop itself works on, in NumPy's notation.
            number: What the body gets as such.
        """
        return _Ufuncs(self, name, inputs, core, number)


class _Ufuncs(dict[str, Any]):
    """The ufuncs of one loop by element type, made when asked for."""

    def __init__(self, source, *traits):
        super().__init__()
        self.source, self.traits = source, traits

    def __missing__(self, char):
        self[char] = made = _ufunc(self.source._ready[char](), char, *self.traits)
        return made


_kept: list[Any] = []  # NumPy does not copy what a ufunc is made of


def _ufunc(address, char, name, inputs, core, number):
    """Make a ufunc of a loop's address."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(get(_multiarray_umath._UFUNC_API, None), ctypes.POINTER(ctypes.c_void_p))
    pointer, number_of = ctypes.c_void_p, ctypes.c_int
    make = ctypes.PYFUNCTYPE(
        ctypes.py_object, pointer, pointer, pointer, *[number_of] * 4,
        ctypes.c_char_p, ctypes.c_char_p, number_of, ctypes.c_char_p,
    )(table[_FROM_LOOPS])  # fmt: skip
    loops, numbers = (pointer * 1)(address), (pointer * 1)(number)
    types = (ctypes.c_char * (inputs + 1))(*[np.dtype(char).num] * (inputs + 1))
    name, core = name.encode(), core and core.encode()
    _kept.append((loops, numbers, types, name, core))
    addresses = [ctypes.cast(x, pointer) for x in (loops, numbers, types)]
    return make(*addresses, 1, inputs, 1, _NO_IDENTITY, name, b"", 0, core)
