"""What a model is to decoding: its step, its state, and the rows of log-probabilities it gives."""

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.decoding.log_probs import LogProbs, Rows
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, NotFiniteError, ShapeError
from tinygrad_rnn.modes import inference_mode
from tinygrad_rnn.tensor import Tensor

__all__ = [
    "ABOVE_ONE", "Step", "begin_of", "check_rows", "check_vocabulary", "given_tokens",
    "next_log_probs", "next_rows", "rows_in", "take",
]  # fmt: skip

Step = Callable[[Array, Any], tuple[Any, ...]]

ABOVE_ONE = 1.001  # float32 rows of a large vocabulary sum to one within a ten-thousandth


def next_rows(
    where: str, step: Step, tokens: Array, state: Any, check: bool = True
) -> tuple[Array, Any, dict[str, Any]]:
    """As ``next_log_probs``, with the log-probabilities as an array."""
    rows, state, more = next_log_probs(where, step, tokens, state, check)
    found = np.asarray(rows)
    if check and isinstance(rows, LogProbs) and not rows.are_numbers:
        check_rows(where, found)
    return found, state, more


def next_log_probs(
    where: str, step: Step, tokens: Array, state: Any, check: bool = True
) -> tuple[Rows, Any, dict[str, Any]]:
    """One step: the log-probabilities (rows, V), the new state, and what else the step tells.

    Whether rows are distributions costs an exponential of each number to find out, so callers
    may leave it away: they must look at the rows' maxima themselves, by which NaN and plain
    scores show, too, and then ``check_rows`` says what is wrong.
    """
    with inference_mode():
        given = step(tokens.copy(), state)  # which a step may write into
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise ArgumentError(
            f"{where}: step returned {shortened(given)}, expected (log_probs, state), and in a "
            'third place, if anything, a dict such as {"attention": weights}.'
        )
    rows = given[0] if isinstance(given[0], LogProbs) else _plain(given[0])
    if rows.ndim != 2 or len(rows) != len(tokens) or not rows.shape[1]:
        raise ShapeError(
            f"{where}: step gave log-probabilities of shape {rows.shape}, expected "
            f"({len(tokens)}, V): a row for each token, a column for each token of the vocabulary."
        )
    if not isinstance(rows, LogProbs) and rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    if check and not isinstance(rows, LogProbs):
        check_rows(where, rows)
    return rows, given[1], _more(where, given[2], len(tokens)) if len(given) == 3 else {}


def _plain(array: Any) -> Array:
    return array.numpy() if isinstance(array, Tensor) else host_array(array)


def _more(where: str, given: Any, count: int) -> dict[str, Any]:
    """The third value of a step, which may hold the attention (rows, S) of each row."""
    if not isinstance(given, dict):
        raise ArgumentError(
            f"{where}: step returned {shortened(given)} in the third place, expected a dict such "
            'as {"attention": weights}.'
        )
    if given.get("attention") is None:
        return given
    attention = _plain(given["attention"])
    if attention.ndim != 2 or len(attention) != count:
        raise ShapeError(
            f"{where}: step gave attention of shape {attention.shape}, expected ({count}, S): "
            "what each row looks at, over S places."
        )
    return {**given, "attention": attention}


def check_rows(where: str, rows: Array) -> None:
    """Raise unless each row is the logarithm of a distribution, or of a part of one."""
    totals = np.exp(np.minimum(rows, 1.0), dtype=np.float64).sum(axis=1)  # nothing runs over
    fine = [0 < total < ABOVE_ONE for total in totals.tolist()]
    if all(fine):  # which NaN is not
        return
    row = fine.index(False)
    if np.isnan(rows[row]).any():
        token = int(np.flatnonzero(np.isnan(rows[row]))[0])
        raise NotFiniteError(f"{where}: step gave NaN in row {row}, for token {token}.")
    with np.errstate(over="ignore"):
        total = np.exp(rows[row].astype(np.float64)).sum()
    if total == 0:
        raise NotFiniteError(
            f"{where}: step gave row {row} no token to go on with: each has a log-probability of "
            "-inf, or one too low for its exponential."
        )
    raise ArgumentError(
        f"{where}: the probabilities in row {row} sum up to {total:.4g}, expected 1: step "
        "is to give log-probabilities; of scores, log_softmax makes them."
    )


def begin_of(where: str, bos: Any, state: Any) -> Array:
    """The token that each row begins with, (rows,): ``bos`` itself, or one for all rows.

    How many rows there are the state then tells: those of the first array in it, else 1.
    """
    found = _plain(bos)
    none = found.ndim == 1 and not found.size  # whose type says nothing
    if found.ndim > 1 or not (none or found.dtype.kind in "iu"):
        raise ArgumentError(
            f"{where}: bos is {shortened(bos)}, expected a token, or one for each row."
        )
    if found.ndim == 1:
        return found.astype(np.int64)
    rows = rows_in(state)
    return np.full(1 if rows is None else rows, int(found))


def rows_in(state: Any) -> int | None:
    """How many rows a state has, or None where it has no array and no list of items."""
    if isinstance(state, list) and not _holds_arrays(state):
        return len(state)
    if hasattr(state, "rows"):  # which may share arrays
        return None
    if isinstance(state, dict):
        state = list(state.values())
    if isinstance(state, tuple | list):
        return next((found for item in state if (found := rows_in(item)) is not None), None)
    shape = getattr(state, "shape", None)
    return int(shape[0]) if shape else None


def check_vocabulary(where: str, name: str, tokens: Array, size: int) -> None:
    """Raise unless all tokens are among the ``size`` that step knows."""
    if tokens.size and (tokens.min() < 0 or tokens.max() >= size):
        low, high = tokens.min(), tokens.max()
        given = f"go from {low} to {high}" if tokens.ndim else f"is {tokens}"
        raise IndexRangeError(
            f"{where}: {name} {given}, expected 0 to {size - 1}: step gave log-probabilities of "
            f"{size} tokens."
        )


def given_tokens(where: str, tokens: Any) -> Array:
    """The tokens to begin with, (rows,) or (rows, T), as (rows, T)."""
    found = _plain(tokens)
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
    same for all rows. What has a method ``rows(index)`` is asked for them, such as
    ``nn.attention.Prepared``, in which rows that are the same are there once.
    """
    if type(state) is np.ndarray and state.ndim and len(state) == count:
        return state.take(rows, axis=0)  # quicker than an index, and nearly all that there is
    if callable(rows_of := getattr(state, "rows", None)):
        return rows_of(rows)
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
