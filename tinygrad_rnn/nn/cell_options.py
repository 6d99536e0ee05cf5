"""The options of cells: what there is, what it may be, and the program that comes of it.

No option leaves the kernel: each is a change of the program (``cell_changes``). Rates and
bounds are settings of the program, so that another one needs no other kernel.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from tinygrad_rnn.arguments import bounded, shortened
from tinygrad_rnn.errors import ArgumentError, CellError, TraceError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.rewriting import Change, rewritten
from tinygrad_rnn.nn import cell_changes as changes
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.dropping import dropped
from tinygrad_rnn.nn.functions import Function, check_nonlinearity, nonlinearity_of
from tinygrad_rnn.tensor import Tensor

__all__ = ["CellKeywords", "CellOptions", "dropout_rate"]

ByState = float | Mapping[str, float]


class CellKeywords(TypedDict, total=False):
    """What every cell, and every layer of it, takes besides its own arguments.

    input_dropout      the share of x that is dropped, while training
    recurrent_dropout  the share of the state that its products do not see, while training
    locked             whether what is dropped stays the same over time; None: of the state,
                       not of x
    weight_drop        the share of the weights of recurrent products that are dropped, while
                       training, for a whole sequence (DropConnect)
    zoneout            the share of each state that stays as it was, while training
    layer_norm         True normalises all products and the state c; or names of weights whose
                       products, and of states that, are normalised
    state_clip         the bound of each state, in both directions
    activation         what stands in the place of tanh
    gate_activation    what stands in the place of sigmoid
    proj_size          how wide the first state is made by a projection

    zoneout and state_clip take one number, or one for each state: {"h": 0.05, "c": 0.5}.
    """

    input_dropout: float
    recurrent_dropout: float
    locked: bool | None
    weight_drop: float
    zoneout: ByState
    layer_norm: bool | Sequence[str]
    state_clip: ByState | None
    activation: str | Function | None
    gate_activation: str | Function | None
    proj_size: int | None


class CellOptions:
    """The options of a cell, checked against its equations."""

    def __init__(self, where: str, program: Program, given: Mapping[str, Any]) -> None:
        unknown = [name for name in given if name not in CellKeywords.__annotations__]
        if unknown:
            known = ", ".join(CellKeywords.__annotations__)
            raise TypeError(f"{where}: {unknown[0]!r} is not an option, expected one of {known}.")
        get = given.get
        self.rates = {
            name: dropout_rate(where, name, get(name, 0.0))
            for name in ("input_dropout", "recurrent_dropout", "weight_drop")
        }
        if self.rates["input_dropout"] and program.input is None:
            raise CellError(f"{where}: input_dropout is given, but the cell reads no input.")
        self.locked = get("locked")
        if not (self.locked is None or isinstance(self.locked, bool | np.bool_)):
            raise TypeError(f"{where}: locked is {self.locked!r}, expected True, False or None.")
        states = [name for name, _ in program.states]
        self.zoneout = _by_state(where, "zoneout", get("zoneout", 0.0), states, dropout_rate)
        self.state_clip = _by_state(where, "state_clip", get("state_clip"), states, _bound)
        self.norms = _norms(where, get("layer_norm", False), program)
        self.functions: dict[str, Function] = {}
        for replaced, name in (("tanh", "activation"), ("sigmoid", "gate_activation")):
            if get(name) is not None:
                check_nonlinearity(where, name, get(name))
                self.functions[replaced] = _of_rows(where, name, nonlinearity_of(given[name]))
        proj_size = get("proj_size")
        self.proj_size = None if proj_size is None else check_size(where, "proj_size", proj_size)
        self.dropped_weights = _recurrent_weights(program)
        self.projection = None if self.proj_size is None else changes.Projection(program)

    @property
    def draws(self) -> bool:
        """Whether training needs random numbers."""
        return any(self.rates.values()) or bool(self.zoneout)

    def settings(self) -> dict[str, float]:
        """The numbers that programs ask for by name."""
        found: dict[str, float] = {}
        for name, rate in self.rates.items():
            found |= {name: rate, f"{name}_scale": 1 / (1 - rate)}
        found |= {f"zoneout_{name}": rate for name, rate in self.zoneout.items()}
        return found | {f"clip_{name}": bound for name, bound in self.state_clip.items()}

    def sizes(self) -> dict[str, int]:
        """The sizes of the letters that the options add."""
        if self.projection is None or self.proj_size is None:
            return {}
        return {self.projection.narrow.letter: self.proj_size}

    def applied(
        self,
        program: Program,
        names: Mapping[str, int],
        training: bool,
        output: Callable[..., Any],
    ) -> tuple[Program, dict[str, int]]:
        """The program with the options, and its lines that have names.

        ``output`` is the cell's: what is given out of the new states.
        """
        if self.projects_output:
            assert self.projection is not None
            output = self.projection.output
        for change in self._changes(training):
            program, places = rewritten(program, change, output)
            names = {name: places[line] for name, line in names.items() if places[line] >= 0}
        states = [name for name, _ in program.states]
        return program, dict(names) | dict(zip(states, program.results, strict=True))

    @property
    def projects_output(self) -> bool:
        """Whether what is given out is projected, rather than the state that is carried."""
        return self.projection is not None and not self.projection.carried

    def weights(self, weights: dict[str, Tensor], noise: Noise) -> dict[str, Tensor]:
        """The weights, some of them with elements dropped."""
        rate = self.rates["weight_drop"]
        if not rate:
            return weights
        kept = dict(weights)
        for place, name in enumerate(self.dropped_weights):
            w = kept[name]
            rows, width = w.shape
            numbers = Noise(noise.key).at(changes.WEIGHTS + place, [0], rows, width, w._data)[0]
            kept[name] = dropped(w, rate, numbers)
        return kept

    def _changes(self, training: bool) -> Iterator[Change]:
        if self.functions:
            yield changes.Functions(self.functions)
        if self.projection is not None:
            yield self.projection
        if any(self.norms):
            yield changes.LayerNorm(*self.norms)
        if self.state_clip:
            yield changes.StateClip(self.state_clip)
        if training and self.rates["input_dropout"]:
            yield changes.InputDropout(bool(self.locked))
        if training and self.rates["recurrent_dropout"]:
            yield changes.RecurrentDropout(self.locked is not False)
        if self.zoneout:
            yield changes.Zoneout(self.zoneout, training)


def dropout_rate(where: str, name: str, given: Any) -> float:
    """A share from 0 up to, but not, 1: a multiple of 2^-24, which float32 holds exactly."""
    share = bounded(where, name, given, least=0, below=1)
    return min(math.ceil(share * 2.0**24), 2**24 - 1) * 2.0**-24


def _of_rows(where: str, name: str, function: Function) -> Function:
    """The function; where it is none of rows, the error says which option it is."""

    def of_row(row: Any) -> Any:
        try:
            result = row.tracer.operand(function(row))
            if result.is_comparison:
                raise TraceError("it gives a comparison")
            return result
        except Exception as error:
            raise CellError(
                f"{where}: {name} is {shortened(function)}, expected a function of a row in the "
                f"words of equations, such as ops.softplus: {error}."
            ) from error

    return of_row


def _bound(where: str, name: str, given: Any) -> float:
    """What states are cut off at: a number above 0."""
    return bounded(where, name, given, above=0)


def _by_state(
    where: str, name: str, given: Any, states: list[str], check: Callable[..., float]
) -> dict[str, float]:
    """A number for each state that it is given for; none where it is 0 or None."""
    if given is None:
        return {}
    numbers = dict(given) if isinstance(given, Mapping) else dict.fromkeys(states, given)
    if unknown := [state for state in numbers if state not in states]:
        raise ArgumentError(
            f"{where}: {name} is given for {unknown[0]!r}, expected one of the states "
            f"{', '.join(states)}."
        )
    each = isinstance(given, Mapping)
    checked = {
        state: check(where, f"{name}[{state!r}]" if each else name, value)
        for state, value in numbers.items()
    }
    return {state: value for state, value in checked.items() if value}


def _norms(where: str, given: Any, program: Program) -> tuple[list[str], list[str]]:
    """The weights whose products, and the states that, are normalised: those that a step reads."""
    read = {line for op in program.operations for line in op.args}
    new = zip(program.states, program.results, strict=True)
    read -= {line for line, op in enumerate(program.operations) if op.name == "state"}
    states = [name for (name, _), line in new if line in read]
    weights = [op["weight"] for op in program.operations if op.name == "matmul"]
    weights = list(dict.fromkeys(weights))
    if given is True:
        return weights, [n for n in states if n == "c" != program.states[0][0]]
    if given is False:
        return [], []
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence) or [n for n in names if n not in weights + states]:
        raise ArgumentError(
            f"{where}: layer_norm is {shortened(given)}, expected True, False, or some of "
            f"{', '.join(weights + states)}."
        )
    return [n for n in names if n in weights], [n for n in names if n in states]


def _recurrent_weights(program: Program) -> list[str]:
    """The weights that rows which depend on a state are multiplied with."""
    recurs: set[int] = set()
    found = []
    for line, op in enumerate(program.operations):
        if op.name == "state" or recurs & set(op.args):
            recurs.add(line)
            found += [op["weight"]] if op.name == "matmul" else []
    return list(dict.fromkeys(found))
