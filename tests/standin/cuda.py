"""``RawModule`` and its kernels, as CuPy has them, run on the CPU.

A source is compiled by ``compiling``; its threads run one at a time over the NumPy memory of the
stand-in's arrays. What CUDA leaves to the one who launches is checked here: element types,
numbers and sizes of arguments, one device, limits of grids, blocks and shared memory.
"""

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.standin import compiling
from tests.standin.module import current_stream

ROOT = Path(__file__).resolve().parents[2]
ORDERS = ("ascending", "descending", 1, 2)  # what a kernel's result must not depend on

_SHARED = 48 * 1024  # what a block may have without asking
_SHARED_AT_MOST = 227 * 1024  # of compute capability 9.0
_BOOLEANS = {"?": "?B", "B": "B?", "b": "b?"}  # one byte is as good as another

missing = compiling.missing
_lock = threading.Lock()  # threads of kernels live in variables of one library
_order: list[str | int] = ["ascending"]


class Launch(NamedTuple):
    """A launch that has been done."""

    source: str
    name: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int
    code: str
    options: tuple[str, ...]


class CUDADriverError(RuntimeError):
    """A launch that CUDA would refuse, or that ends in an error."""


@contextmanager
def orders(order: str | int) -> Iterator[None]:
    """Run threads and blocks "ascending", "descending", or shuffled by a seed."""
    if order not in ("ascending", "descending") and not isinstance(order, int):
        raise ValueError(f'order is {order!r}, expected "ascending", "descending" or a number.')
    _order.append(order)
    try:
        yield
    finally:
        _order.pop()


_watching: list[list[Launch]] = []


@contextmanager
def launches() -> Iterator[list[Launch]]:
    """Note all launches inside."""
    seen: list[Launch] = []
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


class RawModule:
    """A compiled source: ``cupy.RawModule`` of the stand-in."""

    def __init__(self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        self.code, self.options, self.backend = code, tuple(options), backend
        self.source = code.rpartition('#line 1 "')[2].partition('"')[0]

    def get_function(self, name: str) -> "RawKernel":
        library, names = compiling.compiled(self.code, self.options)
        if name not in names:
            raise CUDADriverError(f"CUDA_ERROR_NOT_FOUND: named symbol not found ({name})")
        return RawKernel(library, name, self)


class RawKernel:
    """A kernel of a module: call it with a grid, a block and its arguments."""

    def __init__(self, library: ctypes.CDLL, name: str, module: RawModule) -> None:
        self.name = self.__name__ = name
        self._module = module
        self.max_dynamic_shared_size_bytes = _SHARED
        self._thread = getattr(library, f"thread_{name}")
        parameters = getattr(library, f"parameters_{name}")
        parameters.restype = ctypes.POINTER(ctypes.c_char_p)
        kinds, self.parameters = parameters(), []
        while kinds[len(self.parameters)] is not None:
            self.parameters.append(kinds[len(self.parameters)].decode())
        bound = getattr(library, f"bound_{name}")
        bound.restype = ctypes.c_longlong
        self.max_threads_per_block = bound()
        self._fixed = []
        for end in ("begin", "end"):
            where = getattr(library, f"shared_{end}")
            where.restype = ctypes.c_void_p
            self._fixed.append(ctypes.c_void_p(where()))
        self._flush = "-DReal=double" not in module.options  # CuPy has float32 flushed, not float64

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0
    ) -> None:
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        self._check_launch(grid, block, shared_mem)
        values = _values(self.name, self.parameters, args)
        launch = partial(self._run, grid, block, values, shared_mem)
        captured = current_stream().captured
        if captured is None:
            launch()
        else:
            captured.append(launch)

    def _run(self, grid: Any, block: Any, values: list[Any], shared: int) -> None:
        pointers = (ctypes.c_void_p * max(1, len(values)))(*map(ctypes.addressof, values))
        order = _order[-1]
        number = {"ascending": 0, "descending": 1}.get(order, 2)
        with _lock:
            failure = compiling.runtime().cuda_on_cpu_launch(
                self._thread, pointers, (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block),
                ctypes.c_size_t(shared), *self._fixed, number,
                ctypes.c_uint64(order if number == 2 else 0), self._flush,
            )  # fmt: skip
            failure = failure and failure.decode()
        for seen in _watching:
            module = self._module
            seen.append(
                Launch(module.source, self.name, grid, block, shared, module.code, module.options)
            )
        if failure:
            raise CUDADriverError(f"CUDA_ERROR_LAUNCH_FAILED: {failure}")

    def _check_launch(self, grid: Any, block: Any, shared: int) -> None:
        for sizes, most in ((grid, (2**31 - 1, 65535, 65535)), (block, (1024, 1024, 64))):
            if not all(
                type(size) is int and 1 <= size <= limit
                for size, limit in zip(sizes, most, strict=True)
            ):
                raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: grid {grid}, block {block}")
        if prod(block) > self.max_threads_per_block:
            raise CUDADriverError(
                f"CUDA_ERROR_INVALID_VALUE: {prod(block)} threads, and the launch bound of"
                f" {self.name} is {self.max_threads_per_block}"
            )
        if shared > min(self.max_dynamic_shared_size_bytes, _SHARED_AT_MOST):
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: {shared} bytes of shared memory")


