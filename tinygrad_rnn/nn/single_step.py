"""A cell called for one step: what it is given, checked, and the new state as it was given."""

from typing import TYPE_CHECKING, Any

from tinygrad_rnn.engine import wrap
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.modes import recording
from tinygrad_rnn.nn.checks import check_like
from tinygrad_rnn.nn.stepping import Stepper
from tinygrad_rnn.tensor import Tensor, as_tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell

__all__ = ["State", "one_step"]

State = Tensor | tuple[Tensor, ...]


def one_step(cell: "Cell", x: Any, state: Any, noise: Noise | None = None) -> State:
    """x (B, I) or (I) and the state -> the new state; no state means zeros."""
    if noise is None and recording.get() is False:
        quick = _quickly(cell, x, state)
        if quick is not None:
            return quick
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
    x = x if x is None else x.reshape(1, *x.shape)
    _, new = cell.sequence(x, states, steps=1, noise=noise)
    if not batched:
        new = [s.reshape(-1) for s in new]
    return new[0] if len(new) == 1 else tuple(new)


def _quickly(cell: "Cell", x: Any, state: Any) -> State | None:
    """The same where nothing is recorded, or None where there is no quicker way.

    What is given is only looked at: whatever is not just as it was when the step was made
    ready goes the long way, which says what is wrong with it.
    """
    given = state if state.__class__ is tuple else (state,)
    if x.__class__ is not Tensor or not given or not all(s.__class__ is Tensor for s in given):
        return None
    rows, states = x._data, [s._data for s in given]
    batched = rows.ndim != 1
    if not batched:
        rows, states = rows[None], [s[None] for s in states]
    elif not rows.ndim:
        return None
    stepper = vars(cell).get("_stepper")
    if stepper is None:
        stepper = vars(cell).setdefault("_stepper", Stepper())
    found = stepper.states((cell,), rows, (states,))
    if found is None:
        return None
    new = [wrap(s if batched else s[0]) for s in found[0]]
    return new[0] if len(new) == 1 else tuple(new)


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
