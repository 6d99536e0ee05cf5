"""The record of a program: every line of it can be had, and the gradient of every line."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.engine import wrap
from tinygrad_rnn.kernels.recurrence.elementwise import ELEMENTWISE
from tinygrad_rnn.kernels.recurrence.program import ONE, Program
from tinygrad_rnn.kernels.recurrence.reference import STEP, lines, needed
from tinygrad_rnn.modes import no_grad, recorded
from tinygrad_rnn.ops.record import Record, gradient_of
from tinygrad_rnn.ops.recurrence import OVER_TENSORS, recurrence
from tinygrad_rnn.tensor import Tensor

__all__ = ["ProgramRecord"]


class ProgramRecord(Record):
    """The steps of a program.

    names    what its lines are called; new states by the names of the states
    program  what has run
    how      its settings and its noise, and whether it was run line by line
    """

    names: Mapping[str, int]
    program: Program
    how: Mapping[str, Any]

    def __init__(self, names: Mapping[str, int]) -> None:
        super().__init__()
        self.names = names

    @property
    def state_names(self) -> list[str]:  # type: ignore[override]
        """The rows that are carried."""
        return [state for state, _ in self.program.states]

    def rows(self, name: str) -> Array:
        """The values of a row; where it is held, of a state what it carries, of others 0."""
        line, kept = self.names[name], self.kept
        states = self.state_names
        if name in states and kept.after is not None:
            return kept.after[states.index(name)]
        found = kept.lines[line] if line in kept.lines else self._computed(line)
        if name in states:
            return self.carried(states.index(name), found)
        return self.where_it_steps(found)

    def before_activation(self, name: str) -> Array:
        """The row that the activation was applied to which gave the named one."""
        line = number = self.names[name]
        while (one := self._made_of_one(number)) is not None:
            number = one
        if number == line:
            raise ValueError(
                f"trace: {name!r} is what {self.program.operations[line].name} gives, expected "
                "what an activation gives: a function of one other row."
            )
        return self.where_it_steps(self._computed(number))

    def gradient(self, name: str) -> Array:
        """The gradient of a row; 0 where it is held."""
        line, (dy, later) = self.names[name], self.gradients()
        after = self._made_with(line)
        ends = [*zip(self.program.results, later, strict=True)]
        ends += [] if dy is None else [(self.program.output, dy)]
        ends = [(end, g) for end, g in ends if end in after]
        with recorded():
            kept = self.kept.lines
            leaf = wrap(kept[line] if line in kept else self._computed(line))
            leaf.requires_grad = True
            known = {**self._known(but=after), line: leaf}
            values = self._values([end for end, _ in ends], known)
            found = gradient_of(leaf, [values[end] for end, _ in ends], [g for _, g in ends])
        found = self.xp.zeros(leaf.shape, self.dtype) if found is None else found
        return self.where_it_steps(found)

    def retention(self, name: str) -> Array:
        """Of a state, its derivative by itself a step before, past all products with weights."""
        index = self.state_names.index(name)
        operations = self.program.operations
        products = {n for n, op in enumerate(operations) if op.name == "matmul"}
        with no_grad():
            held = self._values(sorted(products), self._known(but=set()))
        with recorded():
            old = wrap(self.kept.before[index])
            old.requires_grad = True
            known = {number: held[number] for number in products}
            for number, op in enumerate(operations):
                if op.name == "state" and op["index"] == index:
                    known[number] = old
            new = self._values([self.program.results[index]], known)[self.program.results[index]]
            found = gradient_of(old, [new], [self.xp.ones(old.shape, self.dtype)])
        found = self.xp.zeros(old.shape, self.dtype) if found is None else found
        return found if self.held is None else self.xp.where(self.held, self.dtype.type(1), found)

    def again(self, t: int, weights: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Step t alone: its output (1, B, width) and the states after it."""
        how = dict(self.how)
        if how["noise"] is not None:
            how["noise"] = replace(how["noise"], first_step=how["noise"].first_step + t)
        return recurrence(
            self.program,
            None if self.x is None else wrap(self.x._data[t : t + 1]),
            [wrap(rows[t]) for rows in self.kept.before],
            weights,
            steps=1,
            mask=None if self.mask is None else self.mask[t : t + 1] & STEP,
            **how,
        )

    # ----- lines from others -----

    def _computed(self, line: int) -> Array:
        """The values of a line that was not kept, from those that were."""
        with no_grad():
            value = self._values([line], self._known(but={line}))[line]
        array = value._data if isinstance(value, Tensor) else self.xp.asarray(value)
        width = array.shape[-1] if array.ndim else 1
        return self.xp.broadcast_to(array, (self.T, self.B, width))

    def _known(self, but: set[int]) -> dict[int, Any]:
        """The lines that were kept, except some; x is checked when it is asked for."""
        operations = self.program.operations
        return {
            n: wrap(rows)
            for n, rows in self.kept.lines.items()
            if n not in but and operations[n].name != "input"
        }

    def _values(self, wanted: Sequence[int], known: dict[int, Any]) -> dict[int, Any]:
        """Lines of all steps at once, by what is known."""
        for number in needed(self.program, wanted, known):
            op = self.program.operations[number]
            if op.name == "input":
                self.check(self.x, "x")
                assert self.x is not None
                known[number] = wrap(self.x._data)
            elif op.name == "state":
                known[number] = wrap(self.kept.before[op["index"]])
            elif op.name in ("param", "matmul"):
                self.check(self.weights[op["weight"]], op["weight"])
        given = {"settings": self.how["settings"], "noise": self.how["noise"]}
        with np.errstate(all="ignore"):  # where rows are held, anything may stand
            found: dict[int, Any] = lines(
                self.program, OVER_TENSORS, known, self.weights, wanted, self.dtype, **given
            )
        return found

    def _made_of_one(self, line: int) -> int | None:
        """The row that a line is an element-wise function of, if it is one of no other row."""
        ahead = {line}
        while (last := max(ahead, default=-1)) >= 0:
            op = self.program.operations[last]
            if op.name not in ELEMENTWISE:
                return None
            ahead.remove(last)
            ahead |= {a for a in op.args if self.program.operations[a].width != ONE}
            if len(ahead) == 1:
                return ahead.pop()
        return None

    def _made_with(self, line: int) -> set[int]:
        """The lines that depend on a line, and itself."""
        found = {line}
        for number, op in enumerate(self.program.operations):
            if found & set(op.args):
                found.add(number)
        return found
