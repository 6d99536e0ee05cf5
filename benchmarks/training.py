"""What ``fit`` costs over a loop of one's own, and what a checkpoint costs.

python benchmarks/training.py
"""

import json
import statistics
import subprocess
import sys

from duel import HERE, short
from sides.training_fit import STEPS
from table import show, table
from together import Together

FIT, CHECKPOINT = HERE / "sides" / "training_fit.py", HERE / "sides" / "checkpoint.py"


def overhead() -> list[str]:
    """Rows: the same steps by fit and by hand, in one process: both are ours."""
    rows = []
    with Together(FIT, FIT, rounds=41, seconds=0.1) as together:
        for size, what in (("words", "LSTM 200, V 1000, (35, 20)"), ("small", "64 → 128 → 10")):
            times = together([f"fit {size}", f"loop {size}"])
            step = times.median(1) / STEPS[size]
            longer = times.ratio(0, 1) - 1
            rows.append(
                f"| {what} | {short(step * 1e3)} | {times.cell(0)} | {times.cell(1)} "
                f"| {longer * step * 1e6:.0f} | **{100 * longer:.1f} %** |"
            )
    head = [
        "an epoch of",
        "a step, ms",
        "fit, ms (best)",
        "by hand, ms (best)",
        "longer a step, µs",
        "and in all",
    ]
    return table("Bar: 2 %.", head, rows)


def checkpoints() -> list[str]:
    """Rows: ten million parameters with Adam's averages."""
    run = subprocess.run(
        [sys.executable, str(CHECKPOINT)], check=True, capture_output=True, text=True
    )
    figures = json.loads(run.stdout)
    rows = [
        f"| {what} | **{statistics.median(times):.2f}** ({min(times):.2f}, {max(times):.2f}) |"
        for what, times in figures.items()
    ]
    bar = "Bar: 0.5 s, and no pause of training beyond it."
    head = ["10 million parameters and Adam's two averages, 120 MB", "s (least, most)"]
    return table(bar, head, rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {"fit over a loop by hand": overhead(), "Checkpoints": checkpoints()}


if __name__ == "__main__":
    show(sections())
