"""A cell as a program: a list of operations over named rows.

A ``Program`` is what everything else starts from: ``tracing`` makes it, ``reference`` runs it
line by line, and ``lowering`` cuts it into products and element-wise segments. It knows
widths only as letters ("4H"), so one program serves all sizes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tinygrad_rnn.errors import TraceError

__all__ = ["ONE", "Operation", "Program", "Width", "parse_width"]


@dataclass(frozen=True, slots=True)
class Width:
    """How wide a row is: ``count`` times the size that ``letter`` stands for; 1 has no letter."""

    count: int
    letter: str

    def __str__(self) -> str:
        if not self.letter:
            return str(self.count)
        return self.letter if self.count == 1 else f"{self.count}{self.letter}"

    def of(self, sizes: Mapping[str, int]) -> int:
        """The width as a number."""
        return self.count * (sizes[self.letter] if self.letter else 1)


ONE = Width(1, "")


def parse_width(text: Any) -> Width:
    """The width that "H" or "4H" or "1" says."""
    match = re.fullmatch(r"(\d*)([A-Z]?)", text) if isinstance(text, str) else None
    if not match or not text or int(match[1] or 1) == 0 or match[2] in ("T", "B"):
        raise TraceError(
            f"{text!r} is not a width: expected a capital letter, as H, or a multiple, as 4H "
            "(T and B are the number of steps and rows)"
        )
    return Width(int(match[1] or 1), match[2])


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of a program: ``args`` are numbers of earlier lines."""

    name: str
    args: tuple[int, ...]
    width: Width
    attrs: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, key: str) -> Any:
        return dict(self.attrs)[key]


@dataclass(frozen=True)
class Program:
    """The equations of a cell as straight-line code over named rows; hashable."""

    operations: tuple[Operation, ...]
    states: tuple[tuple[str, Width], ...]
    params: tuple[tuple[str, tuple[Width, ...]], ...]
    input: Width | None
    results: tuple[int, ...]  # the line of each new state
    output: int  # the line of what a step gives out

    def __hash__(self) -> int:
        # Kernels are looked up by program at every call: hashing all lines takes longer.
        known = self.__dict__.get("_hash")
        if known is None:
            known = hash((self.operations, self.states, self.params, self.results, self.output))
            object.__setattr__(self, "_hash", known)
        return int(known)

    def __getstate__(self) -> dict[str, Any]:
        # The hashes of strings differ from process to process.
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    def __str__(self) -> str:
        return "\n".join(self._line(i) for i in range(len(self.operations)))

    def _line(self, number: int) -> str:
        op = self.operations[number]
        operands = [f"v{i}" for i in op.args] + [f"{k}={v}" for k, v in op.attrs]
        notes = [f"new {self.states[i][0]}" for i, r in enumerate(self.results) if r == number]
        notes += ["output"] if number == self.output else []
        note = f"   # {', '.join(notes)}" if notes else ""
        return f"v{number} ({op.width}) = {op.name} {', '.join(operands)}".rstrip() + note

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters of all widths, in the order in which they appear."""
        widths = [w for _, w in self.states] + ([self.input] if self.input else [])
        widths += [w for _, shape in self.params for w in shape]
        return tuple(dict.fromkeys(w.letter for w in widths if w.letter))

    # These are asked for at every call.
    @cached_property
    def weights(self) -> list[str]:
        """The names of the weights."""
        return [name for name, _ in self.params]

    @cached_property
    def settings(self) -> list[str]:
        """The names of the numbers that come with a call."""
        return list(dict.fromkeys(op["name"] for op in self.operations if op.name == "setting"))

    @cached_property
    def sites(self) -> dict[int, bool]:
        """The places of noise, and whether each gives the same numbers at all steps."""
        return {op["site"]: op["locked"] for op in self.operations if op.name == "noise"}

    def reached(self) -> list[int]:
        """The lines that a new state or the output depends on, in order."""
        found: set[int] = set()
        ahead = [*self.results, self.output]
        while ahead:
            number = ahead.pop()
            if number not in found:
                found.add(number)
                ahead += self.operations[number].args
        return sorted(found)

    def unused_params(self) -> list[str]:
        """Weights that no new state and no output depends on."""
        lines = [self.operations[n] for n in self.reached()]
        used = {value for op in lines for key, value in op.attrs if key == "weight"}
        return [name for name in self.weights if name not in used]
