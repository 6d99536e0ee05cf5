"""Layers and losses against PyTorch's.

python benchmarks/layers.py    (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import subprocess
import sys

from duel import HERE, duel, peer_python, short
from table import show, table

SIDES = HERE / "sides"
SIZES = ["700 650 10000", "700 650 33278"]
SMALL = "linear_cross_entropy 64 64 640"


def peak(python: str, side: str, name: str) -> float:
    """MiB at most above those before the first run, in a process of its own."""
    command = [python, str(SIDES / "losses_memory.py"), side, SMALL, name]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout)


def losses() -> dict[str, list[str]]:
    """Linear and cross-entropy as one, forward and backward, in time and in memory."""
    cases = [f"linear_cross_entropy {size}" for size in SIZES]
    results = duel(
        cases, SIDES / "losses_ours.py", SIDES / "losses_torch.py", rounds=9, seconds=0.8
    )
    rows = []
    for result in results:
        _, N, D, V = result.case.split()
        gradients = (int(N) * int(D) + (int(D) + 1) * int(V)) * 4 / 2**20
        ours = peak(sys.executable, "losses_ours.py", result.case) - gradients
        theirs = peak(peer_python(), "losses_torch.py", result.case) - gradients
        memory = f"{short(ours)} | {short(theirs)} | **{ours / theirs:.2f}**"
        rows.append(f"| {N} {D} {V} | {result.times()} | **{result.ratio:.2f}** | {memory} |")
    columns = ["N D V", "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]
    columns += ["ours, MiB above weights and gradients", "PyTorch, MiB", "of PyTorch's"]
    bar = (
        "Bars: 1.05 times as fast, 0.25 of the memory. PyTorch's memory is that of a process as "
        "Linux starts it, and at V 10,000 mostly what malloc keeps: 177 to 257 MiB in four runs, "
        "70 with MALLOC_MMAP_THRESHOLD_=65536. Its own linear_cross_entropy in chunks takes 54 "
        "and 87 MiB and two to six times as long as ours."
    )
    return {"Linear and cross-entropy": table(bar, columns, rows)}


def word_model() -> dict[str, list[str]]:
    """A whole training step of a language model of words."""
    case = "train 10000 200 200 2 35 20"
    results = duel(
        [case], SIDES / "word_model_ours.py", SIDES / "word_model_torch.py", rounds=15, seconds=0.3
    )
    rows = [result.row().replace("| train ", "| ") for result in results]
    head = ["V E H layers T B", "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]
    return {"A word language model's training step": table("Bar: 1.05; goal: 1.2.", head, rows)}


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {**losses(), **word_model()}


if __name__ == "__main__":
    show(sections())
