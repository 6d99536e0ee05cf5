"""Translating by a beam of 5, and training, against the same in PyTorch, with the same weights.

python benchmarks/decoding.py    (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import json
import subprocess
import sys

from duel import HERE, duel, peer_python, short
from table import show, table

OURS, PYTORCH = HERE / "sides" / "translation_ours.py", HERE / "sides" / "translation_torch.py"
CASES = {"decode 64 64": "64 sentences side by side", "decode 16 1": "16, one at a time"}
SAID = "import json, sys; sys.path.insert(0, sys.argv[1]); from sides.{} import case; " + (
    "print(json.dumps(case(sys.argv[2])()))"
)


def said(python: str, side: str, case: str) -> list[list[int]]:
    """What a side says, in a process of its own."""
    command = [python, "-c", SAID.format(side), str(HERE), case]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[list[int]] = json.loads(run.stdout)
    return found


def searches(rounds: int = 9) -> list[str]:
    """Rows: the time of all sentences, how many come in a second, and whether they agree."""
    rows = []
    for result in duel(list(CASES), OURS, PYTORCH, rounds=rounds, seconds=0.3):
        sides = (sys.executable, OURS.stem), (peer_python(), PYTORCH.stem)
        ours, theirs = (said(*side, result.case) for side in sides)
        same = sum(one == other for one, other in zip(ours, theirs, strict=True))
        speeds = " | ".join(short(len(ours) / seconds) for seconds in (result.ours, result.peer))
        rows.append(
            f"| {CASES[result.case]} | {result.times()} | {speeds} | {same} of {len(ours)} "
            f"| **{result.ratio:.2f}** |"
        )
    head = [
        "sentences", "ours, ms (best)", "PyTorch, ms (best)", "ours a second",
        "PyTorch's a second", "the same", "times as fast",
    ]  # fmt: skip
    bar = (
        "Bars: 2, both ways. A GRU of 512 that reads both ways, another one with additive "
        "attention, features of 512, V 8,000, beam 5; sentences of 8 to 20 tokens, what is said "
        "has at most 40. The weights are the same, and so is the search."
    )
    return table(bar, head, rows)


def training(rounds: int = 11) -> list[str]:
    """Rows: a training step of the same model, losses and weights being the same, too."""
    cases = {
        "train 64 plain": "all steps at once",
        "train 64 feeding": "input feeding, step by step",
    }
    results = duel(list(cases), OURS, PYTORCH, rounds=rounds, seconds=0.5)
    rows = [f"| {cases[r.case]} | {r.times()} | **{r.ratio:.2f}** |" for r in results]
    head = ["the decoder", "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]
    bar = "Bar: 1.3 of an epoch. Batches of 64 pairs of 11 to 14 tokens; Adam, clipped norms."
    return table(bar, head, rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {"Translating by a beam": searches(), "Training to translate": training()}


if __name__ == "__main__":
    show(sections())
