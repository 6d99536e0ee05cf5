"""Streams: chunk by chunk the columns of the text, with what comes next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import data
from tinygrad_rnn.errors import ArgumentError, ShapeError, StateDictError


@st.composite
def settings_of_streams(draw):
    batch_size, steps = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    count = draw(st.integers(batch_size * steps + 1, 200))
    return np.arange(count) * 3, batch_size, steps, draw(st.booleans())


@given(settings_of_streams())
def test_chunks_are_the_columns_of_the_text(drawn):
    text, batch_size, steps, drop_last = drawn
    streams = data.Streams(text, batch_size, steps, drop_last=drop_last)
    chunks = list(streams)
    assert len(chunks) == len(streams)
    assert [chunk.first for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert {len(chunk.x) for chunk in chunks[:-1]} <= {steps}
    assert 0 < len(chunks[-1].x) <= steps
    x, y = (np.concatenate([chunk[part] for chunk in chunks]) for part in (0, 1))
    np.testing.assert_array_equal(y, x + 3)  # the next token of the text, also at the end
    length = (len(text) - 1) // batch_size
    used = length - (length % steps if drop_last else 0)
    columns = [text[b * length : b * length + used] for b in range(batch_size)]
    np.testing.assert_array_equal(x, np.stack(columns, axis=1))


@given(settings_of_streams(), st.integers(0, 300), st.booleans(), st.booleans())
def test_streams_go_on_where_they_were(drawn, place, background, vary):
    text, batch_size, steps, drop_last = drawn
    options = {"vary": True, "seed": 5} if vary else {"drop_last": drop_last}
    make = lambda: data.Streams(text, batch_size, steps, **options)
    whole = make()
    states, run = [whole.state_dict()], []
    for _ in range(2):
        for chunk in whole:
            run.append((chunk.x.tolist(), chunk.first))
            states.append(whole.state_dict())
    place %= len(states)
    resumed = data.Background(make()) if background else make()
    resumed.load_state_dict(states[place])
    rest = []
    while resumed.epoch < 2:
        rest += [(chunk.x.tolist(), chunk.first) for chunk in resumed]
    assert rest == run[place:]


def test_lengths_vary_and_leave_nothing_out():
    """95 % of them around the steps, the others around half, with a deviation of 5."""
    streams = data.Streams(np.arange(200_001), 1, 70, vary=True)
    lengths, orders = [], []
    for _ in range(3):
        chunks = list(streams)
        np.testing.assert_array_equal(
            np.concatenate([chunk.x for chunk in chunks])[:, 0], np.arange(200_000)
        )
        assert [chunk.first for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
        orders.append([len(chunk.x) for chunk in chunks])
        lengths += orders[-1][:-1]
    assert orders[0] != orders[1]
    lengths = np.array(lengths)
    short = lengths < 52
    assert short.mean() == pytest.approx(0.05, abs=0.01)
    # int() takes half a step away, as in the paper's own code
    assert lengths[~short].mean() == pytest.approx(69.5, abs=0.5)
    assert lengths[~short].std() == pytest.approx(5, abs=0.3)
    assert lengths[short].mean() == pytest.approx(34.5, abs=1)
    again = data.Streams(np.arange(200_001), 1, 70, vary=True)
    assert [len(chunk.x) for chunk in again] == orders[0]
    other = data.Streams(np.arange(200_001), 1, 70, vary=True, seed=1)
    assert [len(chunk.x) for chunk in other] != orders[0]


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_short_chunks_vary_as_far_as_they_can(steps):
    chunks = list(data.Streams(np.arange(101), 1, steps, vary=True))
    assert sum(len(chunk.x) for chunk in chunks) == 100
    assert min(len(chunk.x) for chunk in chunks[:-1]) == min(5, steps)


def test_streams_of_vectors_with_targets_of_their_own():
    frames, labels = np.arange(14.0).reshape(7, 2), np.arange(7)
    chunks = list(data.Streams(frames, 3, 1, targets=labels))
    assert [chunk.x.shape for chunk in chunks] == [(1, 3, 2)] * 2
    assert [chunk.y.tolist() for chunk in chunks] == [[[0, 2, 4]], [[1, 3, 5]]]
    assert chunks[1].x.tolist() == [[[2.0, 3.0], [6.0, 7.0], [10.0, 11.0]]]


def test_a_chunk_is_a_copy_and_keeps_its_type():
    text = np.arange(9, dtype=np.uint8)
    (chunk,) = data.Streams(text, 2, 4)
    assert chunk.x.dtype == chunk.y.dtype == np.uint8
    assert chunk.x.flags.c_contiguous
    chunk.x[:] = 0
    assert text.tolist() == list(range(9))
    (chunk,) = data.Streams(tg.tensor([1, 2, 3]), 1, 5)
    assert chunk.y.tolist() == [[2], [3]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([], 1, 1),
            ShapeError,
            "Streams: 0 tokens make 1 streams of 0 steps, expected 1 at least",
        ),
        (([5], 1, 1), ShapeError, "Streams: 1 tokens make 1 streams of 0 steps, expected 1 at lea"),
        ((range(9), 9, 1), ShapeError, "Streams: 9 tokens make 9 streams of 0 steps, expected 1"),
        (("text", 1, 1), ArgumentError, "Streams: tokens is 'text', a text; expected its tokens"),
        ((None, 1, 1), ArgumentError, "Streams: tokens is None, expected an array."),
        ((5, 1, 1), ArgumentError, "Streams: tokens is 5, expected an array."),
        (([[1], [1, 2]], 1, 1), ArgumentError, "Streams: tokens is [[1], [1, 2]], expected an arr"),
        ((["a", "b"], 1, 1), ArgumentError, "Streams: tokens is ['a', 'b'], expected an array."),
        ((range(9), 0, 1), ShapeError, "Streams: batch_size is 0, expected a whole number from 1"),
        ((range(9), 1, -1), ShapeError, "Streams: steps is -1, expected a whole number from 1 up"),
        ((range(9), 1.5, 1), ArgumentError, "Streams: batch_size is 1.5, expected a whole number"),
    ],
)
def test_what_streams_refuse(arguments, error, message):
    with pytest.raises(error) as caught:
        data.Streams(*arguments)
    assert str(caught.value).startswith(message)


def test_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"^Streams: targets has 3 steps, but tokens 4.$"):
        data.Streams(range(4), 1, 1, targets=range(3))
    with pytest.raises(
        ShapeError, match=r"^Streams: 9 tokens make 2 streams of 4 steps, expected 5"
    ):
        data.Streams(range(9), 2, 5, drop_last=True)
    streams = data.Streams(range(9), 2, 3)
    with pytest.raises(StateDictError, match=r"^Streams.*: steps is 3 here, and was 2\. Nothing"):
        streams.load_state_dict(data.Streams(range(9), 2, 2).state_dict())
    with pytest.raises(StateDictError, match="vary is False here, and was True"):
        streams.load_state_dict(data.Streams(range(9), 2, 3, vary=True).state_dict())
    with pytest.raises(ArgumentError, match=r"^Streams: given vary and drop_last, expected one"):
        data.Streams(range(9), 2, 3, vary=True, drop_last=True)
    with pytest.raises(ArgumentError, match=r"^Streams: vary is 5, expected True or False"):
        data.Streams(range(9), 2, 3, vary=5)
