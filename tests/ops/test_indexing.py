"""Indices are NumPy's, errors are its errors under our name, repeats add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import DTypeError, IndexRangeError, ShapeError

X = np.arange(24.0).reshape(2, 3, 4)
BACKWARDS = slice(None, None, -1)


@pytest.mark.parametrize(
    "index",
    [
        [1, 0, 1],
        ([1, 0], slice(None), [0, 3]),
        (slice(None), [2, -1]),
        (..., None, 1),
        np.bool_(True),
        True,
        False,
        (1, True),
        X > 5,
        (X > 5)[:, 0, 0],
        (slice(None), (X > 5)[0, :, 0]),
        np.array(1),
        np.int8(1),
        (np.uint8(1), 2),
        [],
        (slice(None, None, -1), slice(5, None, -2)),
    ],
    ids=str,
)
def test_an_index_reads_what_numpy_reads(index):
    x = tg.tensor(X, requires_grad=True)
    key = np.array(index, int) if isinstance(index, list) else index  # [] would be float64
    wanted = X[key]
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), wanted)
    w = np.arange(1.0, wanted.size + 1).reshape(wanted.shape)
    (g,) = tg.grad(y, x, w)
    total = np.zeros(X.shape)
    np.add.at(total, key, w)
    np.testing.assert_array_equal(g.numpy(), total)


@pytest.mark.parametrize(
    "index",
    [0, -1, None, ..., (0, slice(None), 0), (..., 0), slice(None), slice(0, 9, 2), BACKWARDS,
     (0, BACKWARDS), (slice(None), BACKWARDS), (0, BACKWARDS, 0),
     (slice(None, None, np.int64(-1)), slice(2, None, np.int64(-1)))],
    ids=str,
)  # fmt: skip
def test_an_index_that_leaves_nothing_out_keeps_every_gradient_in_its_place(index):
    x = tg.tensor(np.ones((1, 3, 1)), requires_grad=True)
    y, w = x[index], np.arange(1.0, 4.0)
    total = np.zeros(x.shape)
    total[index] = w.reshape(y.shape)
    for together, times in [(y, 1), (y + y, 2), (y + x[index], 2)]:
        given = tg.tensor(w.reshape(y.shape))
        (g,) = tg.grad(together, x, given, retain_graph=True)
        np.testing.assert_array_equal(g.numpy(), times * total)
        assert not np.shares_memory(g._data, given._data)
        np.testing.assert_array_equal(given.numpy(), w.reshape(y.shape))


def test_tensors_are_indices_too():
    x, i = tg.tensor(X), tg.tensor(np.array([1, 0]))
    np.testing.assert_array_equal(x[i].numpy(), X[[1, 0]])
    np.testing.assert_array_equal(
        x[i, :, tg.tensor(np.array([0, 3]))].numpy(), X[[1, 0], :, [0, 3]]
    )
    np.testing.assert_array_equal(x[x > 5].numpy(), X[X > 5])


@pytest.mark.parametrize(
    ("index", "kind"),
    [
        (2, IndexRangeError),
        ([0, 2], IndexRangeError),
        ((0, 0, 0, 0), IndexRangeError),
        (np.zeros(3, bool), IndexRangeError),
        ([0.5], DTypeError),
        (([0, 1], [0, 1, 2]), IndexRangeError),
    ],
    ids=str,
)
def test_bad_indices_raise_as_in_numpy_under_our_name(index, kind):
    with pytest.raises(kind):
        tg.tensor(X)[index]
    with pytest.raises(IndexError):
        X[index]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_row_of_values_is_added_at_a_matrix_of_places(rows, width, seed):
    """NumPy's add.at reads past the end of such a row (2.4); we must not."""
    index = np.random.default_rng(seed).integers(0, 5, (rows, width))
    values = np.arange(1.0, width + 1)
    wanted = np.zeros(5)
    for row in index:
        for place, value in zip(row, values, strict=True):
            wanted[place] += value
    np.testing.assert_array_equal(ops.index_add(np.zeros(5), index, values).numpy(), wanted)


def test_writing_twice_to_one_place_is_refused_where_it_would_matter():
    x = tg.tensor(np.zeros(3), requires_grad=True)
    with pytest.raises(IndexRangeError, match="names a place more than once"):
        ops.index_update(x, [0, 0], tg.tensor(np.ones(2)))
    assert ops.index_update(x.detach(), [0, 0], 2.0).tolist() == [2, 0, 0]
    assert ops.index_add(x, [0, 0], 2.0).tolist() == [4, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.embedding(tg.zeros(3, 2), [0, 3]), "id 3 among 2 ids, expected 0 to 2"),
        (lambda: ops.embedding(tg.zeros(3, 2), -1), "id -1 among 1 ids, expected 0 to 2"),
        (lambda: ops.gather(tg.zeros(2, 3), 0, [[0, 1, 0, 1]]), "index has shape (1, 4), x (2, 3)"),
        (lambda: ops.take_along_axis(tg.zeros(2, 3), [0]), "index has shape (1,) for (2, 3)"),
        (lambda: ops.topk(tg.zeros(2, 3), 4), "k is 4, axis 1 of shape (2, 3) has 3"),
        (lambda: ops.scatter_add(tg.zeros(3), 0, [0], tg.zeros(2)), "index has shape (1,), source"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises((IndexRangeError, ShapeError)) as caught:
        call()
    assert message in str(caught.value)


def test_a_value_may_have_an_axis_that_its_place_has_not():
    value = tg.ones(1, requires_grad=True)
    y = ops.index_update(tg.zeros(3), (..., 0), value)
    y.sum().backward()
    assert (y.tolist(), value.grad.tolist()) == ([1, 0, 0], [1])
    with pytest.raises(ShapeError):
        ops.index_update(tg.zeros(3), (..., 0), tg.ones(2))
