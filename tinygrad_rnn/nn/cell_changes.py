"""What the options of cells do to a program: each one a small change of some of its rows.

In words of rows, as a cell's own equations are; ``rewritten`` finds the places.
"""

from collections.abc import Collection, Mapping
from typing import Any

from tinygrad_rnn.errors import CellError
from tinygrad_rnn.kernels.recurrence.program import Program, Width
from tinygrad_rnn.kernels.recurrence.rewriting import Change
from tinygrad_rnn.nn.functions import Function

__all__ = [
    "Functions", "InputDropout", "LayerNorm", "Projection", "RecurrentDropout", "StateClip",
    "Zoneout",
]  # fmt: skip

# Where noise is used; operands of products, states and weights are numbered from these on.
INPUT, OPERANDS, STATES, WEIGHTS = 0, 100, 200, 300
EPSILON = 1e-5  # that layer normalisation adds to the variance

Declared = tuple[tuple[str, tuple[Width, ...]], ...]
Row = Any  # a symbol, whose operators write lines


class Functions(Change):
    """Other functions in the place of tanh, sigmoid, ..."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions

    def function(self, name: str, row: Row) -> Any:
        """The function that stands for the named one."""
        return self.functions[name](row) if name in self.functions else row.apply(name, row)


class _Dropout(Change):
    """A share of a row is 0, and the rest grows by as much."""

    name: str

    def __init__(self, locked: bool) -> None:
        self.locked = locked

    def dropped(self, row: Row, site: int) -> Row:
        """The row, as noise has left it."""
        numbers: Row = self.tracer.noise(row, site, locked=self.locked)
        gone = numbers < self.tracer.setting(self.name)
        return row.apply("where", gone, 0.0, row * self.tracer.setting(f"{self.name}_scale"))


class InputDropout(_Dropout):
    """Dropout of x."""

    name = "input_dropout"

    def input(self, row: Row) -> Row:
        """x, as noise has left it."""
        return self.dropped(row, INPUT)


class RecurrentDropout(_Dropout):
    """Dropout of what is multiplied with weights, where it comes from the step before."""

    name = "recurrent_dropout"

    def __init__(self, locked: bool) -> None:
        super().__init__(locked)
        self.sites: dict[int, int] = {}

    def operand(self, row: Row, weight: str) -> Row:
        """The row, as noise has left it: alike for all of its products."""
        if weight == Projection.weight:
            return row
        site = self.sites.setdefault(row.number, OPERANDS + len(self.sites))
        return self.dropped(row, site)


class Zoneout(Change):
    """A share of each state stays as it was (Krueger et al. 2016); on average, once trained."""

    def __init__(self, states: Mapping[str, float], training: bool) -> None:
        self.names = list(states)
        self.training = training

    def state(self, name: str, old: Row, new: Row) -> tuple[Row, Row]:
        """Some of the old, and the rest of the new; the step itself goes on with the new."""
        if name not in self.names:
            return new, new
        rate: Row = self.tracer.setting(f"zoneout_{name}")
        if not self.training:
            return rate * old + (1 - rate) * new, new
        numbers: Row = self.tracer.noise(new, STATES + self.names.index(name), locked=False)
        return new.apply("where", numbers < rate, old, new), new


class StateClip(Change):
    """States that stay between two bounds."""

    def __init__(self, states: Collection[str]) -> None:
        self.names = states

    def state(self, name: str, old: Row, new: Row) -> tuple[Row, Row]:
        """The new state within its bounds, for this step, too."""
        if name not in self.names:
            return new, new
        bound: Row = self.tracer.setting(f"clip_{name}")
        clipped = new.apply("maximum", new.apply("minimum", new, bound), -bound)
        return clipped, clipped


class LayerNorm(Change):
    """Rows of mean 0 and variance 1, times a gain (Ba et al. 2016): products, and what a step
    reads of its new states. States are carried as they are."""

    def __init__(self, weights: Collection[str], states: Collection[str]) -> None:
        self.weights = weights
        self.states = states

    def declared(self, program: Program) -> tuple[Any, Declared]:
        """A gain for each, and a shift where no bias of the cell follows."""
        shapes = dict(program.params)
        added: dict[str, tuple[Width, ...]] = {}
        for name in self.weights:
            added[f"gain_{name}"] = (shapes[name][1],)
        for name, width in program.states:
            if name in self.states:
                added |= {f"gain_{name}": (width,), f"shift_{name}": (width,)}
        return program.states, _with(program.params, added, "layer_norm")

    def normal(self, row: Row, name: str) -> Row:
        """The row, normalised, times its gain."""
        return row.apply("standardize", row, eps=EPSILON) * self.tracer.weight(f"gain_{name}")

    def product(self, row: Row, weight: str) -> Row:
        """The product, normalised."""
        return self.normal(row, weight) if weight in self.weights else row

    def state(self, name: str, old: Row, new: Row) -> tuple[Row, Row]:
        """The new state as it is, and normalised for the rest of the step."""
        if name not in self.states:
            return new, new
        return new, self.normal(new, name) + self.tracer.weight(f"shift_{name}")


class Projection(Change):
    """The first state is multiplied with a narrow matrix before it recurs and is given out
    (Sak et al. 2014). Where a cell uses that state for products alone, as the LSTM does, the
    narrow row is the state itself."""

    weight = "w_proj"

    def __init__(self, program: Program) -> None:
        name, width = program.states[0]
        line = next(n for n, op in enumerate(program.operations) if _is_state(op, 0))
        users = [op for op in program.operations if line in op.args]
        self.carried = line not in program.results and all(op.name == "matmul" for op in users)
        self.name, self.line, self.wide = name, line, width
        self.narrow = Width(1, next(c for c in "PQRSUVWXYZ" if c not in program.letters))
        self.weights = {op["weight"] for op in users if op.name == "matmul"}

    def declared(self, program: Program) -> tuple[Any, Declared]:
        """Weights of the first state that are as high as the row is narrow, and one more."""
        params = tuple(
            (name, (self.narrow, *shape[1:]) if name in self.weights else shape)
            for name, shape in program.params
        )
        first = (self.name, self.narrow if self.carried else self.wide)
        added = {self.weight: (self.wide, self.narrow)}
        return (first, *program.states[1:]), _with(params, added, "proj_size")

    def narrowed(self, row: Row) -> Row:
        """The row, projected."""
        return row.tracer.line("matmul", (row.number,), self.narrow, weight=self.weight)

    def output(self, *states: Row) -> Row:
        """What is given out where the state itself is wide."""
        return self.narrowed(states[0])

    def operand(self, row: Row, weight: str) -> Row:
        """The projected state, where the state itself is wide."""
        wide = not self.carried and weight in self.weights
        return self.narrowed(row) if wide else row

    def state(self, name: str, old: Row, new: Row) -> tuple[Row, Row]:
        """The projected state, where it is what is carried."""
        return (self.narrowed(new) if self.carried and name == self.name else new), new


def _with(params: Declared, added: Mapping[str, tuple[Width, ...]], option: str) -> Declared:
    """The weights of a cell, and those that an option adds."""
    if taken := sorted(added.keys() & dict(params).keys()):
        raise CellError(
            f"{option} adds a weight {taken[0]!r}, but the cell has one of that name, expected the "
            "cell's own to be called otherwise."
        )
    return (*params, *added.items())


def _is_state(operation: Any, index: int) -> bool:
    return bool(operation.name == "state" and operation["index"] == index)
