"""Layers made or called with what does not go together."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I
from tests.nn.layers import B, T
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Recurrent(nn.LSTM(2, 3)), TypeError, "cell is a LSTM, expected a Cell"),
        (lambda: nn.GRU(2, 3, 0), ShapeError, "num_layers is 0"),
        (lambda: nn.GRU(2, [3, 4], 3), ShapeError, r"num_layers is 3, but \[3, 4\] are"),
        (lambda: nn.GRU(2, 3, merge="cat"), ValueError, "merge is 'cat', expected one of"),
        (lambda: nn.GRU(2, 3, dropout=1.0), ValueError, "dropout is 1.0, expected a number from 0"),
        (lambda: nn.GRU(2, 3, recompute=0), ValueError, "recompute is 0, expected True"),
        (lambda: nn.GRU(2, 3, recompute="sqrt"), TypeError, "recompute is 'sqrt', expected True"),
        (lambda: nn.GRU(2, 3, bidirectional=True, reverse=True), ValueError, "expected one of"),
        (lambda: nn.GRU(2, 3, truncate=0), ShapeError, "truncate is 0"),
        (lambda: nn.GRU(2, 3, truncate=2.5), ArgumentError, "truncate is 2.5"),
        (lambda: nn.GRU(2, 3, stateful=True, reverse=True), ValueError, "stateful goes on"),
        (
            lambda: nn.GRU(2, 3, 2, bidirectional=True, connect="residual", merge="none"),
            ValueError,
            "merge='none' gives two",
        ),
        (
            lambda: nn.GRU(2, 3, 2, bidirectional=True, connect="highway", output="last"),
            ValueError,
            "which end at different steps",
        ),
        (
            lambda: nn.GRU(2, [3, 4], connect="residual"),
            ShapeError,
            "layer 1 is 4 wide and its input 3",
        ),
        (lambda: nn.Recurrent(nn.AutonomousCell(3), 2), ShapeError, "nothing leads from a layer"),
    ],
)
def test_options_that_do_not_go_together(make, error, message):
    with pytest.raises(error, match=message):
        make()


X = np.ones((T, B, I), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m(), ShapeError, r"x is missing, expected \(T, B, I\)"),
        (lambda m: m(X[..., :2]), ShapeError, r"x is \(5, 4, 2\), expected .* with I = 3"),
        (lambda m: m(X[0, 0]), ShapeError, r"x is \(3,\), expected"),
        (lambda m: m(X, steps=5), ShapeError, "steps is for cells without input"),
        (lambda m: m(X, np.zeros((1, B, H))), ShapeError, "given 1 states, expected a tuple of 2"),
        (
            lambda m: m(X, (np.zeros((1, B, 5)), np.zeros((1, B, H)))),
            ShapeError,
            r"h is \(1, 4, 5\), expected \(1, 4, 4\): one for each of 1 layers",
        ),
        (
            lambda m: m(X, (np.zeros((1, 3, H)), np.zeros((1, 3, H)))),
            ShapeError,
            "with the rows of x",
        ),
        (lambda m: m(X, lengths=[1, 2]), ShapeError, r"lengths has shape \(2,\), expected \(4,\)"),
        (lambda m: m(X, lengths=[1, 2, 3, 6]), IndexRangeError, "lengths go from 1 to 6, expected"),
        (lambda m: m(X, lengths=[1, 2, 3, -1]), IndexRangeError, "from -1 to 3"),
        (lambda m: m(X, lengths=[1.0, 2, 3, 4]), DTypeError, "lengths are float32, expected whole"),
        (lambda m: m(X, mask=np.ones((T, B))), DTypeError, "mask holds float64, expected booleans"),
        (lambda m: m(X, mask=np.ones((T, 1), bool)), ShapeError, r"mask is for \(5, 1\)"),
        (
            lambda m: m(X, mask=np.ones((T, B), bool), lengths=[1, 2, 3, 4]),
            TypeError,
            "given lengths and a mask",
        ),
        (lambda m: m(X, resets=np.ones((T, B))), DTypeError, "resets holds float64, expected bool"),
        (lambda m: m(X, resets=np.ones((T, 1), bool)), ShapeError, r"resets is for \(5, 1\)"),
        (
            lambda m: m(X.astype(np.float64)),
            DTypeError,
            "LSTM: x holds float64, but the weights fl",
        ),
    ],
)
def test_calls_that_cannot_be(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.LSTM(I, H))


def test_a_cell_without_input_needs_steps():
    with pytest.raises(ShapeError, match="expected steps=T and no x"):
        nn.Recurrent(nn.AutonomousCell(H))()


def test_the_mask_of_a_cell_without_input_says_how_many_rows_there_are():
    layer = nn.Recurrent(nn.AutonomousCell(4))
    y, _ = layer(steps=3, mask=np.ones((3, 5), bool))
    assert y.shape == (3, 5, 4)


def test_a_pair_where_a_tensor_is_meant():
    with pytest.raises(ShapeError, match=r"Linear: got a tuple of 2, .* \(y, state\): take the"):
        nn.Linear(H, 2)(nn.LSTM(I, H)(tg.zeros(T, B, I)))


def test_states_as_decoding_has_them():
    with pytest.raises(ShapeError, match=r"Its rows come first, .* swap its first two axes"):
        nn.GRU(I, H)(tg.zeros(1, 5, I), tg.zeros(5, 1, H))


def test_sizes_are_attributes():
    layer = nn.LSTM(I, H, num_layers=2)
    assert (layer.input_size, layer.hidden_size) == (I, H)
    assert nn.Recurrent(nn.AutonomousCell(H)).input_size is None
