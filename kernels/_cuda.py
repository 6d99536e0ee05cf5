"""CuPy on first use, and CUDA sources: how they are compiled and launched.

A source is a ``.cu`` file beside a family's ``gpu.py``, or generated text. Before it stands
``_cuda.cuh``, as text: neither needs include paths. Its kernels are written out as
``extern "C" __global__ void name(...)``; NVRTC compiles them on their first launch on a device.
"""

import importlib.util
import sys
import threading
import warnings
from contextlib import nullcontext
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_rnn.errors import DeviceError

__all__ = [
    "THREEFRY", "Function", "Module", "capability", "forget", "full_text", "joined", "launch",
    "load", "module", "require", "several", "suits", "watch", "watched",
]  # fmt: skip

THREEFRY = Path(__file__).with_name("_threefry.cuh")  # for sources that draw random numbers
_PRELUDE = Path(__file__).with_name("_cuda.cuh")
_OPTIONS = ("--std=c++17",)
_NAMES = {"f": "float", "d": "double"}  # element types, as CUDA calls them
_MORE_THAN_ASKED = 48 * 1024  # of shared memory, a kernel gets only on request
_FEWEST = 75  # capability of the oldest GPU that CUDA 13 knows
_NULL = np.uint64(0)

_lock = threading.Lock()
_watchers = 0  # sessions that want errors where they are made


def require(where: str = "gpu") -> Any:
    """Return the module ``cupy``; raise DeviceError, naming what is missing, if it is no use."""
    if missing := _missing():
        raise DeviceError(f"{where}: {missing}")
    import cupy

    return cupy


@cache
def _missing() -> str:
    """Say in a sentence what keeps the GPU from being used; empty if nothing does."""
    if importlib.util.find_spec("cupy") is None:
        return "the GPU needs CuPy; install it with: pip install 'tinygrad-rnn[gpu]'."
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # a broken install, or no driver: CuPy raises many kinds
        return f"CuPy is installed but finds no usable CUDA driver or device ({error})."
    return "" if count else "CuPy is installed but this machine shows no CUDA device."


def several() -> bool:
    """Whether there is more than one GPU, so that arrays may be on another than the current."""
    return "cupy" in sys.modules and _count() > 1


@cache
def _count() -> int:
    return int(require().cuda.runtime.getDeviceCount()) if not _missing() else 0


# ----- sources -----


class Function:
    """A kernel of a module."""

    __slots__ = ("name", "raw", "source")

    def __init__(self, name: str, source: str, raw: Any) -> None:
        self.name = name
        self.source = source
        self.raw = raw


class Module:
    """A compiled source. The first ``get_function`` compiles it."""

    def __init__(self, text: str, source: str, needs: int, options: tuple[str, ...]) -> None:
        self.source = source
        self.needs = needs
        self.text = full_text(text, source)
        self.options = options
        self._raw = require(source).RawModule(code=self.text, options=self.options)
        self._functions: dict[str, Function] = {}

    def get_function(self, name: str) -> Function:
        """Return the kernel ``name``, always the same object."""
        found = self._functions.get(name)
        if found is None:
            if self.needs > _FEWEST:
                _check_capability(self.source, name, self.needs)
            raw = self._raw.get_function(name)
            found = self._functions.setdefault(name, Function(name, self.source, raw))
        return found


def full_text(text: str, source: str) -> str:
    """The text that is compiled: what all sources begin with, and ``text``, under its name."""
    return f'{joined(_PRELUDE)}\n#line 1 "{source}"\n{text}'


@cache  # every launch asks
def joined(*paths: Path) -> str:
    """Files one after the other: to compilers, each line is that of its own file."""
    return "\n".join(f'#line 1 "{path.name}"\n{path.read_text("utf-8")}' for path in paths)


def _defined(definitions: dict[str, Any]) -> tuple[str, ...]:
    """The options that define macros; an element type is written as CUDA calls it."""
    options = []
    for name, value in sorted(definitions.items()):
        if isinstance(value, np.dtype | type):
            value = _NAMES[np.dtype(value).char]
        options.append(f"-D{name}={value}")
    return tuple(options)


def module(
    text: str, source: str = "generated.cu", needs: int = _FEWEST, **definitions: Any
) -> Module:
    """Return the module of a CUDA text; the same text and definitions give the same module.

    Args:
        source: What compilers and errors call the text.
        needs: The least compute capability of a GPU that it can run on, 90 for 9.0.
        definitions: Macros: ``Real=x.dtype`` is "float" or "double", numbers are themselves.
    """
    return _module(text, source, needs, (*_OPTIONS, *_defined(definitions)))


