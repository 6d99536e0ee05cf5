"""A cell called for one step: what it is given, checked, and the new state.

Where nothing is recorded and a step is ready, checks would take as long as all else around the
kernel. What is right by its looks goes straight to that step, which takes only what it was made
for. The rest is checked first, and goes there then, or the long way: as a sequence of one step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.engine import wrap
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.modes import recording
from tinygrad_rnn.nn.checks import check_like
from tinygrad_rnn.nn.stepping import stepper_of
from tinygrad_rnn.tensor import Tensor, as_tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["State", "one_step"]

State = Tensor | tuple[Tensor, ...]


def one_step(cell: "Cell", x: Any, state: Any, noise: Noise | None = None) -> State:
    """x (B, I) or (I) and the state -> the new state; no state means zeros."""
    quick = noise is None and recording.get() is False and cell.input is not None
    if quick and _looks_right(x, state):
        new = _quickly(cell, x, state if state.__class__ is tuple else (state,))
        if new is not None:
            return new[0] if len(new) == 1 else tuple(new)
        quick = False  # one try is enough: the second one would be that of the next call
    if cell.input is None:
        x, state = None, x if state is None else state
    x = None if x is None else as_tensor(x)
    if x is None and cell.input is not None:
        raise ShapeError(f"{type(cell).__name__}: x is missing.")
    states = None if state is None else _as_states(cell, state)
    batched = (x.ndim if x is not None else states[0].ndim if states else 1) != 1
    _check(cell, x, states, batched)
    if not batched:
        x = x if x is None else x.reshape(1, -1)
        states = states and [s.reshape(1, -1) for s in states]
    if states is None:
        states = cell.zero_state(1 if x is None else x.shape[0], None if x is None else x.dtype)
    new = _quickly(cell, x, states) if quick else None
    if new is None:
        x = x if x is None else x.reshape(1, *x.shape)
        _, new = cell.sequence(x, states, steps=1, noise=noise)
    if not batched:
        new = [s.reshape(-1) for s in new]
    return new[0] if len(new) == 1 else tuple(new)


def _looks_right(x: Any, state: Any) -> bool:
    """Whether these are Tensors; how many and how wide they are is for the step to compare."""
    states = state if state.__class__ is tuple else (state,)
    if x.__class__ is not Tensor or not x._data.ndim or not states:
        return False
    return all(s.__class__ is Tensor for s in states)


def _quickly(cell: "Cell", x: Any, states: Sequence[Tensor]) -> list[Tensor] | None:
    """The new states by a step that is ready, or None where there is none for what is given."""
    rows, arrays = x._data, [s._data for s in states]
    batched = rows.ndim != 1
    if not batched:
        rows, arrays = rows[None], [array[None] for array in arrays]
    found = stepper_of(cell).states((cell,), rows, (arrays,))
    return None if found is None else [wrap(s if batched else s[0]) for s in found[0]]


def _as_states(cell: "Cell", state: Any) -> list[Tensor]:
    """A state as it is given, bare or several in a tuple, as a list of Tensors."""
    names = list(cell.state_sizes)
    given = list(state) if isinstance(state, tuple | list) else [state]
    if len(given) != len(names):
        raise ShapeError(
            f"{type(cell).__name__}: given {len(given)} states, expected {len(names)}: "
            f"{', '.join(names)}."
        )
    if any(s is None for s in given):
        raise ShapeError(f"{type(cell).__name__}: a state is None, expected rows as those of x.")
    return [as_tensor(s) for s in given]


def _check(cell: "Cell", x: Tensor | None, states: list[Tensor] | None, batched: bool) -> None:
    where, weight = type(cell).__name__, cell.any_weight()
    rows: tuple[int, ...] = ()
    if x is not None:
        check_like(where, "x", x, weight)
        rows = x.shape[:-1]
        if x.ndim not in (1, 2) or x.shape[-1] != cell.input_size:
            raise ShapeError(
                f"{where}: x has shape {x.shape}, expected (B, {cell.input_size}) or "
                f"({cell.input_size},): one step; for sequences there is nn.Recurrent."
            )
    elif states:
        rows = states[0].shape[:-1][:1]
    for (name, size), s in zip(cell.state_sizes.items(), states or (), strict=False):
        check_like(where, name, s, weight)
        if s.shape != (*rows, size):
            raise ShapeError(
                f"{where}: {name} has shape {s.shape}, expected {(*rows, size)}: "
                f"{'rows as in x' if x is not None else 'the same rows everywhere'}, "
                f"{size} wide."
            )
