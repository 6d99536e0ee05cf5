"""How soon a new process has its first result, and how many kernels it compiles.

python benchmarks/startup.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from duel import HERE, peer_python
from table import show, table

# The whole life of a process: Python, the imports, one training step.
FIRST_STEP = """
import {0} as library
from {0} import nn
y, _ = nn.LSTM(200, 200)(library.randn(35, 20, 200))
y.sum().backward()
"""


def first_step(library: str, python: str = sys.executable, cache: str | None = None) -> float:
    """Seconds from starting a process to its end."""
    environment = dict(os.environ) if cache is None else os.environ | {"TINYGRAD_CACHE_DIR": cache}
    begin = time.perf_counter()
    subprocess.run(
        [python, "-c", FIRST_STEP.format(library)], env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - begin


def first_result(colds: int = 2, warms: int = 7) -> list[str]:
    """Rows: an LSTM's first training step, with nothing compiled yet and with all of it."""
    cold, warm, peer = [], [], []
    for _ in range(colds):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(first_step("tinygrad_rnn", cache=cache))
            if len(cold) < colds:
                continue
            for _ in range(warms):
                warm.append(first_step("tinygrad_rnn", cache=cache))
                peer.append(first_step("torch", peer_python()))
    rows = [
        f"| {name} | **{statistics.median(times):.2f}** ({min(times):.2f}) |"
        for name, times in (("cold cache", cold), ("warm cache", warm), ("PyTorch", peer))
    ]
    bar = "Bars: 15 s with a cold cache, 2 s with a warm one."
    return table(bar, ["LSTM 35 20 200, first training step", "s (best)"], rows)


def kernels() -> list[str]:
    """Rows: functions compiled for a layer after one size and after twenty."""
    run = subprocess.run(
        [sys.executable, str(HERE / "sides" / "compiled.py")],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [f"| {' | '.join(map(str, line))} |" for line in json.loads(run.stdout)]
    bar = "Bar: one forward and one backward for a program and a type, whatever the size."
    return table(bar, ["program", "type", "after one size", "after twenty"], rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "Time to the first result": first_result(),
        "Compiled kernels": kernels(),
    }


if __name__ == "__main__":
    show(sections())
