"""Runs benchmarks and writes their tables into RESULTS.md, with machine and versions.

    python benchmarks/run.py                 all of them
    python benchmarks/run.py engine matmul   only these; the other tables stay as they are
    python benchmarks/run.py gpu             on a machine with a GPU; not among all of them
    python benchmarks/run.py --on "an AMD EPYC" recurrent
                                             beside those of the machine that the others are of

TINYGRAD_PEER_PYTHON names an interpreter that has PyTorch, if this one has none; TINYGRAD_DATA
the folder of the data that some of them read; TINYGRAD_MULTI30K that of the runs of multi30k.py,
TINYGRAD_MULTI30K_GERMAN that of multi30k_german.py, TINYGRAD_CAPTIONING that of captioning.py,
TINYGRAD_VIDEO that of video.py, TINYGRAD_MOTION that of motion.py, TINYGRAD_MEMORY that of
memory.py, TINYGRAD_JSB that of jsb.py, TINYGRAD_SENTIMENT that of sentiment.py, TINYGRAD_EASY_VQA
that of easy_vqa.py, TINYGRAD_NLVR that of nlvr.py, TINYGRAD_QUESTIONS that of questions.py,
TINYGRAD_NAVIGATE that of navigate.py.
"""

import argparse
import datetime
import importlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from duel import peer_python

RESULTS = Path(__file__).with_name("RESULTS.md")
ALL = [
    "engine",
    "matmul",
    "recurrent",
    "cells",
    "generation",
    "decoding",
    "optim",
    "limits",
    "options",
    "attention",
    "layers",
    "convolution",
    "loader",
    "round_trips",
    "startup",
    "broken_files",
    "resume",
    "ngram",
    "min_char_rnn",
    "training",
    "char_rnn",
    "nanogpt_split",
    "multi30k",
    "multi30k_german",
    "captioning",
    "video",
    "motion",
    "memory",
    "jsb",
    "sentiment",
    "easy_vqa",
    "nlvr",
    "questions",
    "navigate",
]
HEAD = """# Measured

Where two sides are compared, they are processes that take turns on the same machine, and the
ratio is the median over neighbours in time; "times as fast" above 1 means that we are faster.
Times are medians, the best in brackets. A bar is what a table's bold figures have to reach.
`make bench` writes this file; `benchmarks/duel.py` says how a duel runs.
"""


def _version(python: str, module: str) -> str:
    code = f"import {module}; print({module}.__version__)"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return run.stdout.strip() or "not found"


def machine() -> str:
    """One line on what the figures were measured with."""
    text = Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    model = re.search(r"model name\s*: (.*)", text)
    flags = [f for f in ("avx512f", "avx2", "asimd") if re.search(rf"\b{f}\b", text)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{model[1] if model else platform.machine()}, {cores} cores, {flags[0] if flags else ''}, "
        f"Python {platform.python_version()}, NumPy {_version(sys.executable, 'numpy')}, "
        f"Numba {_version(sys.executable, 'numba')}, PyTorch {_version(peer_python(), 'torch')}"
    )


def main(names: list[str], another: str | None = None) -> None:
    """Run, and replace the tables of what was run, here or on another machine."""
    text = RESULTS.read_text() if RESULTS.exists() else HEAD
    parts = [part.strip() for part in re.split(r"(?m)^(?=## )", text)]
    kept = {part.splitlines()[0][3:]: part for part in parts[1:]}
    setting = f"{datetime.date.today()} · {machine()}"
    for name in names:
        sys.path.insert(0, str(RESULTS.parent))  # before what a benchmark put there: examples
        for title, lines in importlib.import_module(name).sections().items():
            title = f"{title}, on {another}" if another else title
            kept[title] = "\n".join([f"## {title}", "", setting, "", *lines])
            RESULTS.write_text("\n\n".join([HEAD.strip(), *kept.values()]) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="benchmarks; all of them, if none is named")
    parser.add_argument("--on", metavar="MACHINE", help="what this one is called in their titles")
    given = parser.parse_args()
    main(given.names or ALL, given.on)
