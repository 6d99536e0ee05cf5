"""Exact resume: runs that are killed at random moments come to the same bits.

python benchmarks/resume.py
"""

import tempfile
from pathlib import Path

from kills import killed, moments, undisturbed
from table import show, table

EVERY, STEPS, KILLS = 5, 150, 25  # from checkpoint to checkpoint; of a run; of each kind


def row(kind: str) -> str:
    """Runs of one kind, each killed once and gone on with."""
    with tempfile.TemporaryDirectory() as folder:
        words = kind, str(EVERY), str(STEPS)
        right, steps = undisturbed(Path(folder, "undisturbed"), *words)
        equal, lost = 0, []
        for number, moment in enumerate(moments(KILLS, steps, seed=1)):
            found, cost = killed(Path(folder, str(number)), [moment], *words)
            equal += found == right
            lost += cost
        chain, cost = killed(Path(folder, "chain"), moments(5, steps, seed=2), *words)
    return (
        f"| {kind} | {steps} | {KILLS} | **{equal}** | **{max(lost)}** "
        f"| {'equal' if chain == right else 'DIFFERENT'}, {max(cost)} |"
    )


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    bar = (
        f"Bars: all {2 * KILLS} runs come to the same bits (parameters, optimiser, schedule, "
        f"random numbers, place in the data, history), none loses more than the {EVERY} steps from "
        "a checkpoint to the next. Each is killed once (SIGKILL) at a random moment and started "
        "again."
    )
    head = [
        "run", "steps", "killed", "equal to the bit", "steps lost at most",
        "the same run killed five times",
    ]  # fmt: skip
    return {"Exact resume": table(bar, head, [row("points"), row("text")])}


if __name__ == "__main__":
    show(sections())
