"""Recurrent layers against PyTorch's: training and inference, by size and by layers.

python benchmarks/recurrent.py [LSTM ...]    (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import math
import sys

from duel import HERE, Result, duel
from table import show, table

# Large sizes first: after small ones, PyTorch's large ones take a third longer in a process.
SIZES = ["50 64 512", "35 20 650", "35 20 200", "50 32 128", "100 1 512"]
EXTRA = ["1000 32 64", "1 1 512", "1 64 512"]
KINDS = ["LSTM", "GRU", "RNN"]
BARS = {
    "train": "Bar: 1.05 in the LSTM's mean and 2 in the others', no LSTM of the five below 0.9.",
    "infer": "Bar: 1 in the LSTM's mean and 2 in the others', no LSTM of the five below 0.85.",
}
STACKS = ["bidirectional=True", "num_layers=2"]  # in the order that PyTorch is faster in
OURS, PYTORCH = HERE / "sides" / "recurrent_ours.py", HERE / "sides" / "recurrent_torch.py"


def against_pytorch(cases: list[str], rounds: int = 9) -> list[Result]:
    """Cases in turns with PyTorch."""
    return duel(cases, OURS, PYTORCH, rounds=rounds, seconds=0.15)


def columns(what: str) -> list[str]:
    """The head of a table of ``against_pytorch``."""
    return [what, "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]


def geometric_mean(results: list[Result]) -> float:
    """The mean of the ratios."""
    return math.exp(sum(math.log(r.ratio) for r in results) / len(results))


def by_size(what: str, kinds: list[str]) -> list[str]:
    """Rows for every kind and size, and the mean over the first five sizes."""
    rows = []
    for kind in kinds:
        results = against_pytorch([f"{what} {kind} {size}" for size in SIZES + EXTRA])
        rows += [result.row() for result in results]
        mean = geometric_mean(results[: len(SIZES)])
        rows.append(f"| {kind}, geometric mean of the first five | | | **{mean:.2f}** |")
    return table(BARS[what], columns(what), rows)


def stacked(kinds: list[str]) -> list[str]:
    """Rows for both directions, and for two layers."""
    results = against_pytorch(
        [
            f"{what} {kind} 35 20 200 {stack}"
            for what in ("train", "infer")
            for kind in kinds
            for stack in STACKS
        ],
        rounds=7,
    )
    bar = "Bars: those of one layer."
    return table(bar, columns("directions and layers"), [result.row() for result in results])


def sections(kinds: list[str] = KINDS) -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "Recurrent layers, training": by_size("train", kinds),
        "Recurrent layers, inference": by_size("infer", kinds),
        "Both directions, and two layers": stacked(kinds),
    }


if __name__ == "__main__":
    show(sections(sys.argv[1:] or KINDS))
