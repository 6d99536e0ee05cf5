"""NVRTC without a driver: what the compiler of CUDA says of a source, and what it makes of it."""

import ctypes
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "nvidia-cuda-nvrtc"

_SPEAK = ("-v", "--warn-on-spills", "--warn-on-local-memory-usage")
_DOUBLE = "--warn-on-double-precision-use"
_KERNEL = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?(?P<stack>\d+) bytes stack frame, "
    r"(?P<stored>\d+) bytes spill stores, (?P<loaded>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


class Resources(NamedTuple):
    """What a thread of a kernel takes, and the static shared memory of its block in bytes."""

    registers: int
    stack: int
    spilled: int
    shared: int


class Compiled(NamedTuple):
    """What a source has become: machine code, what was said of it, and its kernels."""

    cubin: bytes
    warnings: list[str]
    kernels: dict[str, Resources]


class CompileError(Exception):
    """What NVRTC says of a source that is wrong."""


@cache
def _path() -> Path | None:
    """Where NVRTC is, of a package of Python's."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec and spec.submodule_search_locations) or ():
        if found := sorted(Path(folder).glob("*/lib/libnvrtc.so.*")):
            return found[-1]
    return None


def missing() -> str:
    """Say what keeps sources from being compiled; empty if nothing does."""
    return "" if _path() else f"NVRTC is not installed (pip install {PACKAGE})"


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(_path()))


@cache
def compiled(text: str, options: tuple[str, ...], arch: str) -> Compiled:
    """Compile a source for "sm_90" or another GPU.

    The options are those that the library gives CuPy, with those that CuPy adds. In a source of
    float, the use of double is a warning.
    """
    nvrtc, program = _library(), ctypes.c_void_p()
    _check(
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), text.encode(), b"source.cu", 0, None, None
        )
    )  # fmt: skip
    speak = (*_SPEAK, _DOUBLE) if "-DReal=float" in options else _SPEAK
    given = [*options, f"-arch={arch}", "-ftz=true", *(f"--ptxas-options={x}" for x in speak)]
    words = (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
    try:
        failed = nvrtc.nvrtcCompileProgram(program, len(given), words)
        log = _text(program, "ProgramLog").decode().rstrip("\0")
        if failed:
            raise CompileError(log)
        warnings = [line for line in log.splitlines() if "warning" in line and "Remark" not in line]
        return Compiled(_text(program, "CUBIN"), warnings, _kernels(log))
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _kernels(log: str) -> dict[str, Resources]:
    found = {}
    for match in _KERNEL.finditer(log):
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        found[match["name"]] = Resources(
            int(match["registers"]), int(match["stack"]),
            int(match["stored"]) + int(match["loaded"]), int(shared[1]) if shared else 0,
        )  # fmt: skip
    return found


def _text(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(_library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(getattr(_library(), f"nvrtcGet{what}")(program, text))
    return text.raw


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC failed with status {status}.")
