"""Length rules: how hypotheses of different lengths are compared.

A rule takes sums of log-probabilities and numbers of tokens, arrays of one shape or of shapes
that broadcast, and gives scores: the higher, the better. A sum falls with every token, so that
without a rule short sequences win. Every rule rises with the sum; any function that does so is
a rule, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded, choice, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError

__all__ = [
    "GNMT", "LengthRule", "Power", "average", "coverage", "length_rule_of", "lengths_allowed",
    "total",
]  # fmt: skip

LengthRule = Callable[[Array, Array], Array]


def total(log_probs: Array, lengths: Array) -> Array:
    """Σ log P, whatever the length."""
    return log_probs + 0.0 * lengths


def average(log_probs: Array, lengths: Array) -> Array:
    """1/t Σ log P: the log-probability of a token."""
    scores: Array = log_probs / np.maximum(lengths, 1)
    return scores


@dataclass(frozen=True)
class Power:
    """Σ log P / t^a: between the sum, a = 0, and the average, a = 1."""

    a: float = 0.75

    def __post_init__(self) -> None:
        bounded("Power", "a", self.a, least=0.0, below=np.inf)

    def __call__(self, log_probs: Array, lengths: Array) -> Array:
        """Divide."""
        scores: Array = log_probs / np.maximum(lengths, 1) ** self.a
        return scores


@dataclass(frozen=True)
class GNMT:
    """Σ log P / ((5 + t) / 6)^a, of Wu et al., Google's Neural Machine Translation, 2016."""

    a: float = 0.6

    def __post_init__(self) -> None:
        bounded("GNMT", "a", self.a, least=0.0, below=np.inf)

    def __call__(self, log_probs: Array, lengths: Array) -> Array:
        """Divide."""
        scores: Array = log_probs / ((5.0 + lengths) / 6.0) ** self.a
        return scores


_NAMED: dict[str, LengthRule] = {
    "none": total,
    "average": average,
    "power": Power(),
    "gnmt": GNMT(),
}


def coverage(attention: Array) -> Array:
    """Σ over places of log min(Σ over tokens of attention, 1), (n,), of attention (n, t, S).

    Of Wu et al. 2016: 0 where each place has been looked at as much as one token looks, and
    less where some have been passed over. Places that nothing looks at at all are padding.
    """
    seen = _in_order(attention.swapaxes(0, 1))
    return _in_order(np.log(np.where(seen > 0, np.minimum(seen, 1.0), 1.0)).T)


def _in_order(rows: Array) -> Array:
    """Their sum, one after the other: zeros behind, of padding, change no bit of it."""
    return reduce(np.add, rows, np.zeros(rows.shape[1:]))


def lengths_allowed(where: str, min_length: Any, max_length: Any) -> tuple[int, int]:
    """The fewest tokens of a hypothesis that has finished, and the most of any."""
    longest = whole(where, "max_length", max_length, 0, ArgumentError)
    shortest = whole(where, "min_length", min_length, 0, ArgumentError)
    if shortest > longest:
        raise ArgumentError(
            f"{where}: min_length is {shortest}, expected at most max_length, {longest}."
        )
    return shortest, longest


def length_rule_of(where: str, rule: Any) -> LengthRule:
    """A rule by its name, or any function."""
    if isinstance(rule, type):
        raise ArgumentError(
            f"{where}: length_rule is the class {rule.__name__}, expected one that is made, "
            f"such as {rule.__name__}()."
        )
    if callable(rule):
        return rule  # type: ignore[no-any-return]
    return _NAMED[choice(where, "length_rule", rule, tuple(_NAMED))]
