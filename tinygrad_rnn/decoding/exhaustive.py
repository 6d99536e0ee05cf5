"""Exhaustive search: every sequence there is, for small vocabularies and short sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.decoding.candidates import Candidates
from tinygrad_rnn.decoding.hypotheses import Beam, Found, Hypothesis
from tinygrad_rnn.decoding.lengths import LengthRule, length_rule_of, lengths_allowed
from tinygrad_rnn.decoding.protocol import Step, begin_of, check_vocabulary, next_rows
from tinygrad_rnn.decoding.rules import Rule, applied, rules_of
from tinygrad_rnn.errors import ArgumentError

__all__ = ["exhaustive"]

_WHERE = "exhaustive"
_MOST = 2_000_000  # sequences, of which all that go on are held at once


def exhaustive(
    step: Step,
    state: Any,
    *,
    vocabulary: int,
    bos: Any,
    eos: int | None,
    max_length: int,
    min_length: int = 0,
    length_rule: str | LengthRule = "average",
    n_best: int = 1,
    rules: Sequence[Rule] = (),
) -> list[list[Hypothesis]]:
    """Find the best of all sequences: what a beam that is wide enough finds.

    Arguments and result are those of ``beam_search``; ``vocabulary`` is V. There are V ** t
    sequences of t tokens, so V and ``max_length`` must be small.
    """
    size = whole(_WHERE, "vocabulary", vocabulary, 1, ArgumentError)
    shortest, longest = lengths_allowed(_WHERE, min_length, max_length)
    most = whole(_WHERE, "n_best", n_best, 1, ArgumentError)
    rule = length_rule_of(_WHERE, length_rule)
    rules = rules_of(_WHERE, rules)
    if eos is not None:
        check_vocabulary(_WHERE, "eos", np.asarray(whole(_WHERE, "eos", eos)), size)
    begin = begin_of(_WHERE, bos, state)
    if size**longest * len(begin) > _MOST:
        raise ArgumentError(
            f"{_WHERE}: vocabulary is {size} and max_length {longest}, which makes {size} ** "
            f"{longest} sequences for each of {len(begin)} sources, expected at most {_MOST} in "
            "all; beam_search looks at a few of them."
        )
    found, every = Found(_WHERE, rule, len(begin), most), Beam.of(begin, state)
    for length in range(1, longest + 1 if len(begin) else 1):
        rows, state, more = next_rows(_WHERE, step, every.tokens[:, -1], every.state)
        if rows.shape[1] != size:
            raise ArgumentError(
                f"{_WHERE}: vocabulary is {size}, but step gave log-probabilities of "
                f"{rows.shape[1]} tokens."
            )
        check_vocabulary(_WHERE, "the tokens of bos", begin, size)
        shaped = applied(rules, rows, every.tokens)
        row, token = np.nonzero(shaped > -np.inf)
        value, source = shaped[row, token].astype(np.float64), every.source[row]
        after = Candidates(source, source, row, token, value, every.total[row] + value)
        ends = (token == eos) if eos is not None else np.zeros(len(token), bool)
        found.add(
            every.longer(after.only(ends & (length >= shortest)), rows, None, more), finished=True
        )
        after = after.only(~ends)
        found.add(every.only(~np.isin(every.source, after.source)), finished=False)
        every = every.longer(after, rows, state, more)
        if not len(every.source):
            break
    found.add(every, finished=False)
    return found.best(most)
