"""Which implementation of a kernel family an array asks for."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import _cuda

__all__ = ["Array", "only_reference", "twin", "use_reference"]

Array: TypeAlias = Any  # a NumPy or a CuPy array; CuPy has no types of its own to name

_COMPILED = frozenset("?bBhHiIlLqQfd")  # element types, by character, that cpu.py takes
_reference_only: ContextVar[bool] = ContextVar("reference_only", default=False)

# Every call of a kernel asks: looking these up in two steps would cost it a tenth.
_ndarray, only_reference = np.ndarray, _reference_only.get


def twin(package: str, array: Array) -> ModuleType:
    """Return the module of a family that computes where ``array`` lives.

    NumPy goes to ``cpu``, CuPy to ``gpu``; complex and other element types that kernels
    are not compiled for go to ``reference``.
    """
    if array.__class__ is _ndarray:
        if array.dtype.char in _COMPILED and not only_reference():
            return _cpu[package]
        return _reference[package]
    return _other(package, array)


def _other(package: str, array: Array) -> ModuleType:
    if isinstance(array, np.ndarray):
        return twin(package, array.view(np.ndarray))
    if type(array).__module__.partition(".")[0] == "cupy":
        _cuda.require(package)
        return _gpu[package]
    raise DeviceError(
        f"{package}: given a {type(array).__module__}.{type(array).__qualname__},"
        " expected a NumPy or CuPy array."
    )


@contextmanager
def use_reference() -> Iterator[None]:
    """Compute with the NumPy definitions instead of the compiled kernels, in this context."""
    token = _reference_only.set(True)
    try:
        yield
    finally:
        _reference_only.reset(token)


class _Modules(dict[str, ModuleType]):
    """The modules of one kind by their package, imported when first asked for."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __missing__(self, package: str) -> ModuleType:
        name = self.name
        if name == "cpu" and not _numba_works():
            name = "reference"
        module = importlib.import_module(f"{package}.{name}")
        self[package] = module
        return module


_cpu, _gpu, _reference = _Modules("cpu"), _Modules("gpu"), _Modules("reference")


@cache
def _numba_works() -> bool:
    """Whether kernels can be compiled here; warn once if not."""
    try:
        import tinygrad_rnn.kernels._jit  # noqa: F401
    except Exception as error:  # a Numba that does not fit NumPy raises all kinds
        warnings.warn(
            f"Numba cannot be used ({type(error).__name__}: {error}); computing with NumPy"
            " instead, slowly.",
            RuntimeWarning,
            stacklevel=5,
        )
        return False
    return True
