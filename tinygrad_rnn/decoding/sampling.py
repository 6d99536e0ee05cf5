"""Tokens drawn from what a model gives, shaped by rules."""

from __future__ import annotations  # np.random is loaded by the first draw, not by the import

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.arguments import whole
from tinygrad_rnn.decoding.loop import Chosen, Samples, collected, decode
from tinygrad_rnn.decoding.protocol import Step
from tinygrad_rnn.decoding.rules import (
    MinP,
    RepetitionPenalty,
    Rule,
    Temperature,
    TopK,
    TopP,
    Typical,
    applied,
    rules_of,
)
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, NotFiniteError

__all__ = ["generators_of", "sample", "stream"]


def sample(
    step: Step,
    state: Any,
    tokens: Any,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    typical_p: float | None = None,
    repetition_penalty: float = 1.0,
    rules: Sequence[Rule] = (),
    end: int | None = None,
    seed: int | None = None,
) -> Samples:
    """Draw ``length`` tokens for each row, one after the other.

        tokens, log_probs = decoding.sample(model.step, model.start(2), [3, 3], 100, top_p=0.9)

    The rules are applied in this order, each to what the one before has left, renormalised:
    ``rules``, then the repetition penalty, the temperature, top-k, top-p, min-p, typical.
    ``decoding.rules`` has the definition of each.

    Args:
        step: What the model is; see ``tinygrad_rnn.decoding``.
        state: The state before ``tokens``.
        tokens: (rows,), the token each row begins with, or (rows, T), several: they are read,
            and what is drawn comes behind them.
        rules: More rules, also functions of your own.
        end: The token that ends a row.
        seed: The same seed gives a row the same numbers, whatever other rows there are; None
            takes them from the library's stream, ``tg.seed``.
    """
    of_rules = _rules(
        "sample", rules, temperature, top_k, top_p, min_p, typical_p, repetition_penalty
    )
    chosen = _drawn("sample", step, state, tokens, length, of_rules, end, seed)
    return collected(chosen, len(tokens), length, end)


def stream(
    step: Step,
    state: Any,
    tokens: Any,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    typical_p: float | None = None,
    repetition_penalty: float = 1.0,
    rules: Sequence[Rule] = (),
    end: int | None = None,
    seed: int | None = None,
) -> Iterator[Array]:
    """The tokens (rows,) of ``sample``, one step at a time, as they are drawn.

    It ends when all rows have ended.
    """
    of_rules = _rules(
        "stream", rules, temperature, top_k, top_p, min_p, typical_p, repetition_penalty
    )
    chosen = _drawn("stream", step, state, tokens, length, of_rules, end, seed)
    return (now for now, _ in chosen)


def _rules(
    where: str,
    first: Sequence[Rule],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    typical_p: float | None,
    repetition_penalty: float,
) -> list[Rule]:
    """The rules in the order in which they are applied, without those that change nothing."""
    found = rules_of(where, first)
    named: list[tuple[str, Callable[[Any], Rule], Any, Any]] = [
        ("repetition_penalty", RepetitionPenalty, repetition_penalty, 1.0),
        ("temperature", Temperature, temperature, 1.0),
        ("top_k", TopK, top_k, None),
        ("top_p", TopP, top_p, None),
        ("min_p", MinP, min_p, None),
        ("typical_p", Typical, typical_p, None),
    ]
    for name, kind, value, usual in named:
        if value == usual and not isinstance(value, bool):
            continue
        try:
            found.append(kind(value))
        except ArgumentError as error:
            _, _, expected = str(error).partition(" is ")
            raise ArgumentError(f"{where}: {name} is {expected}") from None
    return found


def _drawn(
    where: str, step: Step, state: Any, tokens: Any, length: int, rules: Sequence[Rule],
    end: int | None, seed: int | None,
) -> Chosen:  # fmt: skip
    draw = _Draw(where, rules, generators_of(where, seed))
    return decode(where, step, state, tokens, length, end, draw)


def generators_of(where: str, seed: int | None) -> Callable[[int], np.random.Generator]:
    """What gives each row a source of random numbers, told by the seed and the row's number."""
    if seed is None:
        key = random.noise().key % 2**64
    else:
        seed = whole(where, "seed", seed, least=0, too_small=ArgumentError)
        key = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    return lambda row: np.random.Generator(np.random.Philox(key=np.array([key, row], np.uint64)))


class _Draw:
    """Draws a token of each row with numbers of the row's own."""

    def __init__(
        self, where: str, rules: Sequence[Rule], own: Callable[[int], np.random.Generator]
    ) -> None:
        self.where, self.rules, self.own = where, rules, own
        self.sources: list[np.random.Generator] = []

    def __call__(self, rows: Array, tokens: Array, numbers: Array) -> Array:
        rows = applied(self.rules, rows, tokens)
        while len(self.sources) <= numbers[-1]:
            self.sources.append(self.own(len(self.sources)))
        below = np.cumsum(np.exp(rows), axis=1)
        for number, total in zip(numbers, below[:, -1].tolist(), strict=True):
            if not 0 < total < np.inf:
                raise NotFiniteError(
                    f"{self.where}: the rules leave row {number} no token that can be drawn, NaN "
                    "or infinity."
                )
        at = np.array([self.sources[number].random() for number in numbers])
        at *= below[:, -1]
        # The first whose sum is above: one of probability 0 has the sum of the one before.
        chosen: Array = (below > at[:, None]).argmax(axis=1)
        return chosen
