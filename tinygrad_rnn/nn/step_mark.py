"""What ready steps were made for, and whether it is still so: asked before each of them."""

from collections.abc import Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Version

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["NO_MARK", "Mark", "mark_of"]

Seen = tuple[Any, str, Parameter, Version, int]  # who holds it, by which name; its version, changes


class Mark(NamedTuple):
    """Cells with program, options and how they are fused; their weights, and what else counts."""

    cells: list[tuple["Cell", Program, Any, Any]]
    weights: list[Seen]
    others: list[Any]

    def holds(self, cells: Sequence["Cell"], others: Sequence[Any]) -> bool:
        """Whether all is as it was."""
        if len(cells) != len(self.cells) or len(others) != len(self.others):
            return False
        if not all(map(is_, others, self.others)):
            return False
        for cell, (known, program, options, fused) in zip(cells, self.cells, strict=True):
            if cell is not known or (cell._traced or cell._trace()) is not program:
                return False
            if cell._options is not options or cell.fused is not fused:
                return False
            if cell.chosen and cell.draws:
                return False
        for owner, name, weight, version, changed in self.weights:
            if owner is not None and getattr(owner, name) is not weight:
                return False
            if version is not weight._version or version.changed != changed:
                return False
        return True


NO_MARK = Mark([], [], [])


def mark_of(cells: Sequence["Cell"], others: Sequence[Any]) -> Mark | None:
    """What holds now; None where cells take the long way.

    others: Whatever else steps are made for; parameters among them must keep their numbers.
    """
    known, weights = [], []
    for cell in cells:
        program = cell._trace()
        if not isinstance(program, Program) or program.sites or not cell.fused or cell.draws:
            return None
        if cell._own_sequence:
            return None
        known.append((cell, program, cell.options, cell.fused))
        weights += [_seen(cell, name, getattr(cell, name)) for name, _ in program.params]
    weights += [_seen(None, "", each) for each in others if isinstance(each, Parameter)]
    return Mark(known, weights, list(others))


def _seen(owner: Any, name: str, weight: Parameter) -> Seen:
    version = weight.shared_version()
    return owner, name, weight, version, version.changed
