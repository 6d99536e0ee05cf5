"""Recurrent layers against PyTorch's: training and inference, by size.

python benchmarks/recurrent.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import math
import sys

from duel import HERE, Result, duel

SIZES = ["35 20 200", "35 20 650", "50 32 128", "50 64 512", "100 1 512"]
EXTRA = ["1000 32 64", "1 1 512", "1 64 512"]
KINDS = ["LSTM", "GRU", "RNN"]


def run(what: str, kind: str, sizes: list[str], rounds: int = 9) -> list[Result]:
    """One kind at some sizes."""
    return duel(
        [f"{what} {kind} {size}" for size in sizes],
        HERE / "sides" / "recurrent_ours.py",
        HERE / "sides" / "recurrent_torch.py",
        rounds=rounds,
        seconds=0.15,
    )


def geometric_mean(results: list[Result]) -> float:
    """The mean of the ratios."""
    return math.exp(sum(math.log(r.ratio) for r in results) / len(results))


def table(what: str, kinds: list[str]) -> list[str]:
    """Rows for every kind and size, and the mean over the first five sizes."""
    rows = [
        f"| {what} | ours, ms (best) | PyTorch, ms (best) | times as fast |",
        "|---|---|---|---|",
    ]
    for kind in kinds:
        results = run(what, kind, SIZES + EXTRA)
        rows += [result.row() for result in results]
        mean = geometric_mean(results[: len(SIZES)])
        rows.append(f"| {kind}, geometric mean of the first five | | | **{mean:.2f}** |")
    return rows


def sections(kinds: list[str] = KINDS) -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "Recurrent layers, training": table("train", kinds),
        "Recurrent layers, inference": table("infer", kinds),
    }


if __name__ == "__main__":
    for title, rows in sections(sys.argv[1:] or KINDS).items():
        print(f"\n## {title}\n")
        print("\n".join(rows))
