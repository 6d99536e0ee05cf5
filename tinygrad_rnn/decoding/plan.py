"""The plan of a search: its settings, checked, and when it is done with a source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded, choice, flag, shortened, whole
from tinygrad_rnn.decoding.candidates import Candidates, diverse, selected
from tinygrad_rnn.decoding.constraints import Constraints
from tinygrad_rnn.decoding.hypotheses import Beam, Found, scores_of
from tinygrad_rnn.decoding.lengths import LengthRule, length_rule_of, lengths_allowed, total
from tinygrad_rnn.decoding.log_probs import Rows
from tinygrad_rnn.decoding.masks import NoRepeatNgram, Prefix
from tinygrad_rnn.decoding.phrases import check_possible, phrases_of
from tinygrad_rnn.decoding.protocol import ABOVE_ONE, check_rows, check_vocabulary
from tinygrad_rnn.decoding.rules import Rule, applied, rules_of
from tinygrad_rnn.decoding.stochastic import Noise
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, NotFiniteError

__all__ = ["Plan"]


def _count(where: str, name: str, value: Any, least: int) -> int:
    return whole(where, name, value, least, too_small=ArgumentError)


def _constraints(
    where: str, given: Any, prefix: Prefix, rules: Sequence[Rule], eos: int | None, longest: int
) -> Constraints | None:
    """The phrases that are told, which must be possible; None where there are none."""
    if given is None:
        return None
    named = phrases_of(where, given, len(prefix.lengths))
    for source, phrases in enumerate(named):
        begin = tuple(prefix.tokens[source, : prefix.lengths[source]].tolist())
        check_possible(where, source, phrases, begin, rules, eos, longest)
    return Constraints([list(one.values()) for one in named]) if any(named) else None


@dataclass(frozen=True)
class Plan:
    """Settings of ``beam_search``, by its names."""

    where: str
    beam: int
    eos: int | None
    max_length: int
    min_length: int
    length_rule: LengthRule
    n_best: int
    early_stopping: bool | str
    rules: Sequence[Rule]
    prefix: Prefix
    constraints: Constraints | None
    coverage_penalty: float
    groups: int
    diversity: float
    noise: Noise | None

    @staticmethod
    def of(
        where: str, *, beam: Any, eos: Any, max_length: Any, min_length: Any, length_rule: Any,
        n_best: Any, early_stopping: Any, rules: Any, no_repeat_ngram: Any, prefix: Any,
        constraints: Any, sources: int, coverage_penalty: Any, groups: Any, diversity: Any,
        stochastic: Any, seed: Any, row_ids: Any,
    ) -> "Plan":  # fmt: skip
        """Settings as they are given."""
        eos = None if eos is None else whole(where, "eos", eos)
        size = _count(where, "no_repeat_ngram", no_repeat_ngram, 0)
        of_rules = rules_of(where, rules)
        shortest, longest = lengths_allowed(where, min_length, max_length)
        of_rules = [*of_rules, NoRepeatNgram(size)] if size else of_rules
        told = Prefix(where, prefix, sources, eos, longest)
        plan = Plan(
            where=where,
            beam=_count(where, "beam", beam, 1),
            eos=eos,
            max_length=longest,
            min_length=shortest,
            length_rule=length_rule_of(where, length_rule),
            n_best=_count(where, "n_best", n_best, 1),
            early_stopping=choice(where, "early_stopping", early_stopping, (True, False, "never")),
            rules=of_rules,
            prefix=told,
            noise=Noise(where, seed, row_ids, sources)
            if flag(where, "stochastic", stochastic)
            else None,
            constraints=_constraints(where, constraints, told, of_rules, eos, longest),
            groups=_count(where, "groups", groups, 1),
            diversity=bounded(where, "diversity", diversity, least=0.0, below=np.inf),
            coverage_penalty=bounded(
                where, "coverage_penalty", coverage_penalty, least=0.0, below=np.inf
            ),
        )
        if plan.n_best > plan.beam:
            raise ArgumentError(
                f"{where}: n_best is {n_best}, expected at most beam, {beam}: no more are kept."
            )
        if plan.beam % plan.groups:
            raise ArgumentError(
                f"{where}: groups is {groups}, expected a divisor of beam, {beam}: each group has "
                "the same share of it."
            )
        if plan.diversity and plan.groups == 1:
            raise ArgumentError(
                f"{where}: diversity is {diversity} but groups is 1, expected several."
            )
        for name, value in (("seed", seed), ("row_ids", row_ids)):
            if plan.noise is None and value is not None:
                raise ArgumentError(
                    f"{where}: {name} is {shortened(value)}, but stochastic is False."
                )
        return plan if plan.noise is None else plan._sampling()

    def _sampling(self) -> "Plan":
        """The same for a sample, whose last one is the threshold of those before it."""
        for name, value, none in (
            ("groups", self.groups, 1),
            ("coverage_penalty", self.coverage_penalty, 0),
            ("constraints", self.constraints, None),
        ):
            if value != none:
                raise ArgumentError(
                    f"{self.where}: given {name} with stochastic=True, expected none: what is "
                    "drawn is a sample of what the model says."
                )
        return replace(
            self, beam=self.beam + 1, n_best=self.n_best + 1, length_rule=total,
            early_stopping="never",
        )  # fmt: skip

    def check(self, vocabulary: int, begin: Array) -> None:
        """Raise unless all tokens that are given are among those that step knows."""
        check_vocabulary(self.where, "the tokens of bos", begin, vocabulary)
        check_vocabulary(self.where, "the tokens of prefix", self.prefix.told, vocabulary)
        if self.constraints is not None:
            tokens = self.constraints.tokens
            name = "the tokens of constraints"
            check_vocabulary(self.where, name, tokens[tokens >= 0], vocabulary)
        if self.eos is not None:
            check_vocabulary(self.where, "eos", np.asarray(self.eos), vocabulary)

    def shaped(self, given: Rows, beam: Beam) -> Rows:
        """What the rules and the prefix leave of rows."""
        place = beam.tokens.shape[1] - 1
        if not self.rules and place >= self.prefix.tokens.shape[1]:
            return given
        rows = np.asarray(given)
        return self.prefix(applied(self.rules, rows, beam.tokens), rows, beam.source, place)

    @property
    def most_needed(self) -> int:
        """How many tokens of a row may be asked for.

        One may be ``eos``, those that other groups have taken may be passed over, and those of
        constraints compete in banks of their own.
        """
        most = self.beam + 1 if self.groups == 1 else 2 * self.beam + 1
        return most if self.constraints is None else most + self.constraints.tokens.shape[1]

    def selected(self, candidates: Candidates, length: int) -> tuple[Candidates, Candidates]:
        """What ends, and what goes on, of candidates of ``length`` tokens."""
        width: int | Array = self.beam // self.groups
        banks = 1
        if self.constraints is not None:
            banks = self.constraints.banks
            room = self.max_length - length - (self.eos is not None)
            width = self.constraints.shares(candidates.lane, width, self.groups, room)
        if self.groups == 1:
            return selected(candidates, width, self.eos)
        return diverse(candidates, width, self.eos, self.groups, self.diversity, banks)

    def check_best(self, best: Array, given: Rows, left: Rows) -> None:
        """Raise where no log-probabilities were given, or the rules have left none.

        The maxima of what is left show whether that is worth a look at all of it. A row without
        a token is what rules may well leave.
        """
        if ((best > -np.inf) & (best < ABOVE_ONE - 1)).all():
            return
        check_rows(self.where, np.asarray(given))
        if not (np.asarray(left).max(axis=1) < np.inf).all():
            raise NotFiniteError(f"{self.where}: the rules gave NaN or +inf.")

    def done(self, found: Found, kept: Candidates, length: int) -> Array:
        """Which sources are done, now that hypotheses of ``length`` have been found."""
        exact = self.early_stopping == "never"
        done: Array = found.finished_count >= (self.n_best if exact else self.beam)
        if self.early_stopping is True or not done.any():
            return done
        if length == self.max_length:  # of a sample, what has not finished may be among the best
            return np.zeros_like(done)
        best = np.full(len(done), -np.inf)
        np.maximum.at(best, kept.source, kept.total)
        going_on = np.flatnonzero(best > -np.inf)
        lengths = np.array([length])
        if exact:
            # A total only falls, and a score falls with it: this is the most it can become.
            lengths = np.arange(max(length + 1, self.min_length), self.max_length + 1)
        scores = scores_of(self.where, self.length_rule, best[going_on, None], lengths)
        done[going_on] &= found.reached(self.n_best - 1)[going_on] >= scores.max(axis=1)
        return done
