"""Batches: what an epoch holds, its order, and its place."""

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import data


@st.composite
def settings_of_batches(draw):
    """Numbers 0 to n-1 as examples, in batches of any kind."""
    count = draw(st.integers(1, 40))
    options = {"shuffle": draw(st.booleans()), "seed": draw(st.integers(0, 2**64))}
    if draw(st.booleans()):
        options["lengths"] = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
        options["pool"] = draw(st.integers(1, 4))
        if draw(st.booleans()):
            options["max_tokens"] = draw(st.integers(9, 60))
    if "max_tokens" not in options or draw(st.booleans()):
        options["batch_size"] = draw(st.integers(1, 12))
    return np.arange(count), options


def taken(batches):
    return [batch.tolist() for batch in batches]


@given(settings_of_batches())
def test_every_example_comes_once_an_epoch(drawn):
    examples, options = drawn
    batches = data.Batches(examples, **options)
    for _ in range(2):
        count, epoch = len(batches), taken(batches)
        assert len(epoch) == count
        assert sorted(chain(*epoch)) == examples.tolist()


@given(settings_of_batches(), st.integers(0, 1000))
def test_a_run_goes_on_at_every_place_as_if_there_were_no_break(drawn, place):
    examples, options = drawn
    whole = data.Batches(examples, **options)
    states, run = [whole.state_dict()], []
    for _ in range(2):
        for batch in whole:
            run.append(batch.tolist())
            states.append(whole.state_dict())
    place %= len(states)
    resumed = data.Batches(examples, **{**options, "seed": 5})
    resumed.load_state_dict(states[place])
    rest = []
    while resumed.epoch < 2:
        rest += taken(resumed)
    assert rest == run[place:]


def test_streams_go_on_where_they_were():
    streams = data.Streams(np.arange(50), 3, 4)
    whole = [chunk.x.tolist() for chunk in streams]
    again = data.Streams(np.arange(50), 3, 4)
    next(iter(again))
    state = again.state_dict()
    resumed = data.Streams(np.arange(50), 3, 4)
    resumed.load_state_dict(state)
    assert [chunk.x.tolist() for chunk in resumed] == whole[1:]
