"""What a run has come to: a record for each epoch, and the means of the one that goes on."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["History", "Means"]


class History:
    """What ``fit`` returns: a record for each epoch, and how it ended.

    ``history["loss"]`` are the values of all epochs. ``interrupted`` says that Ctrl-C ended it,
    ``stopped`` why a callback did, or None.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.interrupted = False
        self.stopped: str | None = None

    def __getitem__(self, name: str) -> list[Any]:
        found = [logs[name] for logs in self.epochs if name in logs]
        if not found:
            known = dict.fromkeys(key for logs in self.epochs for key in logs)
            raise KeyError(f"{name!r} is in no epoch, expected one of {', '.join(known)}")
        return found

    def __repr__(self) -> str:
        last = self.epochs[-1] if self.epochs else {}
        values = ", ".join(f"{k}={v:.4g}" for k, v in last.items() if isinstance(v, float))
        return f"History({len(self.epochs)} epochs{': ' + values if values else ''})"


class Means:
    """Means of the values of batches, each of its weight."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}

    def add(self, values: Mapping[str, float], weight: float) -> None:
        """Take the values of a batch in."""
        for name, value in values.items():
            pair = self.sums.setdefault(name, [0.0, 0.0])
            pair[0] += value * weight
            pair[1] += weight

    def take(self, outcomes: Iterable[Any]) -> None:
        """Take in what batches came to, in their order."""
        for outcome in outcomes:
            self.add(outcome.values, outcome.weight)

    def values(self) -> dict[str, float]:
        """The means so far."""
        return {name: total / weight for name, (total, weight) in self.sums.items() if weight}
