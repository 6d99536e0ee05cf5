"""Compile every kernel ahead: ``python -m tinygrad_rnn.warmup [--all]``.

For a container image, or before measuring: what is compiled is kept, and later processes
only load it.
"""

import argparse
import importlib
import pkgutil
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec

from tinygrad_rnn import kernels

__all__ = ["main", "warm_up"]


def warm_up(dtypes: tuple[str, ...] = ("float32",)) -> Iterator[tuple[str, str, bool, float]]:
    """Make every kernel of every family ready; yield name, type, whether loaded, seconds.

    A family whose kernels do not all exist once ``cpu`` is imported has a function
    ``warm_up(dtype)`` in it that makes them.
    """
    from tinygrad_rnn.kernels import _crew, _jit

    families = pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}.")
    names = [f"{family.name}.cpu" for family in families if family.ispkg]
    modules = [_crew] + [importlib.import_module(name) for name in names if find_spec(name)]
    for dtype in dtypes:
        for module in modules:
            if hasattr(module, "warm_up"):
                module.warm_up(dtype)
        for kernel in tuple(_jit.KERNELS):
            before = len(_jit.BUILDS)
            if dtype in kernel.dtypes or kernel.dtypes == ("",):
                kernel.compile(dtype)
            yield from _jit.BUILDS[before:]


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_rnn.warmup", description="Compile every kernel ahead."
    )
    parser.add_argument("--all", action="store_true", help="for float64 as well as float32")
    dtypes = ("float32", "float64") if parser.parse_args(arguments).all else ("float32",)
    started, count = time.perf_counter(), 0
    for name, dtype, loaded, seconds in warm_up(dtypes):
        how = "was ready" if loaded else "compiled"
        short = name.removeprefix(f"{kernels.__name__}.")
        sys.stdout.write(f"{seconds:7.2f} s  {how:9}  {short} {dtype}\n")
        sys.stdout.flush()
        count += 1
    sys.stdout.write(f"{time.perf_counter() - started:7.2f} s  {count} functions are ready.\n")


if __name__ == "__main__":
    main()
