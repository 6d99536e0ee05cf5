"""Rules: what is done to the distribution of the next token before one is drawn.

A rule takes rows of log-probabilities (rows, V), in float64 where tokens are drawn, and the tokens
so far (rows, n), and gives rows of log-probabilities again. Where it leaves no token, drawing is
an error, and a search gives the hypothesis up. p is the probability of a token, V the size of the
vocabulary. Of tokens that are equally good the one with the lower number comes first. Any
function that does so is a rule, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded, function_of, shortened, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = [
    "MinP", "RepetitionPenalty", "Rule", "Temperature", "TopK", "TopP", "Typical", "applied",
    "normalised", "rules_of",
]  # fmt: skip

Rule = Callable[[Array, Array], Array]


def normalised(rows: Array) -> Array:
    """Rows whose probabilities sum up to 1, in the proportions they have."""
    with np.errstate(invalid="ignore"):  # of a row without a token: callers look for NaN
        shifted = rows - rows.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def rules_of(where: str, rules: Sequence[Any]) -> list[Rule]:
    """The argument ``rules``: functions, each of what the one before has left."""
    if not isinstance(rules, Sequence):
        raise ArgumentError(f"{where}: rules is {shortened(rules)}, expected a list of functions.")
    return [function_of(where, f"rules[{n}]", rule) for n, rule in enumerate(rules)]


def applied(rules: Sequence[Rule], rows: Array, tokens: Array) -> Array:
    """What is left of rows after all rules."""
    tokens = tokens.view()
    tokens.flags.writeable = False  # a search goes on from them
    for number, rule in enumerate(rules):
        left = rule(rows, tokens)
        if not isinstance(left, np.ndarray) or left.shape != rows.shape:
            given = getattr(left, "shape", shortened(left))
            raise ShapeError(
                f"rule {number}, {shortened(rule)}, gave {given}, expected the log-probabilities "
                f"of all tokens, an array of shape {rows.shape}."
            )
        rows = left
    return rows


def _kept(rows: Array, keep: Array) -> Array:
    return normalised(np.where(keep, rows, -np.inf))


def _smallest_set(rows: Array, order: Array, share: float) -> Array:
    """The first tokens of each row's ``order`` whose probabilities sum up to ``share``."""
    before = np.cumsum(np.exp(np.take_along_axis(rows, order, axis=1)), axis=1)
    keep_ordered = np.ones(rows.shape, bool)
    keep_ordered[:, 1:] = before[:, :-1] < share
    keep = np.empty_like(keep_ordered)
    np.put_along_axis(keep, order, keep_ordered, axis=1)
    return keep


@dataclass(frozen=True)
class Temperature:
    """log p / temperature, renormalised: below 1 the likely become likelier."""

    temperature: float

    def __post_init__(self) -> None:
        bounded("Temperature", "temperature", self.temperature, above=0.0, below=np.inf)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Divide."""
        best = rows.max(axis=1, keepdims=True)  # at 0, so that no temperature makes all -inf
        with np.errstate(over="ignore"):
            return normalised((rows - best) / self.temperature)


@dataclass(frozen=True)
class TopK:
    """The k most probable tokens."""

    k: int

    def __post_init__(self) -> None:
        whole("TopK", "k", self.k, least=1, too_small=ArgumentError)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Keep k tokens."""
        if self.k >= rows.shape[1]:
            return rows
        keep = np.zeros(rows.shape, bool)
        best = np.argsort(-rows, axis=1, kind="stable")[:, : self.k]
        np.put_along_axis(keep, best, True, axis=1)
        return _kept(rows, keep)


@dataclass(frozen=True)
class TopP:
    """The nucleus: the fewest tokens, most probable first, whose probabilities sum up to p.

    Holtzman et al., The Curious Case of Neural Text Degeneration, 2020.
    """

    p: float

    def __post_init__(self) -> None:
        bounded("TopP", "p", self.p, above=0.0, most=1.0)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Keep the nucleus."""
        if self.p == 1:
            return rows
        rows = normalised(rows)  # a mask may have left less
        order = np.argsort(-rows, axis=1, kind="stable")
        return _kept(rows, _smallest_set(rows, order, self.p))


@dataclass(frozen=True)
class MinP:
    """The tokens that are at least min_p times as probable as the most probable one.

    Nguyen et al., Turning Up the Heat: Min-p Sampling, 2024.
    """

    min_p: float

    def __post_init__(self) -> None:
        bounded("MinP", "min_p", self.min_p, least=0.0, most=1.0)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Keep what is near the best."""
        if self.min_p == 0:
            return rows
        best = rows.max(axis=1, keepdims=True)
        return _kept(rows, rows - best >= np.log(self.min_p))


@dataclass(frozen=True)
class Typical:
    """The fewest tokens that sum up to p, those first whose -log p is nearest to the entropy.

    The most probable token may be among those left out. Meister et al., Locally Typical
    Sampling, 2023.
    """

    p: float

    def __post_init__(self) -> None:
        bounded("Typical", "p", self.p, above=0.0, most=1.0)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Keep the typical ones."""
        if self.p == 1:
            return rows
        rows = normalised(rows)
        p = np.exp(rows)
        entropy = -(p * np.where(p > 0, rows, 0.0)).sum(axis=1, keepdims=True)
        order = np.argsort(np.abs(-rows - entropy), axis=1, kind="stable")
        return _kept(rows, _smallest_set(rows, order, self.p))


@dataclass(frozen=True)
class RepetitionPenalty:
    """penalty · log p for each token that the row has had, once or often, renormalised.

    Above 1 such a token becomes less probable, below 1 more. Keskar et al., CTRL, 2019, divide
    its score by the penalty, which is no function of the distribution: scores may be shifted.
    """

    penalty: float

    def __post_init__(self) -> None:
        bounded("RepetitionPenalty", "penalty", self.penalty, above=0.0, below=np.inf)

    def __call__(self, rows: Array, tokens: Array) -> Array:
        """Make what was there less probable."""
        changed = normalised(rows)
        had = np.take_along_axis(changed, tokens, axis=1) * self.penalty
        np.put_along_axis(changed, tokens, had, axis=1)
        return normalised(changed)
