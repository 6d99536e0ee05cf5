"""CUDA sources through g++: a shared object for each text and its options, kept between runs.

The compiler sees the source in a namespace without a name, behind ``cuda_on_cpu.h``; what runs
its threads (``cuda_on_cpu.cpp``) is compiled once.
"""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from tinygrad_rnn.kernels import _cache

HERE = Path(__file__).parent
KEPT = 30 * 24 * 3600  # seconds
SANITIZE = "STANDIN_SANITIZE"  # set in the process that run_sanitized begins

_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:__launch_bounds__\s*\((?P<early>[^()]*)\)\s*)?void\s+'
    r"(?:__launch_bounds__\s*\((?P<late>[^()]*)\)\s*)?(?P<name>\w+)\s*\("
)

_SHARED = """
extern "C" unsigned char* shared_begin() { return __start_cuda_shared; }
extern "C" unsigned char* shared_end() { return __stop_cuda_shared; }
"""
_ENTRY = """
extern "C" const char* const* parameters_{name}() {{ return cuda_on_cpu_parameters({name}); }}
extern "C" void thread_{name}(void** args) {{ cuda_on_cpu_call({name}, args); }}
extern "C" long long bound_{name}() {{ return {bound}; }}
"""


class CompileException(Exception):
    """What g++ says of a source, as CuPy's exception says what NVRTC does."""


def missing() -> str:
    """Say what keeps CUDA sources from being compiled for the CPU; empty if nothing does."""
    return "" if shutil.which("g++") else "g++ is not installed"


def flags() -> list[str]:
    """How everything is compiled: nothing is contracted, regrouped or warned of."""
    common = ["-w", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-std=c++17"]
    if os.environ.get(SANITIZE):
        return [*common, "-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                "-fsanitize-sections=cuda_shared"]  # fmt: skip
    return [*common, "-O1"]


@cache
def folder() -> Path:
    """Where shared objects are kept: beside compiled kernels, or for this process alone."""
    top = _cache.root()
    if top is not None:
        try:
            made = top / "cuda_on_cpu"
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in made.iterdir():  # each edit of a source leaves one behind
                with suppress(OSError):
                    if path.stat().st_mtime < time.time() - KEPT:
                        path.unlink()
            return made
        except OSError:
            pass
    return Path(tempfile.mkdtemp(prefix="cuda_on_cpu_"))


@cache
def runtime() -> ctypes.CDLL:
    """What runs threads, loaded so that sources find it."""
    source = HERE / "cuda_on_cpu.cpp"
    digest = _digest(source.read_text(), *flags())
    path = folder() / f"runtime_{digest}.so"
    if not path.exists():
        _make(["-O2", "-x", "c++", str(source)], path)
    library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    library.cuda_on_cpu_launch.restype = ctypes.c_char_p
    return library


@cache
def compiled(text: str, options: tuple[str, ...]) -> tuple[ctypes.CDLL, tuple[str, ...]]:
    """A source as a library, and the names of its kernels."""
    runtime()
    header = HERE / "cuda_on_cpu.h"
    digest = _digest(text, header.read_text(), *options, *flags())
    path = folder() / f"kernels_{digest}.so"
    names = path.with_suffix(".names")
    if not (path.exists() and names.exists()):
        found = _compile(text, options, header, path)
        _cache._write(names, "\n".join(found))
    return ctypes.CDLL(str(path)), tuple(names.read_text().split())


def _compile(text: str, options: tuple[str, ...], header: Path, path: Path) -> list[str]:
    definitions = [option for option in options if option.startswith("-D")]
    wrapped = f'#include "{header}"\nnamespace {{\n{text}\n}}\n'
    whole = _preprocess(wrapped, definitions)
    names, entries = [], [_SHARED]
    for match in _KERNEL.finditer(whole):
        bound = (match["early"] or match["late"] or "1024").split(",")[0]
        names.append(match["name"])
        entries.append(_ENTRY.format(name=match["name"], bound=bound))
    whole = _KERNEL.sub(lambda match: f'extern "C" void {match["name"]}(', whole)
    if "__global__" in whole:
        raise CompileException('a kernel is not written as extern "C" __global__ void name(...).')
    whole += "".join(entries)
    _make(["-x", "c++-cpp-output", "-"], path, whole)
    return names


def _preprocess(text: str, definitions: list[str]) -> str:
    done = subprocess.run(
        ["g++", "-E", "-std=c++17", "-DCUDA_ON_CPU", *definitions, "-x", "c++", "-"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CompileException(done.stderr)
    return done.stdout


def _make(arguments: list[str], path: Path, text: str = "") -> None:
    """Compile, and put the result in its place all at once: other processes may do the same."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".so")
    os.close(handle)
    done = subprocess.run(
        ["g++", "-shared", *flags(), *arguments, "-o", name],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        Path(name).unlink()
        raise CompileException(done.stderr)
    os.replace(name, path)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
