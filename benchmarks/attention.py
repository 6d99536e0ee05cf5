"""Attention against PyTorch's operations: additive and dot, in training and in a decoder's step.

python benchmarks/attention.py    (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

from duel import HERE, duel
from table import show, table

OURS, PYTORCH = HERE / "sides" / "attention_ours.py", HERE / "sides" / "attention_torch.py"
CASES = [
    "additive 64 30 30 512", "dot 64 30 30 512",
    "additive 64 1 30 512 step", "dot 64 1 30 512 step",
]  # fmt: skip


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    results = duel(CASES, OURS, PYTORCH, rounds=9, seconds=0.25)
    columns = ["B T S H", "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]
    bar = (
        "Forward and backward, projections of additive attention included; a step is forward "
        "alone, with keys prepared. Bars: 1.5 for additive attention, 1 for dots, both in "
        "training. PyTorch's dots are `q @ k.mT`, softmax, `@`, which give the weights as ours do; "
        "its scaled_dot_product_attention, which does not, takes about half of that time."
    )
    return {"Attention": table(bar, columns, [result.row() for result in results])}


if __name__ == "__main__":
    show(sections())
