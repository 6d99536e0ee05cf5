"""The texts of the persistent kernels, as they are compiled: hardware, cells, and the kernel."""

from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_rnn.kernels import _cuda

__all__ = ["FOLDER", "packing", "text_of"]

FOLDER = Path(__file__).parent


@cache
def text_of(file: str) -> str:
    """The text of a kernel with what it needs in front."""
    parts = ["cells.cuh", "steps.cuh", file]
    if file == "pack.cu":
        parts = ["hardware.cuh", file]
    elif file.startswith("tile"):
        parts = ["hardware.cuh", *parts]
    return _cuda.joined(*(FOLDER / name for name in parts))


def packing(shape: Any) -> dict[str, int | str]:
    """The constants of pack.cu: those that its hardware asks for."""
    known = shape.definitions()
    names = ("ELEMENT_BYTES", "THREADS", "SHARED_BYTES", "PATIENCE")
    return {"CLUSTER": 1, **{name: known[name] for name in names}}
