"""Several cases of ours and of PyTorch in turns.

Ours stand in one process, so that a hundredth between two of them can be told: what differs from
process to process (where memory lies, which core was given) is the same for both. Of PyTorch's
each has its own: there a large layer takes up to a half longer once another has been run.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duel import WARM_UP, Side, Turn, peer_python, short, turn

KEEP = 100  # cases: all of them


@dataclass(frozen=True)
class Times:
    """Seconds of the same cases in the same rounds, a list for each case."""

    rounds: list[list[float]]

    def median(self, case: int) -> float:
        return statistics.median(self.rounds[case])

    def cell(self, case: int) -> str:
        """Milliseconds for a table: the median, and the best."""
        return f"{short(self.median(case) * 1e3)} ({short(min(self.rounds[case]) * 1e3)})"

    def ratio(self, case: int, base: int) -> float:
        """The median over rounds of a case's time over another's."""
        pairs = zip(self.rounds[case], self.rounds[base], strict=True)
        return statistics.median(a / b for a, b in pairs)


class Together:
    """Cases of ours and of PyTorch, prepared once, for as many calls as they are met in."""

    def __init__(self, ours: Path, peer: Path, rounds: int, seconds: float = 0.1) -> None:
        self.ours, self.peer = ours, peer
        self.rounds, self.seconds = rounds, seconds

    def __enter__(self) -> "Together":
        self.sides = [Side(self.ours, sys.executable, keep=KEEP)]
        self.turns: dict[tuple[Path, str], Turn] = {}
        return self

    def __exit__(self, *_: object) -> None:
        for side in self.sides:
            side.close()

    def __call__(self, ours: Sequence[str], peer: Sequence[str] = ()) -> Times:
        """Times of ours, then of PyTorch's."""
        asked = [(self.ours, name) for name in ours] + [(self.peer, name) for name in peer]
        for file, name in asked:
            if (file, name) not in self.turns:
                self.turns[file, name] = self._prepared(file, name)
        rounds = [[self._taken(case) for case in asked] for _ in range(self.rounds)]
        return Times([list(column) for column in zip(*rounds, strict=True)])

    def _taken(self, case: tuple[Path, str]) -> float:
        """Seconds, after a call that is not counted: the first behind the other library is slow."""
        taken = self.turns[case]
        taken.side.run(taken.name, 1)
        return taken()

    def _prepared(self, file: Path, name: str) -> Turn:
        if file == self.ours:
            return turn(self.sides[0], name, self.seconds, 0 if self.turns else WARM_UP)
        self.sides.append(Side(file, peer_python()))
        return turn(self.sides[-1], name, self.seconds, WARM_UP)
