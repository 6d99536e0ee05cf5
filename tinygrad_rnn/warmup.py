"""Compile every kernel ahead: ``python -m tinygrad_rnn.warmup [--all]``.

For a container image, or before measuring: what is compiled is kept in the cache folder, and
later processes only load it. The kernels of a cell are written from its equations, so those of
your own cells are compiled when they first run; those of nn.RNN, nn.LSTM and nn.GRU as they
come are made here.
"""

import argparse
import sys
import time
from collections.abc import Iterator

from tinygrad_rnn import kernels, nn

__all__ = ["main", "warm_up"]

_ABOUT = (__doc__ or "").partition("\n\n")[2]


def warm_up(dtypes: tuple[str, ...] = ("float32",)) -> Iterator[tuple[str, str, bool, float]]:
    """Make every kernel ready; yield the name, the type, whether it was loaded, and seconds."""
    from tinygrad_rnn.kernels import _ahead  # loads Numba

    for layer in (nn.RNN, nn.LSTM, nn.GRU):
        layer(1, 1).kernel_source()  # written, they count among all kernels; sizes do not matter
    yield from _ahead.compile_all(dtypes)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_rnn.warmup",
        description=f"Compile every kernel ahead.\n\n{_ABOUT}",
        epilog="python -m tinygrad_rnn.cache shows and clears what is kept.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="compile for float64 as well as float32, which takes twice as long",
    )
    dtypes = ("float32", "float64") if parser.parse_args(arguments).all else ("float32",)
    started, count = time.perf_counter(), 0
    for name, dtype, loaded, seconds in warm_up(dtypes):
        how = "was ready" if loaded else "compiled"
        short = name.removeprefix(f"{kernels.__name__}.").removeprefix("tinygrad_rnn_generated.")
        sys.stdout.write(f"{seconds:7.2f} s  {how:9}  {short} {dtype}\n")
        sys.stdout.flush()
        count += 1
    sys.stdout.write(f"{time.perf_counter() - started:7.2f} s  {count} functions are ready.\n")


if __name__ == "__main__":
    main()
