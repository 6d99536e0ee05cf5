"""CuPy on first use, and the CUDA sources beside a family's ``gpu.py``."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_rnn.errors import DeviceError

__all__ = ["load", "require"]


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


@cache
def load(source: Path, options: tuple[str, ...] = ("--std=c++17",)) -> Any:
    """Compile the ``.cu`` file ``source`` and return its ``cupy.RawModule``."""
    return require(source.name).RawModule(code=source.read_text(), options=options)
