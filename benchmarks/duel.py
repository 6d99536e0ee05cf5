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
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Result:
    """What one case took: seconds of the best and the median run, and how ours compares."""

    case: str
    ours: float
    peer: float
    ours_best: float
    peer_best: float
    ratio: float  # time of the peer over ours, median over rounds: above 1 we are faster

    def row(self, unit: float = 1e3) -> str:
        """A row of a Markdown table; ``unit`` turns seconds into what the header says."""
        return (
            f"| {self.case} | {self.ours * unit:.3g} ({self.ours_best * unit:.3g}) "
            f"| {self.peer * unit:.3g} ({self.peer_best * unit:.3g}) | **{self.ratio:.2f}** |"
        )


class Side:
    """A process that runs cases of one file when asked to."""

    def __init__(
        self,
        file: Path,
        python: str,
        environment: dict[str, str] | None = None,
        rest: float = 0.0,
    ) -> None:
        self.file = file
        self.rest = rest
        self.process = subprocess.Popen(
            [python, str(HERE / "duel.py"), str(file)],
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
    cases: list[str],
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

    ``rest`` is the pause before each turn: a peer whose threads spin after their work
    would slow the other side.
    """
    sides = [
        Side(ours, sys.executable, environment, rest),
        Side(peer, python or peer_python(), environment, rest),
    ]
    results = []
    try:
        for case in cases:
            times = []
            for side in sides:
                side.run(case, 2)  # compile, allocate, warm up
                times.append(max(1, min(10_000, round(seconds / max(side.run(case, 1), 1e-9)))))
            pairs = [
                [s.run(case, n) for s, n in zip(sides, times, strict=True)] for _ in range(rounds)
            ]
            left, right = zip(*pairs, strict=True)
            results.append(
                Result(
                    case,
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


def _serve(file: str) -> None:
    """The other end of Side: load the file, run what is asked for."""
    namespace: dict[str, object] = {"__name__": "side", "__file__": file}
    exec(compile(Path(file).read_text(), file, "exec"), namespace)
    prepared: dict[str, object] = {}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a case prints must not mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        name = request["case"]
        if name not in prepared:
            prepared = {name: namespace["case"](name)}  # type: ignore[operator]
        work = prepared[name]
        begin = time.perf_counter()
        for _ in range(request["times"]):
            work()  # type: ignore[operator]
        answers.write(json.dumps((time.perf_counter() - begin) / request["times"]) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
