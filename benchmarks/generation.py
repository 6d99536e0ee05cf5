"""Generating text a character at a time: one stream, two layers of 512, 65 characters.

python benchmarks/generation.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

from duel import HERE, duel
from table import show, table

OURS, PYTORCH = HERE / "sides" / "generation_ours.py", HERE / "sides" / "generation_torch.py"
CASES = ["LSTM 512", "LSTM 512 cells", "LSTM 64 cells", "GRU 512 cells", "step LSTM 512 cells"]


def characters(rounds: int = 15) -> list[str]:
    """Rows: the time of a character, and how many come in a second."""
    results = duel(CASES, OURS, PYTORCH, rounds=rounds, seconds=0.1)
    rows = [
        f"| {r.case} | {r.times(1e6)} | {1 / r.ours:.0f} | {1 / r.peer:.0f} | **{r.ratio:.2f}** |"
        for r in results
    ]
    head = [
        "cell, width of a character's vector; PyTorch's way", "ours, µs (best)",
        "PyTorch, µs (best)", "ours a second", "PyTorch's a second", "times as fast",
    ]  # fmt: skip
    bar = (
        "Bar: 2 times as fast as `nn.LSTM`, which is the first row; behind it PyTorch runs a loop "
        "over its cells. Each character is drawn, but for the last row, which is the model's step."
    )
    return table(bar, head, rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {"Generating text": characters()}


if __name__ == "__main__":
    show(sections())
