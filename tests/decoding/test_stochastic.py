"""Stochastic beams are samples without replacement of all the sequences there are."""

from itertools import permutations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.decoding.distributions import TableModel
from tinygrad_rnn import decoding
from tinygrad_rnn.decoding import Banned, Forced, Temperature
from tinygrad_rnn.decoding.rules import normalised
from tinygrad_rnn.errors import ArgumentError, NotFiniteError, ShapeError

MANY = 1500
SEARCH = {"eos": 2, "max_length": 3}


def drawn(model, sources=1, *, beam, **more):
    settings = {"bos": [1] * sources, "n_best": beam, "stochastic": True, "seed": 0, **SEARCH}
    return decoding.beam_search(model.step, model.start(sources), beam=beam, **(settings | more))


def every(model):
    """All sequences, and how probable they are."""
    (found,) = decoding.exhaustive(
        model.step, model.start(1), vocabulary=model.size, bos=1, n_best=999, **SEARCH
    )
    return {tuple(one.tokens): np.exp(one.log_prob) for one in found}


def near(counts, expected, of=MANY):
    """Whether frequencies are those of probabilities, by five standard errors."""
    error = np.sqrt(np.maximum(expected * (1 - expected), 1 / of) / of)
    assert (np.abs(np.asarray(counts) / of - expected) < 5 * error).all()


def test_what_is_drawn_is_a_sample_without_replacement():
    model = TableModel(3, 4)
    probable = every(model)
    samples = [tuple(tuple(one.tokens) for one in some) for some in drawn(model, MANY, beam=3)]
    assert all(len(set(some)) == 3 for some in samples)
    chance = {}
    for some in permutations(probable, 3):
        p, left = 1.0, 1.0
        for one in some:
            p, left = p * probable[one] / left, left - probable[one]
        chance[some] = p
    assert set(samples) <= set(chance)
    for place in range(3):
        counts = [sum(some[place] == one for some in samples) for one in probable]
        alike = [sum(p for some, p in chance.items() if some[place] == one) for one in probable]
        near(counts, np.array(alike))
    likely = sorted(chance, key=chance.get)[-20:]
    near([samples.count(some) for some in likely], np.array([chance[some] for some in likely]))


@pytest.mark.parametrize("rules", [[], [Temperature(2.0)]])
@pytest.mark.parametrize("n_best", [2, 4])
def test_weights_make_sums_that_are_right_on_average(rules, n_best):
    model = TableModel(3, 4)
    probable = every(model)
    score = lambda tokens: len(tokens) + 2.0 * (tokens[0] == 0)
    sums = []
    for some in drawn(model, MANY, beam=4, n_best=n_best, rules=rules):
        assert len(some) == n_best
        weights = [np.exp(one.log_prob) / one.inclusion for one in some]
        values = [score(one.tokens) for one in some]
        sums.append([np.sum(weights), np.dot(weights, values)])
    expected = [1.0, sum(p * score(tokens) for tokens, p in probable.items())]
    error = np.std(sums, axis=0) / np.sqrt(MANY)
    assert (error < 0.1).all()
    assert (np.abs(np.mean(sums, axis=0) - expected) < 4 * error + 1e-12).all()


def test_scores_are_gumbels_with_the_threshold_below():
    model = TableModel(3, 1)
    found = drawn(model, MANY, beam=2)
    best = np.array([some[0].score for some in found])
    assert abs(best.mean() - np.euler_gamma) < 5 * np.pi / np.sqrt(6 * MANY)
    wider = drawn(model, MANY, beam=3)
    for some, more in zip(found, wider, strict=True):
        assert [one.score for one in some] == sorted((one.score for one in some), reverse=True)
        tokens = [one.tokens.tolist() for one in some]
        assert tokens == [one.tokens.tolist() for one in more[:2]]
        for one in some:
            share = 1 - np.exp(-np.exp(one.drawn - more[2].score))
            np.testing.assert_allclose(one.inclusion, share, rtol=1e-9)


def test_a_beam_of_all_sequences_has_them_all():
    model = TableModel(3, 2)
    (found,) = drawn(model, beam=40)
    probable = every(model)
    assert {tuple(one.tokens) for one in found} == set(probable)
    assert len(found) == len(probable)
    assert {one.inclusion for one in found} == {1.0}
    assert any(one.finished for one in found)
    for one in found:
        np.testing.assert_allclose(np.exp(one.drawn), probable[tuple(one.tokens)], rtol=1e-9)
        assert one.drawn == pytest.approx(one.log_prob)


def shown(found):
    return [[(one.tokens.tolist(), one.score, one.inclusion) for one in some] for some in found]


