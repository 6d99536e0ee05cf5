"""Forced scoring: how probable a model finds sequences that are given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.decoding.protocol import Step, begin_of, check_vocabulary, next_rows, take
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = ["score"]


def score(step: Step, state: Any, tokens: Sequence[Any] | Array, *, bos: Any) -> Array:
    """The log-probability of each token of given sequences, (rows, T).

        decoding.score(step, state, [[5, 7, 2], [4, 2]], bos=1).sum(axis=1)

    Sequences may have different lengths; behind the end of one there are zeros, so that the sum
    of a row is the log-probability of its sequence. A token that cannot be has -inf.

    Args:
        step: What the model is; see ``tinygrad_rnn.decoding``.
        state: The state before ``bos``, one row for each sequence.
        tokens: The sequences, without ``bos``: a list, or an array (rows, T).
        bos: The token to begin with, or one for each sequence, (rows,).
    """
    sequences = [_sequence(n, one) for n, one in enumerate(tokens)]
    lengths = np.array([len(one) for one in sequences], np.int64)
    longest = int(lengths.max(initial=0))
    begin = begin_of("score", bos, [None] * len(sequences))
    if len(begin) != len(sequences):
        raise ShapeError(
            f"score: bos has {len(begin)} tokens for {len(sequences)} sequences, expected one "
            "for each, or one number."
        )
    padded = np.zeros((len(sequences), 1 + longest), np.int64)
    padded[:, 0] = begin
    for row, one in zip(padded, sequences, strict=True):
        row[1 : 1 + len(one)] = one
    log_probs, live = np.zeros((len(sequences), longest)), np.arange(len(sequences))
    for place in range(longest):
        going_on = np.flatnonzero(lengths[live] > place)
        if len(going_on) < len(live):
            live, state = live[going_on], take(state, going_on, len(live))
        rows, state, _ = next_rows("score", step, padded[live, place], state)
        check_vocabulary("score", "tokens", padded[live, place : place + 2], rows.shape[1])
        log_probs[live, place] = rows[np.arange(len(live)), padded[live, place + 1]]
    return log_probs


def _sequence(number: int, given: Any) -> Array:
    found = np.asarray(given)
    if found.size and found.dtype.kind not in "iu":
        raise ArgumentError(
            f"score: tokens[{number}] is {shortened(given)}, expected whole numbers."
        )
    if found.ndim != 1:
        raise ShapeError(
            f"score: tokens[{number}] has shape {found.shape}, expected (T,): the tokens of one "
            "sequence."
        )
    return found.astype(np.int64)
