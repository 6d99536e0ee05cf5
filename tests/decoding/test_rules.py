"""Rules: each does what its definition says, to every row by itself, and never leaves nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decoding.distributions import distributions, normalised
from tinygrad_rnn import decoding
from tinygrad_rnn.decoding import Banned, MinP, RepetitionPenalty, Temperature, TopK, TopP, Typical
from tinygrad_rnn.errors import ArgumentError, IndexRangeError

shares = st.floats(0.01, 1.0)
rules = st.one_of(
    st.builds(Temperature, st.floats(1e-3, 1e3)),
    st.builds(TopK, st.integers(1, 12)),
    st.builds(TopP, shares),
    st.builds(MinP, st.floats(0.0, 1.0)),
    st.builds(Typical, shares),
    st.builds(RepetitionPenalty, st.floats(0.1, 10.0)),
)
NOTHING = np.zeros((9, 0), np.int64)


def drawn_tokens(data, rows):
    count = data.draw(st.integers(0, 3))
    tokens = st.lists(st.integers(0, rows.shape[1] - 1), min_size=count, max_size=count)
    return np.array([data.draw(tokens) for _ in rows], np.int64).reshape(len(rows), count)


@given(distributions(), rules, st.data())
def test_what_is_left_is_a_distribution_of_tokens_that_were_there(rows, rule, data):
    before, tokens = rows.copy(), drawn_tokens(data, rows)
    left = rule(rows, tokens)
    np.testing.assert_array_equal(rows, before)
    np.testing.assert_allclose(np.exp(left).sum(axis=1), 1.0, rtol=1e-12)
    assert not (np.isfinite(left) & ~np.isfinite(rows)).any()


@given(distributions(), rules, st.data())
def test_a_row_is_changed_by_itself(rows, rule, data):
    tokens = drawn_tokens(data, rows)
    for n, together in enumerate(rule(rows, tokens)):
        np.testing.assert_array_equal(rule(rows[n : n + 1], tokens[n : n + 1])[0], together)


@given(distributions(), st.integers(1, 12))
def test_top_k_keeps_the_best_and_of_equal_ones_the_first(rows, k):
    for row, left in zip(rows, TopK(k)(rows, NOTHING), strict=True):
        best = sorted(range(len(row)), key=lambda token: (-row[token], token))[:k]
        expected = [token for token in sorted(best) if row[token] > -np.inf]
        assert np.flatnonzero(left > -np.inf).tolist() == expected


def fewest(p, order, share):
    """The first of the order that together have the share, p = 0 left out."""
    count = next(n for n in itertools.count(1) if n == len(p) or p[order[:n]].sum() >= share)
    return sorted(token for token in order[:count] if p[token] > 0)


@given(distributions(), shares)
def test_top_p_keeps_the_fewest_that_have_the_share(rows, share):
    for row, left in zip(rows, TopP(share)(rows, NOTHING), strict=True):
        order = sorted(range(len(row)), key=lambda token: (-row[token], token))
        kept = np.flatnonzero(left > -np.inf).tolist()
        sums = np.cumsum(np.exp(row)[order])
        if np.abs(sums - share).min() > 1e-12:  # where rounding decides there is no definition
            assert kept == fewest(np.exp(row), order, share)


@given(distributions(), shares)
def test_typical_keeps_the_fewest_that_are_nearest_to_the_entropy(rows, share):
    for row, left in zip(rows, Typical(share)(rows, NOTHING), strict=True):
        p = np.exp(row)
        entropy = -sum(x * np.log(x) for x in p if x > 0)
        distance = np.abs(-row - entropy)
        order = sorted(range(len(row)), key=lambda token: (distance[token], token))
        there = distance[p > 0]
        gaps = np.abs(np.subtract.outer(there, there))
        ties = (gaps > 0) & (gaps < 1e-12)  # told apart by rounding alone
        if not ties.any() and np.abs(np.cumsum(p[order]) - share).min() > 1e-12:
            assert np.flatnonzero(left > -np.inf).tolist() == fewest(p, order, share)


@given(distributions(), st.floats(0.0, 1.0))
def test_min_p_keeps_what_is_near_the_best(rows, share):
    for row, left in zip(rows, MinP(share)(rows, NOTHING), strict=True):
        p = np.exp(row)
        if np.abs(p - share * p.max())[p < p.max()].min(initial=1.0) > 1e-12:
            np.testing.assert_array_equal(left > -np.inf, (p > 0) & (p >= share * p.max()))


@given(distributions(), st.floats(0.05, 20.0))
def test_temperature_is_a_power(rows, temperature):
    p = np.exp(rows - rows.max(axis=1, keepdims=True)) ** (1 / temperature)
    np.testing.assert_allclose(
        np.exp(Temperature(temperature)(rows, NOTHING)), p / p.sum(axis=1, keepdims=True), 1e-9
    )


@given(distributions(), st.floats(0.1, 10.0), st.data())
def test_the_penalty_is_a_power_for_what_was_there_before(rows, penalty, data):
    tokens, p = drawn_tokens(data, rows), np.exp(rows)
    for row, had in zip(p, tokens, strict=True):
        row[np.unique(had)] **= penalty  # once, however often it was there
    expected = p / p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(RepetitionPenalty(penalty)(rows, tokens)), expected, 1e-9)


@pytest.mark.parametrize("rule", [TopK(9), TopP(1.0), MinP(0.0), Typical(1.0), Temperature(1.0)])
@given(rows=distributions())
def test_what_changes_nothing(rule, rows):
    np.testing.assert_allclose(np.exp(rule(rows, NOTHING)), np.exp(rows), rtol=1e-12)
    np.testing.assert_array_equal(rule(rows, NOTHING) > -np.inf, rows > -np.inf)


@given(distributions(), st.sampled_from([TopK(1), TopP(1e-9), MinP(1.0)]))
def test_the_narrowest_rules_are_greedy(rows, rule):
    left = rule(rows, NOTHING)
    np.testing.assert_array_equal(left.argmax(axis=1), rows.argmax(axis=1))


def test_typical_may_leave_out_the_most_probable():
    rows = normalised(np.array([[0.4, *[0.1] * 6]]))
    assert np.isinf(Typical(0.3)(rows, NOTHING)[0, 0])


@pytest.mark.parametrize("temperature", [1e-300, 1e300])
def test_no_temperature_empties_a_row(temperature):
    rows = np.array([[-700.0, -0.0, -np.inf], [-1.0, -2.0, -3.0]])
    assert np.isfinite(Temperature(temperature)(rows, NOTHING).max(axis=1)).all()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *[(Temperature, value) for value in (0, -1, np.inf, np.nan, "1", True, None)],
        *[(TopK, value) for value in (0, -1, 1.5, "1", True)],
        *[(TopP, value) for value in (0, 1.1, -1, np.nan, True)],
        *[(Typical, value) for value in (0, 1.1, -1, np.nan)],
        *[(MinP, value) for value in (1.1, -0.1, np.nan)],
        *[(RepetitionPenalty, value) for value in (0, -1, np.inf, np.nan)],
    ],
)
def test_values_that_are_none(kind, value):
    with pytest.raises(ArgumentError, match=rf"^{kind.__name__}: \w+ is .*, expected a "):
        kind(value)


def test_all_rules_are_there():
    kinds = {value for value in vars(decoding).values() if isinstance(value, type)}
    assert {Temperature, TopK, TopP, MinP, Typical, RepetitionPenalty} <= kinds


def test_who_writes_into_tokens_changes_no_hypothesis():
    rows = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 4))
    search = {"bos": 1, "eos": 0, "beam": 3, "n_best": 3, "max_length": 5}

    def found(careless):
        def step(tokens, state):
            given = rows[tokens]
            if careless:
                tokens[:] = 0
            return given, state

        return [one.tokens.tolist() for one in decoding.beam_search(step, None, **search)[0]]

    def rule(log_probs, tokens):
        tokens[:] = 0
        return log_probs

    assert found(True) == found(False)
    with pytest.raises(ValueError, match="read-only"):
        decoding.beam_search(lambda tokens, s: (rows[tokens], s), None, rules=[rule], **search)


def test_the_end_is_a_token_of_the_vocabulary():
    step = lambda tokens, state: (np.full((len(tokens), 4), np.log(0.25)), state)
    with pytest.raises(IndexRangeError, match="greedy: end is 99, expected 0 to 3"):
        decoding.greedy(step, None, [0], 3, end=99)


def test_a_nucleus_is_of_what_masks_have_left():
    rows = np.log([[0.4, 0.3, 0.2, 0.1]])
    left = Banned([0])(rows, np.zeros((1, 1), np.int64))
    kept = TopP(0.6)(left, np.zeros((1, 1), np.int64))
    np.testing.assert_allclose(np.exp(kept), [[0, 0.6, 0.4, 0]])
