"""What leads from one layer to the next; that they are layers of one is among ``test_laws``."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I
from tests.nn.layers import B, T, double, randn
from tinygrad_rnn import nn, ops


def test_layers_of_other_widths_have_states_of_their_own(reference):
    deep = double(nn.LSTM(I, [H, 6, 2]))
    x = randn(T, B, I)
    y, (h, c) = deep(x)
    assert y.shape == (T, B, 2)
    assert [s.shape for s in h] == [s.shape for s in c] == [(B, H), (B, 6), (B, 2)]
    assert not np.array_equal(deep(x, (h, c))[0], y)


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
        ("sum", np.add),
        ("mean", lambda a, b: (a + b) / 2),
        ("mul", np.multiply),
    ],
)
def test_two_directions_are_merged(reference, merge, expected):
    layer = double(nn.GRU(I, H, 2, bidirectional=True, merge=merge))
    assert layer.layers[1]["forward"].input_size == (2 * H if merge == "concat" else H)
    x = randn(T, B, I)
    pair = double(nn.GRU(I, H, bidirectional=True, merge="none"))
    pair.load_state_dict({k: v for k, v in layer.state_dict().items() if k.startswith("layers.0")})
    (a, b), _ = pair(x)
    single = double(nn.GRU(I, H, bidirectional=True, merge=merge))
    single.load_state_dict(pair.state_dict())
    np.testing.assert_allclose(single(x)[0], expected(a.numpy(), b.numpy()), atol=1e-15)
    single.output = "last"
    last = expected(a.numpy()[-1], b.numpy()[0])
    np.testing.assert_allclose(single(x)[0], last, atol=1e-15)


def test_a_pair_is_not_merged_on_top_only(reference):
    layer = nn.GRU(I, H, 2, bidirectional=True, merge="none", batch_first=True)
    (a, b), h = layer(tg.randn(B, T, I))
    assert a.shape == b.shape == (B, T, H)
    assert h.shape == (4, B, H)
    assert layer.layers[1]["forward"].input_size == 2 * H


def test_connections_lead_around_layers(reference):
    x = randn(T, B, I)
    for connect in ("residual", "highway", "dense"):
        layer = double(nn.GRU(I, H, 2, connect=connect))
        below, _ = nn.Recurrent(layer.layers[0]["forward"])(x)
        reads = ops.concat([x, below], axis=-1) if connect == "dense" else below
        above, _ = nn.Recurrent(layer.layers[1]["forward"])(reads)
        if connect == "residual":
            expected = above + below
        elif connect == "highway":
            around = layer.connections[1]
            g = ops.sigmoid(below @ around.w + around.b)
            expected = g * above + (1.0 - g) * below
        else:
            expected = above
        y, _ = layer(x)
        np.testing.assert_allclose(y, expected, atol=1e-14)
        layer.output = "last"
        n = [5, 2, 0, 1]
        y, _ = layer(x, lengths=n)
        np.testing.assert_allclose(y[0], expected[4, 0], atol=1e-14)
        np.testing.assert_allclose(y[1], expected[1, 1], atol=1e-14)
        assert not y.numpy()[2].any()
    assert "connections.1.w" in double(nn.GRU(I, H, 2, connect="highway")).state_dict()


def test_dropout_stands_between_layers_in_training_only(reference):
    layer = nn.GRU(I, H, 2, dropout=0.9)
    x = tg.ones(T, B, I)
    first, second = layer(x)[0].numpy(), layer(x)[0].numpy()
    assert not np.array_equal(first, second)
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0], layer(x)[0])
    with pytest.warns(UserWarning, match="GRU: dropout is 0.9, but nothing is dropped") as caught:
        single = nn.GRU(I, H, dropout=0.9)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(single(x)[0], single(x)[0])
