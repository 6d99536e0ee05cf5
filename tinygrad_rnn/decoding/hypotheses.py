"""Hypotheses: those that go on, and the best of what a search has found for each source."""

from bisect import insort
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.decoding.candidates import Candidates
from tinygrad_rnn.decoding.constraints import Constraints
from tinygrad_rnn.decoding.lengths import LengthRule, coverage
from tinygrad_rnn.decoding.log_probs import Rows
from tinygrad_rnn.decoding.protocol import take
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, NotFiniteError, ShapeError

__all__ = ["Beam", "Found", "Hypothesis", "scores_of"]


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One sequence that a search has found.

    tokens     (t,) int64, behind what it began with; ``eos`` is the last one where it finished
    score      what hypotheses are compared by: the length rule, of what the rules have left
    log_prob   Σ log P of the tokens as ``step`` gave them
    finished   whether it ended with ``eos``, rather than because it may be no longer
    alignment  (t, S), what each token looked at, where ``step`` tells, else None
    missing    how many tokens of its constraints it lacks, none where it finished
    drawn      of stochastic beams: log P by which it was drawn, under the rules
    inclusion  of stochastic beams: how probable it was to be drawn, beside the other ones
    """

    tokens: Array
    score: float
    log_prob: float
    finished: bool
    alignment: Array | None = None
    missing: int = 0
    drawn: float | None = None
    inclusion: float | None = None


class Beam(NamedTuple):
    """The hypotheses that are still going on, one row each; those of a source are neighbours.

    source (n,)           whose they are
    group (n,)            in which group of the source they compete
    tokens (n, 1 + t)     from ``bos`` on
    total (n,)            Σ log P after the rules, or with noise: what they are chosen by
    log_prob (n,)         Σ log P of the model
    attention (n, t, S)   what each token looked at, or None
    state                 the model's, with n rows
    drawn (n,)            Σ log P after the rules where the total has noise, else None
    """

    source: Array
    group: Array
    tokens: Array
    total: Array
    log_prob: Array
    attention: Array | None
    state: Any
    drawn: Array | None = None

    @staticmethod
    def of(begin: Array, state: Any, groups: int = 1) -> "Beam":
        """One empty hypothesis for each group of each source."""
        source = np.repeat(np.arange(len(begin)), groups)
        if groups > 1:
            state = take(state, source, len(begin))
        nothing, group = np.zeros(len(source)), np.tile(np.arange(groups), len(begin))
        return Beam(source, group, begin[source, None], nothing, nothing, None, state)

    def only(self, which: Array) -> "Beam":
        """Some of them, without the model's state."""
        rows = np.flatnonzero(which)
        found: Beam = take(self._replace(state=None), rows, len(self.source))
        return found

    def longer(self, by: Candidates, rows: Rows, state: Any, more: dict[str, Any]) -> "Beam":
        """The hypotheses that candidates make of these, in the candidates' order."""
        attention = more.get("attention")
        if attention is not None:
            past = attention[:, None][:, :0] if self.attention is None else self.attention
            attention = np.concatenate([past[by.row], attention[by.row, None]], axis=1)
        old: Beam = self._replace(attention=None, state=state)
        if not np.array_equal(by.row, np.arange(len(self.source))):
            old = take(old, by.row, len(self.source))
        return old._replace(
            tokens=np.concatenate([old.tokens, by.token[:, None]], axis=1),
            total=by.total,
            log_prob=old.log_prob + rows[by.row, by.token],
            attention=attention,
            drawn=None if old.drawn is None else old.drawn + by.step,
        )


def scores_of(where: str, rule: LengthRule, totals: Array, lengths: Any) -> Array:
    """What a length rule makes of sums, checked."""
    scores = np.asarray(rule(totals, np.asarray(lengths)))
    if scores.shape != np.broadcast_shapes(np.shape(totals), np.shape(lengths)):
        raise ShapeError(
            f"{where}: length_rule gave scores of shape {scores.shape} for sums of shape "
            f"{np.shape(totals)}, expected one for each."
        )
    if np.isnan(scores).any():
        raise NotFiniteError(f"{where}: length_rule gave NaN, expected numbers.")
    return scores


class Found:
    """The best hypotheses of each source, at most ``most``, finished before unfinished ones.

    Of unfinished ones those are better that lack fewer tokens of their constraints.
    Of equal scores the one that was found first is the better one. Those that were drawn are
    compared by their scores alone.
    """

    def __init__(
        self,
        where: str,
        rule: LengthRule,
        sources: int,
        most: int,
        coverage_penalty: float = 0.0,
        constraints: Constraints | None = None,
    ) -> None:
        self.where, self.rule, self.most = where, rule, most
        self.coverage_penalty, self.constraints = coverage_penalty, constraints
        self.of_source: list[list[Hypothesis]] = [[] for _ in range(sources)]
        self.finished_count = np.zeros(sources, np.int64)

    def add(self, beam: Beam, finished: bool) -> None:
        """Keep those that are among the best of their source."""
        if not len(beam.source):
            return
        length = beam.tokens.shape[1] - 1
        scores = scores_of(self.where, self.rule, beam.total, length)
        if self.coverage_penalty and length:
            if beam.attention is None:
                raise ArgumentError(
                    f"{self.where}: coverage_penalty is {self.coverage_penalty:g}, but step does "
                    'not give {"attention": weights} in the third place.'
                )
            if not (beam.attention >= 0).all():
                raise NotFiniteError(
                    f"{self.where}: step gave attention that is NaN or negative, expected weights."
                )
            scores = scores + self.coverage_penalty * coverage(beam.attention)
        missing = [0] * len(scores)
        if self.constraints is not None and not finished:
            missing = self.constraints.missing(beam.source, beam.tokens).tolist()
        last = not finished and beam.drawn is None
        said: set[tuple[int, bytes]] = set()
        for n, source in enumerate(beam.source.tolist()):
            known, score, tokens = self.of_source[source], float(scores[n]), beam.tokens[n, 1:]
            if (source, tokens.tobytes()) in said:
                continue  # another group has found it in the same step
            said.add((source, tokens.tobytes()))
            self.finished_count[source] += finished
            if len(known) == self.most and (last, missing[n], -score) >= _worse(known[-1]):
                continue
            hypothesis = Hypothesis(
                tokens,
                score,
                float(beam.log_prob[n]),
                finished,
                None if beam.attention is None else beam.attention[n],
                missing[n],
                None if beam.drawn is None else float(beam.drawn[n]),
            )
            insort(known, hypothesis, key=_worse)
            del known[self.most :]

    def reached(self, place: int) -> Array:
        """The score of the finished hypothesis at a place of each source, or -inf."""
        return np.array(
            [
                hypotheses[place].score
                if place < len(hypotheses) and hypotheses[place].finished
                else -np.inf
                for hypotheses in self.of_source
            ]
        )

    def best(self, count: int) -> list[list[Hypothesis]]:
        """The best of each source."""
        return [hypotheses[:count] for hypotheses in self.of_source]


def _worse(hypothesis: Hypothesis) -> tuple[bool, int, float]:
    return (
        hypothesis.drawn is None and not hypothesis.finished,
        hypothesis.missing,
        -hypothesis.score,
    )
