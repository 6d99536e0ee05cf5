"""Exhaustive search that gives up what cannot reach a known score finds what it finds without."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decoding.test_beam import beam_of, searches, shown
from tinygrad_rnn import decoding
from tinygrad_rnn.errors import ArgumentError


def every(model, settings, **more):
    state = model.start(len(settings["bos"]))
    return decoding.exhaustive(model.step, state, vocabulary=model.size, **settings, **more)


@given(searches(longest=5), st.integers(1, 3), st.integers(1, 3))
def test_all_that_reach_a_known_score_are_found(search, beam, n_best):
    model, settings = search
    known = [one[0] for one in beam_of(model, settings, beam=beam)]
    at_least = [one.score if one.finished else -np.inf for one in known]
    some = every(model, settings, n_best=n_best, at_least=at_least)
    all_of_them = every(model, settings, n_best=n_best)
    for few, many, least in zip(some, all_of_them, at_least, strict=True):
        reaching = [one for one in many if one.score >= least]
        assert shown([few[: len(reaching)]]) == shown([reaching])
        assert len(reaching) or least == -np.inf


def test_a_model_that_is_sure_is_searched_whatever_the_vocabulary():
    size, calls = 300, []
    row = np.full(size, np.log(0.1 / (size - 1)))

    def step(tokens, state):
        calls.append(len(tokens))
        rows = np.tile(row, (len(tokens), 1))
        rows[np.arange(len(tokens)), np.minimum(tokens + 1, 30)] = np.log(0.9)
        return rows, state

    settings = {"bos": [1, 9], "eos": 30, "max_length": 50, "length_rule": "none"}
    (first,), (second,) = decoding.beam_search(step, None, **settings)
    found = decoding.exhaustive(
        step, None, vocabulary=size, at_least=[first.score, second.score], **settings
    )
    assert found[0][0].tokens.tolist() == list(range(2, 31))
    # Worse than 29 sure steps are two that are not, so what leaves the way once goes on a while.
    assert found[1][0].tokens.tolist() == list(range(10, 31))
    assert max(calls) < 50 * size


def test_a_model_that_is_not_sure():
    step = lambda tokens, state: (np.full((len(tokens), 90), -np.log(90.0)), state)
    settings = {"vocabulary": 90, "eos": 0, "bos": 1, "max_length": 20, "min_length": 5}
    with pytest.raises(ArgumentError, match="704969 beginnings of 3 tokens may still become"):
        decoding.exhaustive(step, None, at_least=[-50.0], length_rule="none", **settings)
    with pytest.raises(ArgumentError, match="expected a score for each of 1 sources"):
        decoding.exhaustive(step, None, at_least=[-1.0, -2.0], **settings)
