"""A list of sequences is a padded batch with lengths, without the padding."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I
from tests.nn.layers import double, randn
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError

LENGTHS = [4, 0, 6, 1]
T, B = max(LENGTHS), len(LENGTHS)

LAYERS = {
    "lstm": lambda: nn.LSTM(I, H, fused=False),
    "batch first": lambda: nn.GRU(I, H, 2, bidirectional=True, batch_first=True, fused=False),
    "pair": lambda: nn.GRU(I, H, bidirectional=True, merge="none", fused=False),
    "last": lambda: nn.LSTM(I, H, output="last", initial_state="learned", fused=False),
    "kernel": lambda: nn.LSTM(I, H, bidirectional=True),
}


def outputs(y):
    """The outputs of both directions, or of one."""
    return y if isinstance(y, tuple) else (y,)


@pytest.mark.parametrize("name", LAYERS)
def test_a_list_is_a_padded_batch(name):
    layer = double(LAYERS[name]())
    rows = [randn(n, I).requires_grad_() for n in LENGTHS]
    x = ops.stack([ops.pad(row, [(0, T - len(row)), (0, 0)]) for row in rows], axis=1)
    resets = np.random.default_rng(0).random((T, B)) < 0.3
    each = [resets[:n, b] for b, n in enumerate(LENGTHS)]
    y, state = layer(rows, resets=each)
    swapped = (x.swapaxes(0, 1), resets.T) if layer.batch_first else (x, resets)
    y_2, state_2 = layer(swapped[0], lengths=LENGTHS, resets=swapped[1])
    loss, loss_2 = 0, 0
    for mine, padded in zip(outputs(y), outputs(y_2), strict=True):
        if layer.output == "last":
            mine, alike = [mine], [padded]
        else:
            padded = padded.swapaxes(0, 1) if layer.batch_first else padded
            alike = [padded[:n, b] for b, n in enumerate(LENGTHS)]
        assert isinstance(mine, list)
        for a, b in zip(mine, alike, strict=True):
            np.testing.assert_array_equal(a, b)
        loss, loss_2 = loss + sum((a**2).sum() for a in mine), loss_2 + (padded**2).sum()
    for a, b in zip(outputs(state), outputs(state_2), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(tg.grad(loss, rows), tg.grad(loss_2, rows), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_no_sequences_and_arrays(reference):
    layer = nn.GRU(I, H, 2)
    y, h = layer([])
    assert y == []
    assert h.shape == (2, 0, H)
    (y,), h = layer((np.ones((3, I), np.float32),))
    np.testing.assert_array_equal(y, layer(np.ones((3, I), np.float32))[0])
    y, _ = layer(np.ones((3, B, I), np.float32).tolist())  # of numbers, not of arrays
    assert y.shape == (3, B, H)


A, W = np.ones((2, I), np.float32), np.ones((2, I + 1), np.float32)


@pytest.mark.parametrize(
    ("x", "given", "error", "message"),
    [
        ([A, [[1.0] * I]], {}, ArgumentError, r"x\[1\] is a list, expected Tensors or arrays"),
        ([A, W], {}, ShapeError, r"x\[1\] has shape \(2, 4\), expected \(T, 3\)"),
        ([A[None]], {}, ShapeError, r"x\[0\] has shape \(1, 2, 3\)"),
        ([A, A.astype(np.float64)], {}, DTypeError, r"x\[1\] holds float64, but x\[0\] float32"),
        ([A.astype(np.float64)], {}, DTypeError, "x holds float64, but the weights float32"),
        ([A], {"lengths": [2]}, TypeError, "given lengths and a list of sequences"),
        ([A], {"mask": np.ones((2, 1), bool)}, TypeError, "given mask and a list of sequences"),
        ([A], {"steps": 2}, ShapeError, "steps is for cells without input"),
        ([A], {"resets": np.ones((2, 1), bool)}, ShapeError, "resets is a ndarray, expected a li"),
        ([A], {"resets": [[True]]}, ShapeError, r"resets\[0\] has shape \(1,\), expected \(2,\)"),
        ([A], {"resets": [[0, 1]]}, DTypeError, r"resets\[0\] holds int64, expected booleans"),
        ([A], {"state": np.ones((1, 2, H))}, ShapeError, "with the rows of x"),
    ],
)
def test_lists_that_cannot_be(x, given, error, message):
    with pytest.raises(error, match=message):
        nn.GRU(I, H)(x, **given)
