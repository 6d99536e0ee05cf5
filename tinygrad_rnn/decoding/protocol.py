"""What a model is to decoding: its step, its state, and the rows of log-probabilities it gives."""

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, NotFiniteError, ShapeError
from tinygrad_rnn.modes import inference_mode
from tinygrad_rnn.tensor import Tensor

__all__ = ["Step", "given_tokens", "next_rows", "take"]

Step = Callable[[Array, Any], tuple[Any, Any]]

_ABOVE_ONE = 1.001  # float32 rows of a large vocabulary sum to one within a ten-thousandth


def next_rows(where: str, step: Step, tokens: Array, state: Any) -> tuple[Array, Any]:
    """One step: the log-probabilities (rows, V) in float64, checked, and the new state."""
    with inference_mode():
        given = step(tokens, state)
    if not isinstance(given, tuple) or len(given) != 2:
        raise ArgumentError(
            f"{where}: step returned {shortened(given)}, expected (log_probs, state)."
        )
    rows, state = given
    rows = np.asarray(rows.numpy() if isinstance(rows, Tensor) else rows, np.float64)
    if rows.ndim != 2 or len(rows) != len(tokens) or not rows.shape[1]:
        raise ShapeError(
            f"{where}: step gave log-probabilities of shape {rows.shape}, expected "
            f"({len(tokens)}, V): a row for each token, a column for each token of the vocabulary."
        )
    _check(where, rows)
    return rows, state


def _check(where: str, rows: Array) -> None:
    """Raise unless each row is the logarithm of a distribution, or of a part of one."""
    with np.errstate(over="ignore"):
        totals = np.exp(rows).sum(axis=1)
    if ((totals > 0) & (totals < _ABOVE_ONE)).all():  # neither of which NaN is
        return
    row = int(np.flatnonzero(~((totals > 0) & (totals < _ABOVE_ONE)))[0])
    if np.isnan(totals[row]):
        token = int(np.flatnonzero(np.isnan(rows[row]))[0])
        raise NotFiniteError(f"{where}: step gave NaN in row {row}, for token {token}.")
    if totals[row] == 0:
        raise NotFiniteError(
            f"{where}: step gave row {row} no token to go on with: each has a log-probability of "
            "-inf, or one too low for its exponential."
        )
    raise ArgumentError(
        f"{where}: the probabilities in row {row} sum up to {totals[row]:.4g}, expected 1: step "
        "is to give log-probabilities; of scores, log_softmax makes them."
    )


def given_tokens(where: str, tokens: Any) -> Array:
    """The tokens to begin with, (rows,) or (rows, T), as (rows, T)."""
    found = np.asarray(tokens.numpy() if isinstance(tokens, Tensor) else tokens)
    if found.size and found.dtype.kind not in "iu":
        raise ArgumentError(f"{where}: tokens is {shortened(tokens)}, expected whole numbers.")
    if found.ndim not in (1, 2) or 0 in found.shape[1:]:
        raise ShapeError(
            f"{where}: tokens has shape {found.shape}, expected (rows,) or (rows, T): at least "
            "one token a row to begin with."
        )
    found = found.astype(np.int64)
    return found[:, None] if found.ndim == 1 else found


def take(state: Any, rows: Array, count: int) -> Any:
    """The state of some of ``count`` rows, in any order and any number of times.

    Tuples, named tuples, dicts and lists are what a state is made of; arrays and Tensors have
    rows first. A list in which there are no arrays has one item a row. None and numbers are the
    same for all rows.
    """
    if isinstance(state, list) and not _holds_arrays(state):
        if len(state) != count:
            raise ShapeError(
                f"decoding: a state holds a list without arrays, {shortened(state)}, expected an "
                f"item for each of {count} rows."
            )
        return [state[row] for row in rows]
    if isinstance(state, tuple | list):
        items = [take(item, rows, count) for item in state]
        return type(state)(*items) if hasattr(state, "_fields") else type(state)(items)
    if isinstance(state, dict):
        return {name: take(item, rows, count) for name, item in state.items()}
    if state is None or isinstance(state, Number | str):
        return state
    shape = getattr(state, "shape", None)
    if shape is None:
        raise ArgumentError(
            f"decoding: a state holds a {type(state).__name__}, expected arrays with rows first, "
            "in tuples, lists and dicts, or a list with one item a row."
        )
    if not shape or shape[0] != count:
        raise ShapeError(
            f"decoding: a state holds an array of shape {tuple(shape)}, expected {count} rows, "
            "its first axis."
        )
    return state[rows]


def _holds_arrays(tree: Any) -> bool:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        return any(map(_holds_arrays, tree))
    return hasattr(tree, "shape")
