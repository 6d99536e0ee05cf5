"""Calls of cells and layers with what does not fit: the message names what was given."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinygrad_rnn.kernels._twin import use_reference

T, B, I, H = 5, 4, 3, 4

X = np.ones((T, B, I), np.float32)
S = np.zeros((1, B, H), np.float32)


@pytest.fixture(autouse=True)
def reference():
    with use_reference():
        yield


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda m: m(X.astype(np.float64)),
            DTypeError,
            r"LSTM: x holds float64, but the weights float32.*give x.astype\('float32'\), or",
        ),
        (lambda m: m(np.ones((T, B, I), int)), DTypeError, "LSTM: x holds int64, but the weights"),
        (lambda m: m(X, (S.astype(np.float64), S)), DTypeError, "LSTM: h holds float64, but"),
        (lambda m: m(X, (S, S.astype(np.float64))), DTypeError, "LSTM: c holds float64, but"),
        (lambda m: m(X, (S, None)), ShapeError, r"LSTM: c is None, expected \(1, 4, 4\)"),
        (lambda m: m(X, S), ShapeError, "LSTM: given 1 states, expected a tuple of 2: h, c"),
        (lambda m: m(X, (S, S, S)), ShapeError, "LSTM: given 3 states, expected a tuple of 2"),
        (lambda m: m(X, (S[0], S[0])), ShapeError, r"LSTM: h is \(4, 4\), expected \(1, 4, 4\)"),
        (lambda m: m(X, (S[..., :2], S)), ShapeError, r"LSTM: h is \(1, 4, 2\), expected \(1, 4"),
        (lambda m: m(X[:, 0], (S, S)), ShapeError, r"LSTM: h is \(1, 4, 4\), expected \(1, 4\)"),
        (lambda m: m(X[None]), ShapeError, r"LSTM: x is \(1, 5, 4, 3\), expected \(T, B, I\)"),
        (lambda m: m(1.0), ShapeError, r"LSTM: x is \(\), expected"),
        (lambda m: m(X, lengths=3), ShapeError, r"LSTM: lengths has shape \(\), expected \(4,\)"),
        (lambda m: m(X, lengths=[]), ShapeError, r"LSTM: lengths has shape \(0,\), expected"),
        (lambda m: m(X, lengths=[True] * B), DTypeError, "LSTM: lengths are bool, expected whole"),
        (lambda m: m(X, mask=np.ones(B, bool)), ShapeError, r"LSTM: mask is for \(4,\)"),
        (lambda m: m(X, mask=np.ones((T, B, 1), bool)), ShapeError, r"mask is for \(5, 4, 1\)"),
        (lambda m: m(X, steps=T), ShapeError, "LSTM: steps is for cells without input"),
    ],
)
def test_calls_of_a_layer(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.LSTM(I, H))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c(X[0].astype(np.float64)), DTypeError, "LSTMCell: x holds float64, but the w"),
        (lambda c: c(X[0], (S[0], S[0].astype(float))), DTypeError, "LSTMCell: c holds float64"),
        (lambda c: c(X[0], (S[0], None)), ShapeError, "LSTMCell: a state is None"),
        (lambda c: c(X[0], S[0]), ShapeError, "LSTMCell: given 1 states, expected 2: h, c"),
        (lambda c: c(X[0], (S[0, :2], S[0])), ShapeError, r"LSTMCell: h has shape \(2, 4\), exp"),
    ],
)
def test_calls_of_a_cell(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.LSTMCell(I, H))


def test_states_that_are_given_one_by_one():
    message = (
        r"given 3 positional arguments, expected \(x, \(h, c\)\): states are given as one tuple"
    )
    with pytest.raises(TypeError, match=f"LSTMCell: {message}"):
        nn.LSTMCell(I, H)(X[0], S[0], S[0])
    with pytest.raises(TypeError, match=f"LSTM: {message}"):
        nn.LSTM(I, H)(X, S, S)
    with pytest.raises(TypeError, match=r"GRU: given 4 .* expected \(x, h\): there is one state"):
        nn.GRU(I, H)(X, S, None, None)


def test_unknown_arguments_of_calls_are_answered_with_the_known():
    message = "LSTM: 'length' is not an argument of a call, expected one of x, state, steps, leng"
    with pytest.raises(TypeError, match=message):
        nn.LSTM(I, H)(X, length=[1])
    message = "LSTMCell: 'h' is not an argument of a call, expected one of x, state"
    with pytest.raises(TypeError, match=message):
        nn.LSTMCell(I, H)(X[0], h=S[0])


def test_what_fits_the_other_axis_of_x_gets_a_hint():
    turned = X.swapaxes(0, 1)  # (B, T, I), where (T, B, I) is expected
    message = r"fit the other axis of x, which is read as \(T, B, I\): .* batch_first=True"
    for how in ({"lengths": [1] * B}, {"state": (S, S)}, {"lengths": [1] * B, "state": (S, S)}):
        with pytest.raises(ShapeError, match=message):
            nn.LSTM(I, H)(turned, **how)
    with pytest.raises(ShapeError, match=r"as \(B, T, I\): .* batch_first=False"):
        nn.LSTM(I, H, batch_first=True)(X, lengths=[1] * B)
    with pytest.raises(ShapeError) as caught:
        nn.LSTM(I, H)(X, lengths=[1])
    assert "batch_first" not in str(caught.value)


def test_states_may_be_lists():
    layer, cell = nn.LSTM(I, H), nn.LSTMCell(I, H)
    np.testing.assert_array_equal(layer(X, [S, S])[0], layer(X, (S, S))[0])
    np.testing.assert_array_equal(cell(X[0], [S[0], S[0]])[0], cell(X[0], (S[0], S[0]))[0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_nothing_is_a_sensible_number_of_steps_and_rows(batch_first):
    layer = nn.LSTM(I, H, 2, bidirectional=True, batch_first=batch_first)
    for steps, rows in [(0, B), (T, 0), (0, 0)]:
        shape = (rows, steps) if batch_first else (steps, rows)
        y, (h, c) = layer(np.ones((*shape, I), np.float32), lengths=[steps] * rows)
        assert y.shape == (*shape, 2 * H)
        assert h.shape == c.shape == (4, rows, H)
    y, (h, _) = layer(X[:, 0])  # without a batch there is no first axis for it
    assert y.shape == (T, 2 * H)
    assert h.shape == (4, H)


@pytest.mark.parametrize("steps", [-1, 2.0, True, "3"])
def test_steps_are_a_whole_number(steps):
    kind = ShapeError if type(steps) is int else ArgumentError
    layer = nn.Recurrent(nn.AutonomousCell(H))
    with pytest.raises(kind, match=r"Recurrent: steps is .*, expected a whole number from 0"):
        layer(steps=steps)
    assert layer(steps=np.int64(2))[0].shape == (2, H)
    with pytest.raises(ShapeError, match="Recurrent: x is for cells with an input"):
        layer(X, steps=3)
    with pytest.raises(ShapeError, match=r"lengths has shape \(\)"):
        layer(steps=3, lengths=2)


def test_a_carried_state_follows_the_weights():
    layer = nn.GRU(I, H, 2, stateful=True)
    layer(X)
    carried = layer.carried[1][0].numpy()
    layer.astype(np.float64)
    y, h = layer(X.astype(np.float64))
    other = nn.GRU(I, H, 2).astype(np.float64)
    other.load_state_dict(layer.state_dict())
    assert y.dtype == h.dtype == np.float64
    layer.reset_state()
    layer.astype(np.float32)
    layer(X)
    np.testing.assert_array_equal(layer.carried[1][0], carried)
    before = [[s.astype(np.float64) for s in each] for each in layer.carried]
    outer = nn.Module()
    outer.layer = layer
    outer.astype(np.float64)  # as a part of something larger, too
    y, _ = layer(X.astype(np.float64))
    start = tg.ops.stack([s for (s,) in before])
    np.testing.assert_allclose(y, other(X.astype(np.float64), start)[0], rtol=1e-6)


def test_a_state_carried_over_without_detaching_is_named_as_the_cause():
    layer, x = nn.GRU(I, H), tg.randn(T, B, I)
    outputs, state = layer(x)
    outputs.sum().backward()
    outputs, _ = layer(x, state)
    with pytest.raises(GradientError, match="a state carried over from the chunk before: detach"):
        outputs.sum().backward()
    outputs, _ = layer(x, state.detach())
    outputs.sum().backward()