_module = cache(Module)


def load(*paths: Path, needs: int = _FEWEST, **definitions: Any) -> Module:
    """Return the module of a ``.cu`` file behind the files it needs, as ``module`` of a text."""
    return module(joined(*paths), paths[-1].name, needs, **definitions)


def forget() -> None:
    """Forget all modules, and whether there is a GPU: for tests, which change that."""
    for kept in (_missing, _count, _module, _capability, _say_once):
        kept.cache_clear()


# ----- launches -----


def launch(
    function: Function,
    grid: int | tuple[int, ...],
    *args: Any,
    block: int | tuple[int, ...] = 256,
    shared: int = 0,
) -> None:
    """Launch a kernel where its arrays are; nothing is done where the grid is empty.

    Args:
        grid: The number of blocks, up to three, or one number: of threads that are wanted at least.
        args: C-contiguous arrays of one device, NumPy scalars of the very types that the kernel
            takes (a Python number has none), and None for no array.
        shared: Bytes of dynamic shared memory a block.
    """
    block = block if isinstance(block, tuple) else (block,)
    grid = grid if isinstance(grid, tuple) else (-(-grid // prod(block)),)
    if 0 in grid:
        return  # CuPy would launch one block
    given = tuple([_NULL if a is None else a for a in args])
    try:
        if _count() > 1:
            with _home(args):
                _run(function, grid, block, given, shared)
        else:
            _run(function, grid, block, given, shared)
    except RuntimeError as error:  # CuPy's CUDADriverError and CUDARuntimeError are such
        raise DeviceError(_failure(function, grid, block, args, shared, error)) from error


def _home(args: tuple[Any, ...]) -> Any:
    """Where the first array is, as the current device."""
    cupy = require()
    for arg in args:
        if isinstance(arg, cupy.ndarray):
            return arg.device if arg.device.id != cupy.cuda.runtime.getDevice() else nullcontext()
    return nullcontext()


def _run(
    function: Function,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    args: tuple[Any, ...],
    shared: int,
) -> None:
    if shared > _MORE_THAN_ASKED:
        function.raw.max_dynamic_shared_size_bytes = shared
    function.raw(grid, block, args, shared_mem=shared)
    if _watchers:
        require().cuda.get_current_stream().synchronize()


def _failure(
    function: Function,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    args: tuple[Any, ...],
    shared: int,
    error: Exception,
) -> str:
    """Say which launch an error is of; where nobody watches, it may be of an earlier one."""
    given = ", ".join(
        f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") and a.shape else repr(a) for a in args
    )
    memory = f" with {shared} bytes of shared memory" if shared else ""
    doubt = "" if _watchers else " It may be of an earlier launch; tg.debug() tells of which."
    return (
        f"{function.source}: the kernel {function.name!r}, launched in blocks {list(grid)} of "
        f"threads {list(block)}{memory} on ({given}), failed: {error}{doubt}"
    )


def watch(change: int) -> None:
    """Count the sessions that want each launch waited for, so that its errors are its own."""
    global _watchers
    with _lock:
        _watchers += change


def watched() -> bool:
    """Whether a session wants each launch waited for."""
    return _watchers > 0


# ----- what the GPU can do -----


def capability() -> int:
    """The compute capability of the current GPU: 90 for 9.0."""
    return _capability(require().cuda.runtime.getDevice())


@cache
def _capability(number: int) -> int:
    return int(require().cuda.Device(number).compute_capability)


def suits(needs: int, what: str) -> bool:
    """Whether the current GPU has a compute capability; if not, warn of it once.

    Args:
        what: What it is needed for and what is done instead, as the warning says it.
    """
    if capability() >= needs:
        return True
    _say_once(needs, what, capability())
    return False


@cache
def _say_once(needs: int, what: str, found: int) -> None:
    warnings.warn(
        f"This GPU has compute capability {found / 10}, and {needs / 10} is needed for {what}.",
        RuntimeWarning,
        stacklevel=4,
    )


def _check_capability(source: str, name: str, needs: int) -> None:
    if capability() < needs:
        raise DeviceError(
            f"{source}: this GPU has compute capability {capability() / 10}, expected {needs / 10} "
            f"or more, which the kernel {name!r} needs."
        )
