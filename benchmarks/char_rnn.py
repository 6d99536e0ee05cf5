"""char-rnn's experiment on tinyshakespeare, here and in PyTorch, epoch by epoch in turns.

TINYGRAD_DATA names the folder that holds ``tinyshakespeare/``; without it nothing is measured.
Prints each epoch as it ends; all 50 of both sides take a quarter of an hour on two cores.

    python benchmarks/char_rnn.py [epochs]
"""

import json
import statistics
import subprocess
import sys

from duel import HERE, peer_python
from sides.shakespeare import missing
from table import show, table

EPOCHS = 50
SIDES = ("char_rnn_ours", sys.executable), ("char_rnn_torch", peer_python())


class Run:
    """One side: a process that trains for an epoch when it is given a number."""

    def __init__(self, name: str, python: str) -> None:
        self.process = subprocess.Popen(
            [python, str(HERE / "sides" / f"{name}.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.epochs: list[dict[str, float]] = []

    def epoch(self) -> dict[str, float]:
        """What the next one took and came to."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{len(self.epochs)}\n")
        self.process.stdin.flush()
        self.epochs.append(json.loads(self.process.stdout.readline()))
        return self.epochs[-1]

    def row(self, name: str, faster: str) -> str:
        """Its line of the table."""
        minutes = sum(epoch["seconds"] for epoch in self.epochs) / 60
        best = min(epoch["val"] for epoch in self.epochs)
        last = self.epochs[-1]
        return (
            f"| {name} | {minutes:.1f} | {last['train']:.3f} | {last['val']:.3f} | {best:.3f} "
            f"| {faster} |"
        )


def sections(epochs: int = EPOCHS) -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    if missing("char_rnn"):
        return {}
    ours, theirs = (Run(*side) for side in SIDES)
    for number in range(epochs):
        for side, run in zip(SIDES, (ours, theirs), strict=True):
            print(f"{side[0]} epoch {number + 1}: {run.epoch()}", flush=True)
    for run in (ours, theirs):
        assert run.process.stdin
        run.process.stdin.close()
        run.process.wait()
    pairs = zip(ours.epochs[1:], theirs.epochs[1:], strict=True)  # kernels compile in the first
    ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in pairs)
    bar = f"Bar after 50 epochs (here {epochs}): 1.1 times as fast, loss no more than 0.02 above."
    head = ["tinyshakespeare, 2 × LSTM 128", "minutes", "loss", "validation", "best", "faster"]
    rows = [ours.row("here", f"**{ratio:.2f}**"), theirs.row("PyTorch", "")]
    return {"A character model as char-rnn trains it": table(bar, head, rows)}


if __name__ == "__main__":
    show(sections(*map(int, sys.argv[1:])))
