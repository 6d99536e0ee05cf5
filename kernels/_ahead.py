"""Every kernel made ready ahead of its first call."""

import importlib
import pkgutil
from collections.abc import Iterator
from importlib.util import find_spec

from tinygrad_rnn import kernels
from tinygrad_rnn.kernels._build import BUILDS, Build
from tinygrad_rnn.kernels._jit import KERNELS

__all__ = ["compile_all"]


def compile_all(dtypes: tuple[str, ...]) -> Iterator[Build]:
    """Compile or load all kernels: of every family, and what has been written for cells.

    Yields how, for all that this process has made ready, earlier calls included.
    """
    names = [f"{kernels.__name__}._crew"]
    for family in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        names += [f"{family.name}.cpu"] if family.ispkg else []
    for name in names:
        if find_spec(name):
            importlib.import_module(name)  # defines kernels
    said = 0
    for dtype in dtypes:
        for kernel in tuple(KERNELS):
            if dtype in kernel.dtypes or kernel.dtypes == ("",):
                kernel.compile(dtype)
            new, said = BUILDS[said:], len(BUILDS)
            yield from new
