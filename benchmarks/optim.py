"""Steps of optimisers over all parameters, and clipping, against PyTorch's.

python benchmarks/optim.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import sys

from duel import HERE, duel
from table import show, table

OURS, PYTORCH = HERE / "sides" / "optim_ours.py", HERE / "sides" / "optim_torch.py"
LARGE, SMALL = "20 500000", "20 1000"
CASES = [
    *(f"Adam {LARGE} torch={how!r}" for how in ("fused", "foreach")),
    f"AdamW {LARGE} torch='fused'",
    f"SGD {LARGE} torch='fused' momentum=0.9",
    *(f"{kind} {LARGE} torch='foreach'" for kind in ("RMSprop", "RAdam")),
    f"clip {LARGE} torch='foreach'",
    *(f"Adam {SMALL} torch={how!r}" for how in ("fused", "foreach")),
    f"clip {SMALL} torch='foreach'",
]
LAZY = "33278 200 700"  # a vocabulary, its vectors, the words of a batch


def steps() -> list[str]:
    """Rows: a step, arrays and numbers in each."""
    rows = [result.row() for result in duel(CASES, OURS, PYTORCH, rounds=41, seconds=0.15)]
    head = ["arrays, numbers in each", "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]
    return table("Bar: Adam over 10 million parameters 0.95 times as fast.", head, rows)


def lazy() -> list[str]:
    """Rows: an embedding of which a batch reads few rows, both ours."""
    pair = (f"lazy rows {LAZY}", f"lazy all {LAZY}")
    rows = [
        result.row()
        for result in duel([pair], OURS, OURS, rounds=41, seconds=0.15, python=sys.executable)
    ]
    head = ["V, E, rows with a gradient", "lazy, ms (best)", "all rows, ms (best)"]
    return table("", [*head, "times as fast"], rows)[1:]


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {"Optimisers, one step": steps(), "Lazy updates of an embedding, Adam": lazy()}


if __name__ == "__main__":
    show(sections())