def test_a_seed_is_a_sample_whatever_other_sources_there_are():
    model = TableModel(4, 1)
    once = shown(drawn(model, 3, beam=4))
    assert shown(drawn(model, 3, beam=4)) == once
    assert shown(drawn(model, 1, beam=4)) == once[:1]
    assert shown(drawn(model, 5, beam=4))[:3] == once
    assert once[0] != once[1]
    assert shown(drawn(model, 3, beam=4, seed=1)) != once
    assert shown(drawn(model, 3, beam=4, n_best=2)) != once
    tg.seed(3)
    free = shown(drawn(model, 2, beam=4, seed=None))
    assert shown(drawn(model, 2, beam=4, seed=None)) != free
    tg.seed(3)
    assert shown(drawn(model, 2, beam=4, seed=None)) == free


def test_it_draws_from_what_the_rules_leave():
    model = TableModel(4, 1)
    rules = [Banned([0]), Temperature(1.5)]
    how = {"rules": rules, "prefix": [3], "min_length": 3, "max_length": 4}
    found = drawn(model, 20, beam=5, **how)
    for some in found:
        assert len(some) == 5
        for one in some:
            tokens, log_prob = [1, *one.tokens], 0.0
            assert tokens[1] == 3
            assert 0 not in tokens
            assert 2 not in tokens[:3]
            totals = np.cumsum(tokens) % 4
            for place in range(1, len(tokens) - 1):  # behind the prefix
                row = model.table[[tokens[place] * 4 + totals[place]]].copy()
                row[0, 0] = -np.inf
                row = rules[1](row, None)
                if place + 1 < 3:
                    row[0, 2] = -np.inf
                log_prob += normalised(row)[0, tokens[place + 1]]
            assert one.drawn == pytest.approx(log_prob)
            forced = decoding.score(model.step, model.start(1), [one.tokens], bos=1)
            assert one.log_prob == pytest.approx(forced.sum())


def test_rules_need_not_leave_distributions():
    model = TableModel(4, 1)
    some, same = (drawn(model, beam=4, rules=rules) for rules in ([], [lambda rows, _: rows + 5]))
    assert [one.tokens.tolist() for one in some[0]] == [one.tokens.tolist() for one in same[0]]


def test_beginnings_are_no_part_of_a_sample():
    (found,) = drawn(TableModel(4, 1), beam=9, rules=[Forced({1: 2})])
    assert sorted(one.tokens.tolist() for one in found) == [[0, 2], [1, 2], [2], [3, 2]]
    assert all(one.finished for one in found)
    assert sum(np.exp(one.drawn) for one in found) == pytest.approx(1.0)


def test_the_tree_and_early_stopping():
    model = TableModel(4, 5)
    how = {"beam": 3, "max_length": 12, "bos": [0, 1]}
    found, trees = drawn(model, 2, return_tree=True, **how)
    calls = len(model.calls)
    assert calls < 12  # it ends when the rest are below the threshold
    for some, tree in zip(found, trees, strict=True):
        best = [node for _, node in tree.walk() if node.best]
        assert [node.token for node in best][1:] == some[0].tokens.tolist()
        assert best[-1].total == some[0].score
    assert shown(drawn(model, 2, early_stopping="never", length_rule="none", **how)) == shown(found)


def test_what_cannot_be_drawn():
    nothing = lambda rows, tokens: np.full_like(rows, -np.inf)
    wrong = lambda rows, tokens: rows * np.nan
    for rule, message in (
        (nothing, "the rules leave a hypothesis no token that can be drawn"),
        (wrong, "the rules gave NaN or .inf"),
    ):
        with pytest.raises(NotFiniteError, match=f"beam_search: {message}"):
            drawn(TableModel(3), beam=2, rules=[rule])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stochastic": 1}, "stochastic is 1, expected True or False"),
        ({"seed": -1}, "beam_search: seed is -1, expected a whole number from 0 up"),
        ({"stochastic": False}, "seed is 0, but stochastic is False"),
        ({"groups": 2}, "groups with stochastic=True, expected none"),
        ({"coverage_penalty": 0.5}, "coverage_penalty with stochastic=True, expected none"),
        ({"constraints": [[1]]}, "constraints with stochastic=True, expected none"),
        ({"n_best": 3}, "n_best is 3, expected at most beam, 2"),
    ],
)
def test_settings_that_are_none(changes, message):
    with pytest.raises(ArgumentError, match=message):
        drawn(TableModel(3), beam=2, **changes)


def test_a_sample_goes_by_the_name_of_its_source():
    model = TableModel(3, 4)
    found = [one.tokens.tolist() for one in drawn(model, 3, beam=2)[2]]
    (alone,) = drawn(model, 1, beam=2, row_ids=[2])
    assert [one.tokens.tolist() for one in alone] == found
    with pytest.raises(ShapeError, match="row_ids names 2 sources, expected 1"):
        drawn(model, 1, beam=2, row_ids=[2, 3])
    with pytest.raises(ArgumentError, match=r"row_ids is .* but stochastic is False"):
        drawn(model, 1, beam=2, row_ids=[2], stochastic=False, seed=None)
