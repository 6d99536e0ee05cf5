"""How far ``examples/min_char_rnn.py`` is from a plain NumPy version of it after 1,000 iterations.

    python benchmarks/min_char_rnn.py

Nothing is timed. The NumPy version is ``tests/min_char_rnn_numpy.py``.
"""

import json
import os
import subprocess
import sys

from duel import HERE
from table import show, table

ITERATIONS = 1000

SIDE = """
import json, pydoc_data.topics, sys
from tests.min_char_rnn_numpy import apart, differences, left_alone
from tinygrad_rnn import text
iterations, characters = map(int, sys.argv[1:])
data = "".join(pydoc_data.topics.topics.values())[:characters]
letters = text.Characters.of(data)
of = letters.encode(data), len(letters)
found = [*differences(iterations, *of), apart(100, *of), apart(100, *of, nudge=2**-52)]
found += left_alone(iterations, *of, after=1000)
print(json.dumps([len(data), *found]))
"""


def row(characters: int) -> str:
    """Of the first so many characters of Python's help, read again and again."""
    run = subprocess.run(
        [sys.executable, "-c", SIDE, str(ITERATIONS), str(characters)],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    read, loss, weight, square, ours, nudged, *alone = json.loads(run.stdout.splitlines()[-1])
    return (
        f"| {read:,} | {ITERATIONS:,} | **{loss:.1e}** | {weight:.1e} | {square:.1e} "
        f"| **{alone[0]:.1e}** | {alone[1]:.1e} | {ours} | {nudged} |"
    )


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    bar = (
        "Each iteration beside that of a plain NumPy version with derivatives by hand, in float64, "
        "on Python's own help, from where ours is: the largest difference of the loss as a share "
        "of it, of a weight, of a sum of squares. Bar: 1e-6 of the loss. Then left alone from the "
        "1,000th iteration on, for 1,000 more: the most by which the smooth losses differ, as a "
        "share, and by which those of NumPy differ from its own with weights one rounding apart. "
        "Left alone from the first one on, either pair stays within 1e-6 for as many iterations as "
        "the last columns say: the algorithm's first steps, of 0.1 in every weight, are chaotic."
    )
    head = [
        "characters", "iterations", "loss", "weight", "square", "left alone from 1,000: ours",
        "NumPy", "left alone from 0: ours", "NumPy",
    ]  # fmt: skip
    return {"min-char-rnn": table(bar, head, [row(10**9), row(10_000)])}


if __name__ == "__main__":
    show(sections())
