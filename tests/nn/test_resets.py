"""Rows that start anew in mid-sequence: like sequences of their own, one after the other."""

from itertools import pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I
from tests.nn.layers import double, randn
from tinygrad_rnn import nn, ops

T, B = 7, 3
RESETS = np.zeros((T, B), np.bool_)
RESETS[[0, 3, 4, 2, 6], [0, 0, 0, 1, 2]] = True


def make(**options):
    """A layer whose own initial state is learned, and not zero."""
    layer = double(nn.LSTM(I, H, initial_state="learned", **options))
    for vector in layer.initial[0].values():
        for number, parameter in enumerate(vector.values()):
            parameter.assign_(np.linspace(-1, 1 + number, H))
    return layer


def in_pieces(layer, x, state, resets, reverse):
    """The outputs and the final state of one row (T, I), piece after piece."""
    bounds = [0, *(t for t in range(1, T) if resets[t]), T]
    if resets[0] and not reverse:
        state = None
    pieces, ys = list(pairwise(bounds)), []
    for first, stop in reversed(pieces) if reverse else pieces:
        y, final = layer(x[first:stop], state)
        ys.append(y)
        state = None
    return ops.concat(ys[::-1] if reverse else ys), final


@pytest.mark.parametrize("fused", ["require", False])
@pytest.mark.parametrize("reverse", [False, True])
def test_each_piece_is_a_sequence_of_its_own(reverse, fused):
    layer = make(reverse=reverse, fused=fused)
    x, h, c = (randn(*s).requires_grad_() for s in ((T, B, I), (1, B, H), (1, B, H)))
    y, final = layer(x, (h, c), resets=RESETS)
    rows = [in_pieces(layer, x[:, b], (h[:, b], c[:, b]), RESETS[:, b], reverse) for b in range(B)]
    np.testing.assert_array_equal(y, ops.stack([row for row, _ in rows], axis=1))
    for k in range(2):
        np.testing.assert_array_equal(final[k], ops.stack([f[k] for _, f in rows], axis=1))
    loss = (y * y).sum() + final[1].sum()
    by_hand = sum((row * row).sum() + f[1].sum() for row, f in rows)
    wanted = [x, h, c, *layer.parameters()]
    for a, b in zip(tg.grad(loss, wanted), tg.grad(by_hand, wanted), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_given_state_goes_no_further_than_the_first_reset(reference):
    layer, x = make(), randn(T, B, I)
    y, _ = layer(x, tuple(randn(1, B, H) for _ in range(2)), resets=np.ones((T, B), np.bool_))
    alone = [layer(x[t : t + 1])[0][0] for t in range(T)]
    np.testing.assert_array_equal(y, ops.stack(alone))
    first, *_ = tg.grad(y.sum(), list(layer.initial[0]["forward"].values()))
    assert first.numpy().all()


def test_a_carried_state_is_put_back_to_the_initial_one(reference):
    layer, x = make(stateful=True), randn(T, B, I)
    y, _ = layer(x)
    done = np.zeros((T, B), np.bool_)
    done[0, 1] = True
    again, _ = layer(x, resets=done)
    np.testing.assert_array_equal(again[:, 1], y[:, 1])
    assert not np.array_equal(again[:, 0], y[:, 0])


def test_layers_batch_first_and_single_sequences_take_them(reference):
    layer = double(nn.GRU(I, H, 2, bidirectional=True))
    x = randn(T, B, I)
    y, h = layer(x, resets=RESETS)
    other = double(nn.GRU(I, H, 2, bidirectional=True, batch_first=True))
    other.load_state_dict(layer.state_dict())
    y_2, h_2 = other(x.swapaxes(0, 1), resets=RESETS.T)
    np.testing.assert_array_equal(y_2.swapaxes(0, 1), y)
    np.testing.assert_array_equal(h_2, h)
    for b in range(B):
        np.testing.assert_array_equal(layer(x[:, b], resets=RESETS[:, b])[0], y[:, b])
    alone, _ = nn.Recurrent(nn.AutonomousCell(H))(steps=T, resets=RESETS)
    assert alone.shape == (T, B, H)


def test_what_lies_behind_the_end_of_a_row_resets_nothing(reference):
    layer, x = make(bidirectional=True), randn(T, B, I)
    lengths = np.array([4, 0, 6])
    behind = np.arange(T)[:, None] >= lengths
    y, final = layer(x, lengths=lengths, resets=RESETS & ~behind)
    y_2, final_2 = layer(x, lengths=lengths, resets=RESETS | behind)
    np.testing.assert_array_equal(y, y_2)
    for a, b in zip(final, final_2, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gap_may_hold_a_reset(reference):
    layer, x = make(), randn(T, 1, I)
    gap = np.ones((T, 1), np.bool_)
    gap[2:5] = False
    inside = np.zeros((T, 1), np.bool_)
    inside[3] = True
    y, _ = layer(x, mask=gap, resets=inside)
    np.testing.assert_array_equal(y[5:], layer(x[5:])[0])


@pytest.mark.parametrize("fused", ["require", False])
def test_states_without_weights_may_be_of_any_type(fused):
    class Counting(nn.Cell):
        state, input = ("h",), None

        def step(self, h, p):
            return h + 1.0

    layer = nn.Recurrent(Counting(H), fused=fused)
    y, _ = layer(
        state=tg.ones(1, 2, H, dtype=np.float64),
        steps=3,
        resets=np.array([[0, 0], [0, 1], [0, 0]], bool),
    )
    assert (y.dtype, y[:, :, 0].tolist()) == (np.float64, [[2, 2], [3, 1], [4, 2]])
