"""Convolutions against PyTorch's, forward and backward.

python benchmarks/convolution.py    (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

from duel import HERE, duel
from table import show, table

SIDES = HERE / "sides"
CASES = {
    "layers 32 64": "B 32, 64×64×3 → 32 → 64 channels, each with ReLU",
    "layers 4 64": "the same, B 4",
    "layer 32 64 64 16": "one layer, B 32, 16×16, 64 → 64",
    "layer 32 256 256 8": "one layer, B 32, 8×8, 256 → 256",
    "layer 4 128 128 56": "one layer, B 4, 56×56, 128 → 128",
    "encoder 64 32": "a training step: B 64, 32×32×3, three layers with ReLU and pooling, SGD",
}


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    results = duel(
        list(CASES), SIDES / "convolution_ours.py", SIDES / "convolution_torch.py",
        rounds=9, seconds=0.2,
    )  # fmt: skip
    rows = [f"| {CASES[r.case]} | {r.times()} | **{r.ratio:.2f}** |" for r in results]
    head = ["3×3, padding 1", "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]
    bar = "Bar, for the first two rows: 0.5; goal: 0.8. The gradient of images is not computed."
    return {"Convolution": table(bar, head, rows)}


if __name__ == "__main__":
    show(sections())
