"""Beam search: the best sequences, found by keeping a few at every step."""

from collections.abc import Sequence
from typing import Any, Literal, Unpack, overload

import numpy as np

from tinygrad_rnn.arguments import flag, function_of
from tinygrad_rnn.decoding.candidates import Candidates, likely
from tinygrad_rnn.decoding.hypotheses import Beam, Found, Hypothesis
from tinygrad_rnn.decoding.lengths import LengthRule
from tinygrad_rnn.decoding.log_probs import Rows
from tinygrad_rnn.decoding.plan import Plan
from tinygrad_rnn.decoding.protocol import Step, begin_of, next_log_probs
from tinygrad_rnn.decoding.rules import Rule, normalised
from tinygrad_rnn.decoding.settings import Settings
from tinygrad_rnn.decoding.stochastic import with_inclusion, with_maximum
from tinygrad_rnn.decoding.tree import Node, Trees
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import NotFiniteError

__all__ = ["beam_search"]

_WHERE = "beam_search"


@overload
def beam_search(
    step: Step, state: Any, *, return_tree: Literal[False] = False, **settings: Unpack[Settings]
) -> list[list[Hypothesis]]: ...
@overload
def beam_search(
    step: Step, state: Any, *, return_tree: Literal[True], **settings: Unpack[Settings]
) -> tuple[list[list[Hypothesis]], list[Node]]: ...
def beam_search(
    step: Step,
    state: Any,
    *,
    bos: Any,
    eos: int | None,
    beam: int = 5,
    max_length: int = 50,
    min_length: int = 0,
    length_rule: str | LengthRule = "average",
    n_best: int = 1,
    early_stopping: bool | str = False,
    coverage_penalty: float = 0.0,
    no_repeat_ngram: int = 0,
    rules: Sequence[Rule] = (),
    prefix: Any = None,
    constraints: Any = None,
    groups: int = 1,
    diversity: float = 0.0,
    stochastic: bool = False,
    seed: int | None = None,
    row_ids: Any = None,
    return_tree: bool = False,
) -> list[list[Hypothesis]] | tuple[list[list[Hypothesis]], list[Node]]:
    """Find likely sequences: of all that are one token longer keep the ``beam`` best, and again.

        best = decoding.beam_search(model.step, state, beam=5, bos=1, eos=2)
        best[0][0].tokens                   # of the first source the best hypothesis

    There is a list for each source, the best first, and it is never empty: where too few have
    finished, unfinished ones follow, and say so. Lengths count ``eos``, and not ``bos``. The
    same things are found for a source whatever others there are, and of equally good ones that
    which stood further ahead in the beam is the better one, then the lower token.

    Args:
        step: What the model is; see ``tinygrad_rnn.decoding``.
        state: The state before ``bos``, one row for each source.
        bos: The token to begin with, or one for each source, (sources,).
        eos: The token that ends a sequence; None if none does.
        beam: How many hypotheses a source keeps.
        max_length: The most tokens of a hypothesis.
        min_length: The fewest tokens of one that has finished.
        length_rule: "none", "average", "power", "gnmt", or a function; ``decoding.lengths``.
        n_best: How many hypotheses to return for each source, at most ``beam``.
        early_stopping: When a source is done. True: when ``beam`` hypotheses have finished.
            False: when, besides, none that goes on has a better score by now than the
            ``n_best``. "never": when no other one can come among these, however it goes on.
        coverage_penalty: β of β Σ log min(Σ attention, 1), which is added to scores, so that
            all of the source is looked at (Wu et al. 2016); ``step`` must tell the attention.
        no_repeat_ngram: So many tokens in a row may not be there twice; 0 allows all.
        rules: Functions ``rule(log_probs, tokens)``, in this order, by which hypotheses are
            chosen; ``log_prob`` remains the model's. ``tokens`` begin with ``bos``.
        prefix: Tokens that hypotheses begin with, or one sequence for each source. They count
            as others do, but the rules do not apply to them.
        constraints: Phrases, lists of tokens, that must be in a hypothesis, [[5, 6], [7]]; or
            such a list for each source. They may overlap; one that is told twice must be there
            twice. A hypothesis has not finished before it has all of them; where none does, the
            first one is one that lacks the fewest tokens, ``missing``.
        groups: Into how many groups a beam is divided, each a search of its own.
        diversity: How much less a token is worth to a group for each time that groups before
            it have taken it at the same step (Vijayakumar et al. 2016); scores are as ever.
        stochastic: Draw a sample of ``beam`` sequences without replacement, and return the first
            ``n_best``, by log-probabilities with noise, ``score``. The length rule and early
            stopping have no say. exp(log_prob) / ``inclusion`` is the weight with which the sum
            of any f(tokens) over them has the expectation of f as its mean.
        seed: The same seed draws the same; None takes the library's stream, ``tg.seed``.
        row_ids: Names of the sources, whole numbers, by which a sample is drawn; their places, if
            not given.
        return_tree: Return (best, trees): for each source also the tree that was looked at,
            with ``text()`` for a terminal and ``page()`` in HTML. To write it down takes time.
    """
    function_of(_WHERE, "step", step)
    begin = begin_of(_WHERE, bos, state)
    plan = Plan.of(
        _WHERE, beam=beam, eos=eos, max_length=max_length, min_length=min_length,
        length_rule=length_rule, n_best=n_best, early_stopping=early_stopping, rules=rules,
        no_repeat_ngram=no_repeat_ngram, prefix=prefix, sources=len(begin), constraints=constraints,
        coverage_penalty=coverage_penalty, groups=groups, diversity=diversity,
        stochastic=stochastic, seed=seed, row_ids=row_ids,
    )  # fmt: skip
    trees = Trees(begin, plan.beam) if flag(_WHERE, "return_tree", return_tree) else None
    best = _searched(step, plan, begin, state, trees).best(plan.n_best)
    if plan.noise is not None:
        best = [with_inclusion(one, plan.n_best - 1) for one in best]
    return best if trees is None else (best, trees.marked(best))


