"""The most probable token at every step."""

from typing import Any

from tinygrad_rnn.decoding.loop import Samples, collected, decode
from tinygrad_rnn.decoding.protocol import Step
from tinygrad_rnn.device import Array

__all__ = ["greedy"]


def greedy(step: Step, state: Any, tokens: Any, length: int, *, end: int | None = None) -> Samples:
    """Take the most probable token at every step; of equal ones that with the lowest number.

    Arguments and result are those of ``sample``.
    """
    chosen = decode("greedy", step, state, tokens, length, end, _best)
    return collected(chosen, len(tokens), length, end)


def _best(rows: Array, tokens: Array, numbers: Array) -> Array:
    best: Array = rows.argmax(axis=1)
    return best
