"""An embedding equals the product of its table with one-hot vectors, gradient too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import IndexRangeError, ShapeError
from tinygrad_rnn.testing import check_module

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


# ----- padding, vectors that are there already, and the output that shares the table -----


def test_the_vector_of_padding_is_0_and_stays_so():
    m = nn.Embedding(5, 3, padding_id=2)
    assert not m.weight.numpy()[2].any()
    y = m([[0, 2], [2, 4]])
    y.backward(np.ones((2, 2, 3), np.float32))
    assert not y.numpy()[0, 1].any()
    assert np.array_equal(m.weight.grad.numpy().any(1), [True, False, False, False, True])
    m.weight.assign_(np.ones((5, 3), np.float32))
    assert not m([2]).numpy().any()
    assert repr(m) == "Embedding(5, 3, padding_id=2)"
    with pytest.raises(IndexRangeError, match="padding_id is 5, expected 0 to 4"):
        nn.Embedding(5, 3, padding_id=5)


test_padded = check_module(
    lambda: nn.Embedding(4, 2, padding_id=0),
    inputs=lambda m: [np.array([[0, 1], [3, 1]])],
    order=2,
    laws=["gradients", "state_dict", "float32_tracks_float64"],
)


def test_a_table_is_made_of_vectors_and_frozen():
    table = np.arange(1.0, 7).reshape(3, 2)
    m = nn.Embedding.from_pretrained(table, padding_id=0)
    assert np.array_equal(m([1, 2]), table[1:])
    assert not m.weight.numpy()[0].any()
    assert m.weight.dtype == np.float64
    assert not m.weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ShapeError, match=r"vectors are float64 of shape \(2,\)"):
        nn.Embedding.from_pretrained(table[0])


def test_vectors_of_words_are_written_into_their_rows(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\nthe 0.5 1\nnew york -1 2\ncat 3e-1 4\n", encoding="utf-8")
    vectors = nn.read_vectors(path)
    assert list(vectors) == ["the", "new york", "cat"]
    assert list(nn.read_vectors(path, words={"cat"})) == ["cat"]
    m = nn.Embedding(3, 2)
    drawn = m.weight.numpy().copy()
    assert m.load_vectors(vectors, ["cat", "dog", "the"]) == ["dog"]
    np.testing.assert_allclose(m.weight, [[0.3, 4], drawn[1], [0.5, 1]])
    with pytest.raises(ShapeError, match=r"the vector of 'the' has shape \(2,\), expected \(3,\)"):
        nn.Embedding(1, 3).load_vectors(vectors, ["the"])
    with pytest.raises(ShapeError, match="tokens has 2 words, expected 3"):
        m.load_vectors(vectors, ["the", "cat"])
    path.write_text("the 1 2\ncat 1\n", encoding="utf-8")
    with pytest.raises(ShapeError, match=r"line 2 of .* holds 'cat 1', expected a word and 2"):
        nn.read_vectors(path)


def test_the_output_shares_the_table():
    embedding = nn.Embedding(5, 3)
    out = nn.TiedLinear(embedding)
    model = nn.Sequential(embedding, out)
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == ["0.weight", "1.weight", "1.bias"]
    x, bias = tg.randn(2, 4, 3), np.arange(5, dtype=np.float32)
    out.bias.assign_(bias)
    wanted = x.numpy() @ embedding.weight.numpy().T + bias
    np.testing.assert_allclose(out(x), wanted, rtol=1e-5, atol=1e-6)
    model([1, 2]).sum().backward()
    assert embedding.weight.grad.numpy().all()  # of reading two rows, and of scoring all
    assert repr(out) == "TiedLinear(3, 5, bias=True)"
    assert nn.TiedLinear(embedding, bias=False).bias is None
    with pytest.raises(ShapeError, match=r"x has shape \(2, 4\), expected \(..., E\) with E = 3"):
        out(tg.ones(2, 4))


test_tied = check_module(
    lambda: nn.Sequential(nn.Embedding(4, 2), nn.TiedLinear(nn.Embedding(3, 2))),
    inputs=lambda m: [np.array([0, 1, 3])],
    laws=["gradients", "state_dict", "needs_grad_lattice"],
)