def _searched(step: Step, plan: Plan, begin: Array, state: Any, trees: Trees | None) -> Found:
    found = Found(
        _WHERE, plan.length_rule, len(begin), plan.beam, plan.coverage_penalty, plan.constraints
    )
    beam = Beam.of(begin, state, plan.groups)
    if plan.noise is not None:
        beam = beam._replace(total=plan.noise.begin(), drawn=np.zeros(len(begin)))
    for length in range(1, plan.max_length + 1 if len(begin) else 1):
        first = length == 1
        rows, state, more = next_log_probs(_WHERE, step, beam.tokens[:, -1], beam.state, first)
        if first:
            plan.check(rows.shape[1], begin)
        candidates = (_candidates if plan.noise is None else _drawn)(plan, beam, rows, length)
        ended, kept = plan.selected(candidates, length)
        if trees is not None:
            trees.add(beam, candidates, ended, kept)
        if len(ended.row):
            found.add(beam.longer(ended, rows, None, more), finished=True)
        followed = np.zeros(len(begin), np.bool_)
        followed[kept.source] = True
        stuck = ~followed[beam.source]
        if plan.noise is None and stuck.any():  # else all of a sample have ended
            found.add(beam.only(stuck), finished=False)
        done = plan.done(found, kept, length)
        if done.any():
            kept = kept.only(~done[kept.source])
        beam = beam.longer(kept, rows, state, more)
        if not len(beam.source):
            break
    found.add(beam, finished=False)
    return found


def _candidates(plan: Plan, beam: Beam, rows: Rows, length: int) -> Candidates:
    given, rows = rows, plan.shaped(rows, beam)
    row, token, best = likely(rows, plan.most_needed)
    plan.check_best(best, given, rows)
    if plan.constraints is not None:
        row, token = plan.constraints.added(rows, beam.source, row, token)
    if plan.eos is not None and length < plan.min_length:
        row, token = row[token != plan.eos], token[token != plan.eos]
    step = rows[row, token].astype(np.float64)
    source = beam.source[row]
    lane = source * plan.groups + beam.group[row]
    found = Candidates(source, lane, row, token, step, beam.total[row] + step)
    if plan.constraints is None:
        return found
    return plan.constraints.in_banks(found, beam.source, beam.tokens, plan.eos)


def _drawn(plan: Plan, beam: Beam, given: Rows, length: int) -> Candidates:
    """Those of a stochastic beam: totals with noise, of the distribution that is drawn from."""
    assert plan.noise is not None
    assert beam.drawn is not None
    rows = np.asarray(plan.shaped(np.asarray(given, np.float64), beam))
    if plan.eos is not None and length < plan.min_length:
        rows = rows.copy()
        rows[:, plan.eos] = -np.inf
    best = rows.max(axis=1)
    plan.check_best(best, given, rows)
    if not (best > -np.inf).all():
        raise NotFiniteError(f"{_WHERE}: the rules leave a hypothesis no token that can be drawn.")
    rows = normalised(rows)
    noisy = beam.drawn[:, None] + rows + plan.noise.rows(beam.source, rows.shape[1])
    row, token, best = likely(noisy, plan.most_needed)
    total = with_maximum(noisy[row, token], best[row], beam.total[row])
    source = beam.source[row]
    return Candidates(source, source, row, token, rows[row, token], total)
