"""Exhaustive search: every sequence there is, or all that may be better than a known one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.decoding.candidates import Candidates
from tinygrad_rnn.decoding.hypotheses import Beam, Found, Hypothesis, scores_of
from tinygrad_rnn.decoding.lengths import LengthRule, length_rule_of, lengths_allowed
from tinygrad_rnn.decoding.protocol import Step, begin_of, check_vocabulary, next_rows
from tinygrad_rnn.decoding.rules import Rule, applied, rules_of
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError

__all__ = ["exhaustive"]

_WHERE = "exhaustive"
_MOST = 2_000_000  # sequences, of which all that go on are held at once
_SLACK = 1e-6  # of scores: steps in float32 may round otherwise in other company


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
    at_least: Any = None,
) -> list[list[Hypothesis]]:
    """Find the best of all sequences: what a beam that is wide enough finds.

    Arguments and result are those of ``beam_search``; ``vocabulary`` is V. There are V ** t
    sequences of t tokens, so V and ``max_length`` must be small; or one of each source is known:

        best = decoding.beam_search(step, state, ...)
        at_least = [hypotheses[0].score for hypotheses in best]

    Args:
        at_least: A score for each source, (sources,): beginnings are given up that cannot reach
            it any more, as log-probabilities only fall. What scores less may not be found. Of a
            model that is rather sure few are left, whatever V and ``max_length``.
    """
    size = whole(_WHERE, "vocabulary", vocabulary, 1, ArgumentError)
    shortest, longest = lengths_allowed(_WHERE, min_length, max_length)
    most = whole(_WHERE, "n_best", n_best, 1, ArgumentError)
    rule = length_rule_of(_WHERE, length_rule)
    rules = rules_of(_WHERE, rules)
    if eos is not None:
        check_vocabulary(_WHERE, "eos", np.asarray(whole(_WHERE, "eos", eos)), size)
    begin = begin_of(_WHERE, bos, state)
    least = _least(at_least, len(begin))
    if at_least is None:
        _check_number(size, longest, len(begin))
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
        ended, after = after.only(ends & (length >= shortest)), after.only(~ends)
        found.add(every.longer(ended, rows, None, more), finished=True)
        found.add(every.only(~np.isin(every.source, after.source)), finished=False)
        least = np.maximum(least, found.reached(most - 1))
        ahead = np.arange(max(length + 1, shortest), longest + 1)
        after = _reaching(after, rule, ahead, least)
        if len(after.total) > _MOST // size:
            raise ArgumentError(
                f"{_WHERE}: {len(after.total)} beginnings of {length} tokens may still become "
                f"better than at_least, expected at most {_MOST // size}: the model is not sure "
                "enough. Give fewer sources at once, or a higher score."
            )
        every = every.longer(after, rows, state, more)
        if not len(every.source):
            break
    found.add(every, finished=False)
    return found.best(most)


def _check_number(size: int, longest: int, sources: int) -> None:
    if size**longest * sources > _MOST:
        raise ArgumentError(
            f"{_WHERE}: vocabulary is {size} and max_length {longest}, which makes {size} ** "
            f"{longest} sequences for each of {sources} sources, expected at most {_MOST} in "
            "all; or at_least=, such as the scores that beam_search finds."
        )


def _reaching(after: Candidates, rule: LengthRule, ahead: Array, least: Array) -> Candidates:
    """Those that may come to the least score of their source, at one of the lengths ahead."""
    if not (len(ahead) and len(after.total)):
        return after
    scores = scores_of(_WHERE, rule, after.total[:, None], ahead)
    return after.only(scores.max(axis=1) >= least[after.source] - _SLACK)


def _least(given: Any, sources: int) -> Array:
    """The scores that are known, -inf where none is."""
    if given is None:
        return np.full(sources, -np.inf)
    found = np.asarray(given, np.float64)
    if found.shape != (sources,) or np.isnan(found).any():
        raise ArgumentError(
            f"{_WHERE}: at_least is {shortened(given)}, expected a score for each of {sources} "
            "sources."
        )
    return found
