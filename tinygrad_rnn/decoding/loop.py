"""The loop that every way of choosing tokens one by one shares."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import function_of, whole
from tinygrad_rnn.decoding.protocol import (
    Step,
    check_vocabulary,
    given_tokens,
    next_rows,
    take,
)
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError

__all__ = ["Choice", "Chosen", "Samples", "collected", "decode"]

# (log-probabilities (n, V), tokens so far (n, t), numbers of the rows (n,)) -> tokens (n,)
Choice = Callable[[Array, Array, Array], Array]
Chosen = Iterator[tuple[Array, Array]]


class Samples(NamedTuple):
    """Sequences, and how probable the model has found each of their tokens.

    tokens (rows, length)      behind the ``end`` of a row only ``end``
    log_probs (rows, length)   of each token as ``step`` gave it, before any rule; behind the
                               end of a row 0, so that a row's sum is that of its sequence
    """

    tokens: Array
    log_probs: Array


def decode(
    where: str, step: Step, state: Any, tokens: Any, length: int, end: int | None, choose: Choice
) -> Chosen:
    """Tokens (rows,) and their log-probabilities, step by step, until all rows have ended.

    Rows that have ended are left out of all further steps.
    """
    function_of(where, "step", step)
    given = given_tokens(where, tokens)
    length = whole(where, "length", length, least=0)
    end = None if end is None else whole(where, "end", end, least=0, too_small=ArgumentError)
    return _steps(where, step, state, given, length, end, choose)


def _steps(
    where: str, step: Step, state: Any, given: Array, length: int, end: int | None, choose: Choice
) -> Chosen:
    (rows, first), live = given.shape, np.arange(len(given))
    so_far = np.empty((rows, first + length), np.int64)
    so_far[:, :first] = given
    for place in range(first - 1 if length and rows else 0):
        _, state, _ = next_rows(where, step, given[:, place], state)
    for place in range(first, first + length if rows else first):
        before = so_far if len(live) == rows else so_far[live]
        found, state, _ = next_rows(where, step, before[:, place - 1], state)
        found = found.astype(np.float64, copy=False)
        if place == first:
            check_vocabulary(where, "tokens", given, found.shape[1])
            if end is not None:
                check_vocabulary(where, "end", np.asarray(end), found.shape[1])
        chosen = choose(found, before[:, :place], live)
        now, log_probs = np.full(rows, end or 0), np.zeros(rows)
        now[live] = so_far[live, place] = chosen
        log_probs[live] = found[np.arange(len(live)), chosen]
        yield now, log_probs
        if end is not None and (chosen == end).any():
            going_on = np.flatnonzero(chosen != end)
            if not len(going_on):
                return
            state = take(state, going_on, len(live))
            live = live[going_on]


def collected(chosen: Chosen, rows: int, length: int, end: int | None) -> Samples:
    """All steps as one result."""
    samples = Samples(np.full((rows, length), end or 0), np.zeros((rows, length)))
    for place, (tokens, log_probs) in enumerate(chosen):
        samples.tokens[:, place], samples.log_probs[:, place] = tokens, log_probs
    return samples
