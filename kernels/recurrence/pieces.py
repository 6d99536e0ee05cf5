"""A sequence run in pieces, of which only the last leaves more behind than where it started.

Backward runs each other piece again from the states that it started from, to the same bits, and
goes back through it: of what all steps leave behind, only one piece's is there at a time. With
√T pieces of √T steps that and the states between them are smallest together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import add
from typing import Any

from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels._room import empty
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.recurrence.program import Program

__all__ = ["Pieces", "backward", "forward"]


@dataclass
class Pieces:
    """What backward needs of a sequence that has been run in pieces.

    bounds  where pieces begin and end, in the order of time
    starts  the states that each piece starts from, in the order in which they run
    own_restart  whether RESET puts states back to others than the given
    how     what else ``forward`` is given
    last    what the piece that ran last has left for backward
    """

    program: Program
    x: Array | None
    params: Mapping[str, Array]
    bounds: Sequence[tuple[int, int]]
    starts: list[Sequence[Array]]
    own_restart: bool
    how: Mapping[str, Any]
    last: Any = None

    def run(self, bounds: tuple[int, int], states: Sequence[Array]) -> tuple[Any, list[Any], Any]:
        """Run a piece."""
        steps, how = slice(*bounds), dict(self.how)
        mask, noise = how.pop("mask"), how.pop("noise")
        return recurrence.forward(
            self.program, None if self.x is None else self.x[steps], states, self.params,
            steps=steps.stop - steps.start,
            mask=None if mask is None else mask[steps],
            noise=noise and replace(noise, first_step=noise.first_step + steps.start),
            **how,
        )  # fmt: skip


def forward(
    program: Program,
    x: Array | None,
    states: Sequence[Array],
    params: Mapping[str, Array],
    *,
    count: int,
    steps: int,
    mask: Array | None = None,
    restart: Sequence[Array] | None = None,
    noise: Any = None,
    **how: Any,
) -> tuple[Array, list[Array], Pieces]:
    """As ``recurrence.forward``, in ``count`` pieces; y and the final states are copies."""
    again = states if restart is None and mask is not None else restart
    how = {"mask": mask, "restart": again, "noise": noise, **how}
    bounds = list(pairwise(steps * k // count for k in range(count + 1)))
    if how.get("reverse"):
        bounds.reverse()
    run = Pieces(program, x, params, bounds, [], restart is not None, how)
    y, current = None, list(states)
    for first, stop in bounds:
        run.starts.append(current)
        run.last = None  # before the next piece takes memory
        part, finals, run.last = run.run((first, stop), current)
        if y is None:
            y = empty((steps, *part.shape[1:]), part)
        y[first:stop] = part
        current = [state.copy() for state in finals]
    assert y is not None
    return y, current, run


def backward(
    run: Pieces,
    dy: Array | None,
    d_finals: Sequence[Array | None],
    *,
    needs_x: bool,
    needed: set[str],
    needs_states: bool = True,
    by_rows: bool = False,
    sums: dict[str, Array] | None = None,
) -> tuple[Array | None, list[Array], list[Array], dict[str, Array]]:
    """As ``recurrence.backward``."""
    dx = empty(run.x.shape, run.x) if needs_x and run.x is not None else None
    sums = {} if sums is None else sums
    d_states: Any = d_finals
    d_restart: list[Array] = []
    again = run.last
    for (first, stop), states in zip(reversed(run.bounds), reversed(run.starts), strict=True):
        if again is None:
            *_, again = run.run((first, stop), states)
        part, d_states, put_back, sums = recurrence.backward(
            again, None if dy is None else dy[first:stop], d_states,
            needs_x=needs_x, needed=needed, by_rows=by_rows, sums=sums,
        )  # fmt: skip
        again = None
        if dx is not None:
            dx[first:stop] = part
        if put_back:
            d_restart = list(map(add, d_restart, put_back)) if d_restart else put_back
    if not needs_states:
        return dx, [], [], sums
    if d_restart and not run.own_restart:
        d_states = list(map(add, d_states, d_restart))
    return dx, d_states, d_restart if run.own_restart else [], sums
