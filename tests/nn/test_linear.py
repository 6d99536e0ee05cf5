"""Linear is x @ weight + bias for any leading axes, with PyTorch's spread of parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, ShapeError


@given(st.lists(st.integers(0, 3), max_size=3), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_it_is_the_product_plus_the_bias(leading, inputs, outputs, bias):
    m = nn.Linear(inputs, outputs, bias).astype(np.float64)
    x = tg.randn(*leading, inputs, dtype=np.float64)
    y = m(x)
    expected = np.tensordot(x.numpy(), m.weight.numpy(), 1)
    assert y.shape == (*leading, outputs)
    assert np.allclose(y, expected + m.bias.numpy() if bias else expected)


def test_its_gradients_are_those_of_the_product():
    m = nn.Linear(3, 2).astype(np.float64)
    x = tg.randn(4, 5, 3, dtype=np.float64, requires_grad=True)
    g = tg.randn(4, 5, 2, dtype=np.float64)
    m(x).backward(g)
    assert np.allclose(x.grad, g.numpy() @ m.weight.numpy().T)
    assert np.allclose(m.weight.grad, np.tensordot(x.numpy(), g.numpy(), ((0, 1), (0, 1))))
    assert np.allclose(m.bias.grad, g.numpy().sum((0, 1)))


def test_parameters_are_drawn_evenly_within_one_over_the_root_of_the_inputs():
    m = nn.Linear(400, 300)
    for p in m.parameters():
        assert p.dtype == np.float32
        assert 0.045 < np.abs(p.numpy()).max() <= 0.05
    tg.seed(1)
    first = nn.Linear(4, 3).state_dict()
    tg.seed(1)
    m = nn.Linear(4, 3)
    assert all(np.array_equal(first[name], array) for name, array in m.state_dict().items())
    m.reset_parameters()
    assert not np.array_equal(first["weight"], m.weight)


def test_without_bias_there_is_none():
    m = nn.Linear(3, 2, bias=False)
    assert m.bias is None
    assert list(m.state_dict()) == ["weight"]


def test_its_repr_names_its_sizes():
    assert repr(nn.Linear(3, 2)) == "Linear(3, 2, bias=True)"
    assert repr(nn.Linear(3, 2, bias=False)) == "Linear(3, 2, bias=False)"


@pytest.mark.parametrize("size", [0, -1, 2.5, None, True])
def test_a_width_is_a_whole_number_from_one_up(size):
    kind = ShapeError if type(size) is int else ArgumentError
    with pytest.raises(kind) as caught:
        nn.Linear(size, 2)
    assert str(caught.value) == (
        f"Linear: in_features is {size!r}, expected a whole number from 1 up."
    )
    with pytest.raises(kind, match="out_features"):
        nn.Linear(2, size)


def test_numpys_whole_numbers_are_widths():
    assert nn.Linear(np.int64(3), np.int32(2)).weight.shape == (3, 2)


def test_an_input_of_the_wrong_width_is_refused():
    with pytest.raises(ShapeError) as caught:
        nn.Linear(3, 2)(tg.ones(5, 4))
    assert str(caught.value) == ("Linear: x has shape (5, 4), expected (..., I) with I = 3.")


def test_it_learns_a_plane():
    m = nn.Linear(3, 1)
    x = tg.randn(64, 3)
    target = tg.tensor(x.numpy() @ np.array([[1.0], [-2.0], [0.5]], np.float32) + 3)
    for _ in range(200):
        m.zero_grad()
        ((m(x) - target) * (m(x) - target)).mean().backward()
        for p in m.parameters():
            p.assign_(p.numpy() - np.float32(0.1) * p.grad.numpy())
    assert np.allclose(m.weight, [[1], [-2], [0.5]], atol=1e-3)
    assert np.allclose(m.bias, [3], atol=1e-3)


@pytest.mark.parametrize("tied", [False, True])
def test_calls_that_record_nothing_have_the_same_bits_and_know_new_weights(tied):
    """The second such call and all later ones read a packed copy of the weight."""
    tg.seed(0)
    m = nn.TiedLinear(nn.Embedding(90, 60)) if tied else nn.Linear(60, 90)
    x = tg.randn(2, 3, 60)
    for scale in (1.0, 2.0):
        m.weight.assign_(scale * m.weight.numpy())
        m.bias.assign_(tg.randn(90).numpy())
        recorded = m(x)
        with tg.no_grad():
            for _ in range(3):
                assert np.array_equal(m(x), recorded)
        assert any(key.startswith("packed") for key in m.weight.forms())
    with tg.no_grad():
        wide = m.astype(np.float64)
        expected = [wide(x.astype(np.float64)) for _ in range(3)]
    np.testing.assert_allclose(recorded, expected[-1], rtol=1e-4, atol=1e-4)
    assert np.array_equal(expected[0], expected[2])


def test_one_row_without_an_axis_for_it():
    layer, x = nn.Linear(70, 70), tg.randn(70)
    want = layer(x).numpy()
    with tg.no_grad():
        for _ in range(3):  # the weight is packed when it is met again
            np.testing.assert_allclose(layer(x).numpy(), want, rtol=1e-5)
