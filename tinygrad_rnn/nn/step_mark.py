"""What ready steps were made for, and whether it is still so: asked before each of them."""

from collections.abc import Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Version

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["NO_MARK", "Mark", "goes_its_own_way", "mark_of"]

Seen = tuple[str, Parameter, Version, int]  # a weight's name in its cell; its version, changes


class Known(NamedTuple):
    """A cell, which may be whose steps these are: it must not be kept alive by them."""

    cell: "ref[Cell]"
    program: Program
    options: Any
    fused: Any
    weights: list[Seen]


class Mark(NamedTuple):
    """The cells, and what else counts: parameters among that must keep their numbers, too."""

    cells: list[Known]
    others: list[Any]
    weights: list[Seen]

    def holds(self, cells: Sequence["Cell"], others: Sequence[Any]) -> bool:
        """Whether all is as it was."""
        if len(cells) != len(self.cells) or len(others) != len(self.others):
            return False
        if not all(map(is_, others, self.others)):
            return False
        for cell, known in zip(cells, self.cells, strict=True):
            # What is traced and chosen is looked at first: asking takes longer.
            if known.cell() is not cell or (cell._traced or cell._trace()) is not known.program:
                return False
            if cell._options is not known.options or cell.fused is not known.fused:
                return False
            if cell.chosen and cell.draws:
                return False
            for name, weight, version, changed in known.weights:
                if getattr(cell, name) is not weight:
                    return False
                if version is not weight._version or version.changed != changed:
                    return False
        return all(
            version is weight._version and version.changed == changed
            for _, weight, version, changed in self.weights
        )


NO_MARK = Mark([], [], [])


def mark_of(cells: Sequence["Cell"], others: Sequence[Any]) -> Mark | None:
    """What holds now; None where cells take the long way."""
    known = []
    for cell in cells:
        program = cell._trace()
        if not isinstance(program, Program) or program.sites or not cell.fused or cell.draws:
            return None
        if goes_its_own_way(cell):
            return None
        weights = [_seen(name, getattr(cell, name)) for name in program.weights]
        known.append(Known(ref(cell), program, cell.options, cell.fused, weights))
    weights = [_seen("", each) for each in others if isinstance(each, Parameter)]
    return Mark(known, list(others), weights)


def goes_its_own_way(cell: "Cell") -> bool:
    """Whether a cell's class, or somebody for it alone, says itself how it runs a sequence."""
    own = vars(cell)
    return cell._own_sequence or "sequence" in own or "weights" in own or "zero_state" in own


def _seen(name: str, weight: Parameter) -> Seen:
    version = weight.shared_version()
    return name, weight, version, version.changed
