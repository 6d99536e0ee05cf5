"""An embedding equals the product of its table with one-hot vectors, gradient too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import IndexRangeError, ShapeError

ids = st.lists(st.integers(0, 6), max_size=12)


@given(ids)
def test_it_is_the_product_with_a_one_hot_vector(tokens):
    m = nn.Embedding(7, 3).astype(np.float64)
    tokens = np.array(tokens, np.int64)
    one_hot = tg.tensor(np.eye(7)[tokens])
    g = tg.randn(len(tokens), 3, dtype=np.float64)
    y = m(tokens)
    y.backward(g)
    table = nn.Parameter(m.weight)
    expected = one_hot @ table
    expected.backward(g)
    assert np.array_equal(y, expected)
    assert np.allclose(m.weight.grad, table.grad)


def test_it_takes_any_shape_of_ids():
    m = nn.Embedding(5, 4)
    tokens = np.arange(6).reshape(2, 1, 3) % 5
    assert m(tokens).shape == (2, 1, 3, 4)
    assert np.array_equal(m(tg.tensor(tokens)), m.weight.numpy()[tokens])
    assert np.array_equal(m(3), m.weight.numpy()[3])


def test_vectors_are_drawn_from_the_standard_normal_distribution():
    w = nn.Embedding(100, 100).weight.numpy()
    assert w.dtype == np.float32
    assert abs(w.mean()) < 0.04
    assert abs(w.std() - 1) < 0.03


def test_its_repr_names_its_sizes():
    assert repr(nn.Embedding(5, 4)) == "Embedding(5, 4)"


def test_an_id_outside_the_table_is_refused():
    with pytest.raises(IndexRangeError) as caught:
        nn.Embedding(5, 4)([1, 5])
    assert str(caught.value) == (
        "embedding: id 5 among 2 ids, expected 0 to 4: the weight has 5 rows."
    )


def test_sizes_are_whole_numbers_from_one_up():
    with pytest.raises(ShapeError) as caught:
        nn.Embedding(0, 4)
    assert str(caught.value) == (
        "Embedding: num_embeddings is 0, expected a whole number from 1 up."
    )