def _values(name: str, parameters: list[str], args: Any) -> list[Any]:
    """Arguments as C values, if they are what the kernel takes."""
    if len(args) != len(parameters):
        raise TypeError(f"{name}: given {len(args)} arguments, expected {len(parameters)}.")
    values, devices = [], set()
    for number, (kind, arg) in enumerate(zip(parameters, args, strict=True)):
        where = f"{name}: argument {number}"
        if kind == "X":
            raise TypeError(f"{where} is of a type that kernels of this library do not take.")
        if isinstance(arg, np.generic):
            if kind[0] == "P" and not (type(arg) is np.uint64 and arg == 0):
                raise TypeError(f"{where} is {arg!r}, expected an array of {kind[1]}.")
            if kind[0] != "P" and arg.dtype.char not in _same(kind):
                raise TypeError(f"{where} is {arg!r}, expected a {np.dtype(kind).name}.")
            values.append((ctypes.c_char * arg.itemsize).from_buffer_copy(arg.tobytes()))
            continue
        host = getattr(arg, "_host", None)
        if host is None:
            raise TypeError(
                f"{where} is {arg!r} ({type(arg).__qualname__}), expected a CuPy array or a NumPy"
                " scalar of the type that the kernel takes."
            )
        if kind[0] != "P" or host.dtype.char not in _same(kind[1:]):
            raise TypeError(f"{where} is an array of {host.dtype}, expected {kind}.")
        if not host.flags.c_contiguous:
            strides = f"shape {host.shape}, strides {host.strides}"
            raise TypeError(f"{where} is not C-contiguous: {strides}.")
        devices.add(arg.device.id)
        values.append(ctypes.c_void_p(host.ctypes.data if host.size else 0))
    current = sys.modules["cupy"].cuda.runtime.getDevice() if "cupy" in sys.modules else 0
    if devices - {current}:
        raise CUDADriverError(
            f"CUDA_ERROR_ILLEGAL_ADDRESS: {name} is launched on device {current} with arrays of"
            f" {sorted(devices)}"
        )
    return values


def _same(kind: str) -> str:
    """The characters of NumPy types that are of one C type; l and q are both 64 bits."""
    kinds = _BOOLEANS.get(kind, kind)
    return kinds + {"q": "l", "Q": "L"}.get(kind, "")


def run_sanitized(code: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process whose kernels are under the address sanitizer.

    What it finds ends that process, and its report names the kernel's line.
    """
    found = subprocess.run(
        ["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    environment = {
        **os.environ,
        compiling.SANITIZE: "1",
        "LD_PRELOAD": found.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0:detect_odr_violation=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONPATH": str(ROOT),
        "PYTHONMALLOC": "malloc",  # so that small arrays have edges too
    }
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment,
        timeout=timeout, check=False,
    )  # fmt: skip
