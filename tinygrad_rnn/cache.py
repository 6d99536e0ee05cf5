"""Show or clear what compiled kernels are kept: ``python -m tinygrad_rnn.cache [clear]``."""

import argparse
import sys
import time

from tinygrad_rnn.kernels import _cache

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_rnn.cache",
        description="Kernels are compiled once for a machine and kept in a folder. "
        "TINYGRAD_CACHE_DIR names another, or is 'off'.",
    )
    parser.add_argument("action", nargs="?", choices=["show", "clear"], default="show")
    clear = parser.parse_args(arguments).action == "clear"
    top = _cache.root()
    if top is None:
        sys.stdout.write("Compiled kernels are not kept: TINYGRAD_CACHE_DIR turns it off.\n")
        return
    found = _cache.clear() if clear else _cache.entries()
    sys.stdout.write(f"{'Removed from' if clear else 'In'} {top}:\n")
    for entry in found:
        sys.stdout.write(f"  {_describe(entry)}\n")
    size = sum(entry.size for entry in found)
    sys.stdout.write(f"{len(found)} folders, {size / 1e6:.1f} MB\n")


def _describe(entry: _cache.Entry) -> str:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    versions = ", ".join(f"{name} {entry.about.get(name)}" for name in ("numba", "numpy"))
    cpu = (entry.about.get("cpu") or ["?"])[0]
    return (
        f"{entry.path.name}  {entry.functions} functions, {entry.size / 1e6:.1f} MB,"
        f" used {used}; {versions}, {cpu}"
    )


if __name__ == "__main__":
    main()
