"""Sampling and greedy choice: rows by themselves, ends, seeds, states of any kind, bad input."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.decoding.distributions import TableModel, normalised
from tinygrad_rnn import decoding
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, NotFiniteError, ShapeError

settings_drawn = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.5, 1.0, 2.0]),
        "top_k": st.sampled_from([None, 2, 5]),
        "top_p": st.sampled_from([None, 0.8]),
        "repetition_penalty": st.sampled_from([1.0, 1.5]),
    }
)


@given(settings_drawn, st.integers(1, 5), st.integers(0, 12), st.sampled_from([None, 0, 3]))
def test_a_row_is_what_it_would_be_alone(settings, rows, length, end):
    model, begin = TableModel(6), np.arange(rows) % 6
    together = decoding.sample(
        model.step, model.start(rows), begin, length, end=end, seed=4, **settings
    )
    assert together.tokens.shape == together.log_probs.shape == (rows, length)
    fewer = decoding.sample(
        model.step, model.start(1), begin[:1], length, end=end, seed=4, **settings
    )
    np.testing.assert_array_equal(fewer.tokens[0], together.tokens[0])
    np.testing.assert_array_equal(fewer.log_probs[0], together.log_probs[0])
    for first, tokens, log_probs in zip(begin, *together, strict=True):
        ended = length if end not in tokens else tokens.tolist().index(end) + 1
        assert (tokens[ended:] == end).all()
        assert (log_probs[ended:] == 0).all()
        expected = model.log_probs(np.concatenate([[first], tokens[:ended]]))
        np.testing.assert_array_equal(log_probs[:ended], expected)


@given(st.integers(1, 4), st.integers(0, 9), st.sampled_from([None, 2]))
def test_greedy_takes_the_best_and_top_k_of_one_is_greedy(rows, length, end):
    model, begin = TableModel(5), np.arange(rows) % 5
    best = decoding.greedy(model.step, model.start(rows), begin, length, end=end)
    for first, tokens in zip(begin, best.tokens, strict=True):
        now, total = first, first
        for token in tokens:
            assert token == model.table[now * 5 + total].argmax()
            now, total = token, (total + token) % 5
            if token == end:
                break
    drawn = decoding.sample(model.step, model.start(rows), begin, length, end=end, top_k=1)
    np.testing.assert_array_equal(drawn.tokens, best.tokens)
    np.testing.assert_array_equal(drawn.log_probs, best.log_probs)


@given(st.integers(1, 4), st.sampled_from([None, 2]))
def test_a_stream_is_the_sample_step_by_step(rows, end):
    model, begin = TableModel(5), np.zeros(rows, int)
    whole = decoding.sample(model.step, model.start(rows), begin, 20, end=end, seed=1)
    steps = list(decoding.stream(model.step, model.start(rows), begin, 20, end=end, seed=1))
    np.testing.assert_array_equal(np.stack(steps, axis=1), whole.tokens[:, : len(steps)])
    assert (whole.tokens[:, len(steps) :] == end).all()


def test_rows_that_have_ended_are_left_out_of_further_steps():
    model = TableModel(4)
    samples = decoding.sample(model.step, model.start(5), [0, 1, 2, 3, 0], 30, end=1, seed=0)
    for place, names in enumerate(model.calls):
        going_on = ~(samples.tokens[:, :place] == 1).any(axis=1)
        assert names == [f"row {row}" for row in np.flatnonzero(going_on)]
    assert len(model.calls[-1]) < 5


def test_several_tokens_to_begin_with_are_read():
    model = TableModel(5)
    given_tokens = np.array([[1, 2, 3], [0, 0, 4]])
    whole = decoding.greedy(model.step, model.start(2), given_tokens, 6)
    state = {**model.start(2), "sum": given_tokens[:, :-1].sum(axis=1) % 5}
    behind = decoding.greedy(model.step, state, given_tokens[:, -1], 6)
    np.testing.assert_array_equal(whole.tokens, behind.tokens)


def test_tokens_come_as_often_as_they_are_probable():
    p = np.array([[0.5, 0.25, 0.125, 0.125, 0.0]])
    step = lambda tokens, state: (np.repeat(normalised(p), len(tokens), axis=0), state)
    drawn = decoding.sample(step, None, np.zeros(200, int), 100, seed=3).tokens
    share = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    np.testing.assert_allclose(share, p[0], atol=0.02)
    assert share[4] == 0
    halved = decoding.sample(step, None, np.zeros(200, int), 100, seed=3, temperature=0.5).tokens
    np.testing.assert_allclose((halved == 0).mean(), 0.25 / 0.34375, atol=0.02)


def test_seeds():
    model = TableModel(9)
    run = lambda seed: decoding.sample(model.step, model.start(2), [0, 0], 20, seed=seed).tokens
    np.testing.assert_array_equal(run(5), run(5))
    assert (run(5) != run(6)).any()
    assert (run(5)[0] != run(5)[1]).any()  # rows have numbers of their own
    tg.seed(1)
    first, second = run(None), run(None)
    assert (first != second).any()
    tg.seed(1)
    np.testing.assert_array_equal(run(None), first)


class State(NamedTuple):
    h: tg.Tensor
    more: tuple


def test_states_are_trees_of_any_arrays():
    names = [{1}, "b", None]
    state = State(tg.arange(6).reshape(3, 2), ({"c": [np.arange(3)]}, None, 7, names))
    taken = decoding.take(state, np.array([2, 0, 2]), 3)
    assert isinstance(taken, State)
    assert taken.h.numpy().tolist() == [[4, 5], [0, 1], [4, 5]]
    first, nothing, number, items = taken.more
    assert first["c"][0].tolist() == [2, 0, 2]
    assert (nothing, number, items) == (None, 7, [None, {1}, None])


def test_steps_record_nothing():
    weight = tg.randn(4, 4, requires_grad=True)
    seen = []

    def step(tokens, h):
        scores = h @ weight
        seen.append(scores.requires_grad)
        return scores.log_softmax(), scores

    tokens = decoding.stream(step, tg.randn(2, 4), [0, 1], 3)
    next(tokens)
    assert (tg.randn(1, 4) @ weight).requires_grad  # the mode does not leak from a stream
    assert len(list(tokens)) == 2
    assert seen == [False] * 3


def uniform(tokens, state):
    return np.full((len(tokens), 4), -np.log(4.0)), state


def test_no_rows_and_no_length():
    assert decoding.sample(uniform, None, np.zeros(0, int), 3).tokens.shape == (0, 3)
    assert decoding.greedy(uniform, None, [1, 2], 0).tokens.shape == (2, 0)
    assert list(decoding.stream(uniform, None, [1, 2], 0)) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.0, -np.inf], [np.nan, 0.0]], "sample: step gave NaN in row 1, for token 0"),
        ([[-np.inf, -np.inf], [-1e4, 0.0]], "sample: step gave row 0 no token to go on with"),
        ([[0.0, -np.inf], [np.inf, 0.0]], "in row 1 sum up to inf, expected 1"),
        ([[0.0, -np.inf], [0.0, 0.0]], "in row 1 sum up to 2, expected 1.*log_softmax"),
        ([[0.0, -np.inf]], r"shape \(1, 2\), expected \(2, V\)"),
        ([0.0, -np.inf], r"shape \(2,\), expected \(2, V\)"),
        ([[], []], r"shape \(2, 0\), expected \(2, V\)"),
    ],
)
def test_rows_that_are_no_distributions(rows, message):
    with pytest.raises((NotFiniteError, ArgumentError, ShapeError), match=message):
        decoding.sample(lambda tokens, state: (np.array(rows), state), None, [0, 1], 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *[({name: -1}, f"sample: {name} is -1, expected a ") for name in ("length", "end", "seed")],
        ({"length": 1.5}, "sample: length is 1.5, expected a whole"),
        *[
            ({name: "much"}, f"sample: {name} is 'much', expected a ")
            for name in (
                "temperature",
                "top_k",
                "top_p",
                "min_p",
                "typical_p",
                "repetition_penalty",
            )
        ],
        ({"temperature": 0}, "sample: temperature is 0, expected a number above 0"),
        ({"rules": [3]}, r"sample: rules\[0\] is 3, expected a function"),
        ({"rules": [lambda rows, tokens: rows - np.inf]}, "the rules leave row 0 no token"),
        ({"rules": [lambda rows, tokens: rows + np.inf]}, "the rules leave row 0 no token"),
        ({"rules": [lambda rows, tokens: rows[:, :2]]}, r"gave \(1, 2\), expected .* \(1, 4\)"),
        ({"rules": [lambda rows, tokens: None]}, r"gave None, expected .* \(1, 4\)"),
        ({"rules": 3}, "sample: rules is 3, expected a list of functions"),
        ({"tokens": [0.5]}, r"sample: tokens is \[0.5\], expected whole numbers"),
        ({"tokens": 3}, r"sample: tokens has shape \(\), expected \(rows,\)"),
        ({"tokens": [[], []]}, r"sample: tokens has shape \(2, 0\), expected .* at least one"),
        ({"tokens": [4]}, "sample: tokens go from 4 to 4, expected 0 to 3"),
        ({"tokens": [1, -1]}, "sample: tokens go from -1 to 1, expected 0 to 3"),
        ({"step": lambda tokens, state: state}, r"step returned None, expected \(log_probs, state"),
    ],
)
def test_bad_arguments(arguments, message):
    given_arguments = {"step": uniform, "state": None, "tokens": [0], "length": 3} | arguments
    with pytest.raises((ArgumentError, ShapeError, IndexRangeError, NotFiniteError), match=message):
        decoding.sample(**given_arguments)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (np.zeros((3, 2)), r"array of shape \(3, 2\), expected 2 rows"),
        ((tg.zeros(()),), r"array of shape \(\), expected 2 rows"),
        ([1, 2, 3], r"a list without arrays, \[1, 2, 3\], expected an item for each of 2 rows"),
        ([[np.zeros(2)], np.zeros(3)], r"array of shape \(3,\), expected 2 rows"),
        ({"h": object()}, "holds a object, expected arrays"),
    ],
)
def test_states_that_have_no_rows(state, message):
    with pytest.raises((ShapeError, ArgumentError), match=message):
        decoding.take(state, np.array([1]), 2)
