"""Runs that are killed at random moments and started again."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

RUN = Path(__file__).with_name("sides") / "resumed.py"


def _started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(RUN), str(folder), *words])


def _lines(folder: Path) -> list[str]:
    path = folder / "steps"
    return path.read_text().splitlines() if path.exists() else []


def _last(folder: Path) -> int:
    """The last step."""
    return int(([line for line in _lines(folder) if line.isdecimal()] or [0])[-1])


def undisturbed(folder: Path, *words: str) -> tuple[str, int]:
    """What a run comes to that is never killed, and how many steps it has."""
    folder.mkdir()
    if _started(folder, *words).wait():
        raise RuntimeError("the run failed")
    return (folder / "digest").read_text(), _last(folder)


def killed(folder: Path, moments: list[float], *words: str) -> tuple[str, list[int]]:
    """Kill a run a little after each of some steps, start it again, and let it end at last.

    What it comes to, and how many steps each kill has cost.
    """
    folder.mkdir()
    for moment in moments:
        process = _started(folder, *words)
        while _last(folder) < int(moment) and process.poll() is None:
            pass
        time.sleep(moment % 1 / 100)  # some steps and checkpoints are shorter, some longer
        process.kill()
        if process.wait() != -signal.SIGKILL:
            raise RuntimeError("the run ended before it could be killed")
    if _started(folder, *words).wait():
        raise RuntimeError("a run that was killed did not go on")
    lost, last = [], 0
    for line in _lines(folder):
        if line.startswith("from"):
            lost.append(last - int(line.split()[1]))
        else:
            last = int(line)
    return (folder / "digest").read_text(), lost[1:]


def moments(count: int, steps: int, seed: int) -> list[float]:
    """Random moments of a run, in steps; none twice the same step, in order."""
    chance = random.Random(seed)
    return [step + chance.random() for step in sorted(chance.sample(range(1, steps - 15), count))]
