"""What of some data cannot be used, and why."""

from collections import Counter
from collections.abc import Iterator

__all__ = ["LeftOut"]

_NAMED = 3  # of each reason; all are in ``names``


class LeftOut:
    """Names of what was left out, by reason; as a text a line for each reason.

        if found.left_out:
            print(found.left_out)

    names   {"cannot be read": {"a.jpg": "image file is truncated"}, ...}
    counts  how many of each reason, for of one name there may be several
    """

    def __init__(self) -> None:
        self.names: dict[str, dict[str, str]] = {}
        self.counts: Counter[str] = Counter()

    def add(self, reason: str, name: str, detail: str = "", count: int = 1) -> None:
        """Note one, or several of one name."""
        self.names.setdefault(reason, {}).setdefault(name, detail)
        self.counts[reason] += count

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[str]:
        """All names, each once."""
        return iter(dict.fromkeys(name for of_reason in self.names.values() for name in of_reason))

    def __str__(self) -> str:
        lines = []
        for reason, names in self.names.items():
            shown = [f"{n} ({told})" if told else n for n, told in list(names.items())[:_NAMED]]
            more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
            lines.append(f"{reason}, {self.counts[reason]}: {', '.join(shown + more)}")
        return "\n".join(lines) if lines else "nothing was left out"

    def __repr__(self) -> str:
        return f"<LeftOut of {len(self)}>"
