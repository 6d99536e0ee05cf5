"""Two sides in turns, each in a process of its own.

A side is a Python file with ``case(name) -> callable``: the callable does the work once.
One process computes at a time, so neither side's threads disturb the other's; rates on a
shared machine drift, so a figure is the median of the ratios of neighbours in time.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
WARM_UP = 1.5  # seconds: PyTorch's first second with an LSTM is two to three times as slow


def short(number: float) -> str:
    """Three digits, without an exponent."""
    return f"{number:.3g}" if number < 1000 else f"{number:.0f}"


@dataclass(frozen=True)
class Result:
    """What one case took: seconds of the best and the median run, and how ours compares."""

    case: str
    ours: float
    peer: float
    ours_best: float
    peer_best: float
    ratio: float  # time of the peer over ours, median over rounds: above 1 we are faster

    def times(self, unit: float = 1e3) -> str:
        """Both sides' cells of a table; ``unit`` turns seconds into what the header says."""
        left = f"{short(self.ours * unit)} ({short(self.ours_best * unit)})"
        return f"{left} | {short(self.peer * unit)} ({short(self.peer_best * unit)})"

    def row(self, unit: float = 1e3) -> str:
        """A row of a Markdown table."""
        return f"| {self.case} | {self.times(unit)} | **{self.ratio:.2f}** |"


class Side:
    """A process that runs cases of one file when asked to, and keeps the last few prepared."""

    def __init__(
        self,
        file: Path,
        python: str,
        environment: dict[str, str] | None = None,
        rest: float = 0.0,
        keep: int = 1,
    ) -> None:
        self.file = file
        self.rest = rest
        self.process = subprocess.Popen(
            [python, str(HERE / "duel.py"), str(file), str(keep)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def run(self, case: str, times: int) -> float:
        """Seconds a call of the case, over ``times`` calls."""
        assert self.process.stdin
        assert self.process.stdout
        time.sleep(self.rest)
        self.process.stdin.write(json.dumps({"case": case, "times": times}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.file.name}: the process died in case {case!r}")
        return float(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def peer_python() -> str:
    """The interpreter that has PyTorch: TINYGRAD_PEER_PYTHON, or this one."""
    return os.environ.get("TINYGRAD_PEER_PYTHON", sys.executable)


def duel(
    cases: Sequence[str | tuple[str, str]],
    ours: Path,
    peer: Path,
    *,
    rounds: int = 15,
    seconds: float = 0.1,
    rest: float = 0.0,
    python: str | None = None,
    environment: dict[str, str] | None = None,
) -> list[Result]:
    """Run every case in turns; a turn takes about ``seconds`` a side.

    A case is a name that both sides know, or a pair where they do different things. ``rest``
    is the pause before each turn: a peer whose threads spin after their work would slow the
    other side.
    """
    sides = [
        Side(ours, sys.executable, environment, rest),
        Side(peer, python or peer_python(), environment, rest),
    ]
    results = []
    try:
        for case in cases:
            names = (case, case) if isinstance(case, str) else case
            turns = [
                turn(side, name, seconds, warm_up=0 if results else WARM_UP)
                for side, name in zip(sides, names, strict=True)
            ]
            pairs = [[take() for take in turns] for _ in range(rounds)]
            left, right = zip(*pairs, strict=True)
            results.append(
                Result(
                    names[0],
                    statistics.median(left),
                    statistics.median(right),
                    min(left),
                    min(right),
                    statistics.median(b / a for a, b in pairs),
                )
            )
            print(results[-1].row(), flush=True)
    finally:
        for side in sides:
            side.close()
    return results


@dataclass(frozen=True)
class Turn:
    """So many calls of a case."""

    side: Side
    name: str
    times: int

    def __call__(self) -> float:
        """Seconds a call."""
        return self.side.run(self.name, self.times)


def turn(side: Side, name: str, seconds: float, warm_up: float = 0) -> Turn:
    """A side's turn of about ``seconds`` with a case that has been run before."""
    side.run(name, 2)  # compile, allocate
    side.run(name, 1 + round(warm_up / side.run(name, 1)))
    return Turn(side, name, max(1, min(10_000, round(seconds / side.run(name, 1)))))


def _serve(file: str, keep: int) -> None:
    """The other end of Side: load the file, run what is asked for."""
    namespace: dict[str, object] = {"__name__": "side", "__file__": file}
    exec(compile(Path(file).read_text(), file, "exec"), namespace)
    prepare = lru_cache(maxsize=keep)(namespace["case"])  # type: ignore[arg-type]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a case prints must not mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        work = prepare(request["case"])
        begin = time.perf_counter()
        for _ in range(request["times"]):
            work()
        answers.write(json.dumps((time.perf_counter() - begin) / request["times"]) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
