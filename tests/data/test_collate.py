"""Padding, stacking, and what cannot be put side by side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import data
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError

TYPES = [np.bool_, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64, np.complex64]


@st.composite
def ragged(draw):
    """Arrays (T_i, ...), and a type that holds all of them."""
    rest = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=5))
    types = [draw(st.sampled_from(TYPES)) for _ in lengths]
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    arrays = [rng.integers(0, 2, (n, *rest)).astype(t) for n, t in zip(lengths, types, strict=True)]
    return arrays, np.result_type(*types)


@given(ragged(), st.integers(0, 1), st.booleans())
def test_padding_puts_sequences_side_by_side(drawn, value, batch_first):
    arrays, dtype = drawn
    padded, lengths = data.pad(arrays, value, batch_first=batch_first)
    assert padded.dtype == dtype
    assert padded.flags.c_contiguous
    assert lengths.tolist() == [len(array) for array in arrays]
    rows = padded if batch_first else padded.swapaxes(0, 1)
    assert rows.shape == (len(arrays), max(lengths), *arrays[0].shape[1:])
    for row, array in zip(rows, arrays, strict=True):
        np.testing.assert_array_equal(row[: len(array)], array)
        assert (row[len(array) :] == value).all()


def test_padding_takes_lists_and_tensors():
    padded, lengths = data.pad([[1, 2], [], [3]])
    assert padded.dtype == np.int64
    assert (padded.tolist(), lengths.tolist()) == ([[1, 0, 3], [2, 0, 0]], [2, 0, 1])
    assert data.pad([[0.5], [1.0, 2.0]]).data.dtype == np.float32
    assert data.pad([tg.tensor([1.0, 2.0]), tg.tensor([3.0])]).data.dtype == np.float32
    assert data.pad([[], np.zeros((2, 3), np.float64)]).data.shape == (2, 2, 3)
    assert data.pad([np.zeros((0, 3))]).data.shape == (0, 1, 3)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(0, bool), (-1, np.int64), (255, np.uint8), (0.1, np.float32), (np.nan, np.float16),
     (-np.inf, np.float32), (1j, np.complex64), (np.float64(0.1), np.float32), (True, np.int8)],
)  # fmt: skip
def test_a_value_that_the_type_holds_stands_behind_the_rows(value, dtype):
    padded, _ = data.pad([np.ones(1, dtype), np.ones(2, dtype)], value)
    np.testing.assert_array_equal(padded[1, 0], np.asarray(value).astype(dtype))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(-1, np.uint8), (256, np.uint8), (0.5, np.int64), (np.nan, np.int32), (2, bool), ("a", float),
     (None, float), ([1], int), (1j, float), (1e300, np.float32), (2**70, np.int64)],
)  # fmt: skip
def test_a_value_that_the_type_cannot_hold_is_refused(value, dtype):
    with pytest.raises(DTypeError, match=r"^pad: value is .*, which \w+ cannot hold.$"):
        data.pad([np.ones(1, dtype)], value)


REFUSED = [
    ([], ArgumentError, "pad: sequences is empty, expected at least one."),
    ([1, 2], ArgumentError, "pad: sequences[0] is 1, expected an array or a list of numbers."),
    ([[1], None], ArgumentError, "pad: sequences[1] is None, expected an array or a list of num"),
    ([[1], ["a"]], ArgumentError, "pad: sequences[1] is ['a'], expected an array or a list of n"),
    ([[1], [[1], [1, 2]]], ArgumentError, "pad: sequences[1] is [[1], [1, 2]], expected an array"),
    ([np.zeros((2, 3)), np.zeros((2, 4))], ShapeError,
     "pad: sequences[1] has shape (2, 4), but sequences[0] (2, 3); only the first axis may differ"),
    (5, ArgumentError, "pad: sequences is 5, expected a list of arrays or of lists of numbers."),
]  # fmt: skip


@pytest.mark.parametrize(("sequences", "error", "message"), REFUSED)
def test_what_cannot_be_padded(sequences, error, message):
    with pytest.raises(error) as caught:
        data.pad(sequences)
    assert str(caught.value).startswith(message)


def test_fields_are_padded_that_are_named_or_have_an_axis():
    examples = [
        ([1, 2], {"label": 3, "vector": [1.0, 2.0]}),
        ([4], {"label": 5, "vector": [3.0, 4]}),
    ]
    (tokens, lengths), rest = data.padded()(examples)
    assert (tokens.tolist(), lengths.tolist()) == ([[1, 4], [2, 0]], [2, 1])
    assert rest["label"].tolist() == [3, 5]
    assert rest["vector"].data.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    padded, rest = data.padded([0], value=-1, batch_first=True)(examples)
    assert padded.data.tolist() == [[1, 2], [4, -1]]
    assert rest["vector"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    (found,) = data.Batches({"x": [[1, 2], [3]], "y": [0, 1]}, 2, collate=data.padded(["x"]))
    assert found["x"].lengths.tolist() == [2, 1]
    assert found["y"].tolist() == [0, 1]


def test_fields_are_named_in_the_outermost_tuple():
    x, (y, z) = data.padded([0])([([1, 2], ([3], 4)), ([5], ([6], 7))])
    assert x.lengths.tolist() == [2, 1]
    assert (y.tolist(), z.tolist()) == ([[3], [6]], [4, 7])


def test_a_field_that_no_example_has():
    with pytest.raises(
        ArgumentError, match=r"^padded: fields has 'z', but an example has \[0, 1\]"
    ):
        data.padded(["z"])([([1], 2)])
    with pytest.raises(ArgumentError, match=r"^padded: fields has 0, but an example has no fields"):
        data.padded([0])([[1], [2]])


@pytest.mark.parametrize(
    ("examples", "error", "message"),
    [
        ([np.zeros(2), np.zeros(3)], ShapeError,
         "stack: examples of a batch have shapes [(2,), (3,)], expected one; collate=data.p"),
        ([None, None], ArgumentError, "stack: cannot make an array of None; give a function as co"),
        ([(1, 2), (1,)], ShapeError, "stack: the examples of a batch differ: (1,) beside (1, 2)."),
        ([{"a": 1}, {"b": 1}], ShapeError, "stack: the examples of a batch differ: {'b': 1} besid"),
        ([(1, 2), 5], ShapeError, "stack: the examples of a batch differ: 5 beside (1, 2)."),
        ([5, (1, 2)], ShapeError, "stack: examples of a batch have shapes [(), (2,)], expected"),
        ([], ArgumentError, "stack: examples is empty, expected at least one."),
    ],
)  # fmt: skip
def test_what_cannot_be_stacked(examples, error, message):
    with pytest.raises(error) as caught:
        data.stack(examples)
    assert str(caught.value).startswith(message)


def test_the_share_of_padding():
    assert data.padding_share([[2, 2], [4]]) == 0
    assert data.padding_share([[1, 3], [0, 4]]) == 1 - 8 / 14
    assert data.padding_share([]) == data.padding_share([[], [0]]) == 0
