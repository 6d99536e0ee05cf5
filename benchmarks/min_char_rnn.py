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
from tests.min_char_rnn_numpy import apart, differences
from tinygrad_rnn import text
iterations, characters = map(int, sys.argv[1:])
data = "".join(pydoc_data.topics.topics.values())[:characters]
letters = text.Characters.of(data)
of = letters.encode(data), len(letters)
found = [*differences(iterations, *of), apart(100, *of), apart(100, *of, nudge=2**-52)]
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
    read, loss, weight, square, ours, nudged = json.loads(run.stdout.splitlines()[-1])
    return (
        f"| {read:,} | {ITERATIONS:,} | **{loss:.1e}** | {weight:.1e} | {square:.1e} "
        f"| {ours} | {nudged} |"
    )


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    bar = (
        "Each iteration beside that of a plain NumPy version with derivatives by hand, in float64, "
        "on Python's own help, from where ours is: the largest difference of the loss as a share "
        "of it, of a weight, of a sum of squares. Bar: 1e-6 of the loss. Left alone, runs stay "
        "within 1e-6 of each other's smooth loss for as many iterations as the last two columns "
        "say, the last one those of NumPy alone, with weights one rounding apart: the algorithm's "
        "first steps are chaotic."
    )
    head = [
        "characters", "iterations", "loss", "weight", "square", "NumPy and ours",
        "NumPy and NumPy",
    ]  # fmt: skip
    return {"min-char-rnn": table(bar, head, [row(10**9), row(10_000)])}


if __name__ == "__main__":
    show(sections())
