"""Truncated backpropagation is running in pieces, with the state detached between them."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I
from tests.nn.layers import double, randn
from tinygrad_rnn import nn, ops

T, B = 7, 3


def pair(make, **options):
    """A layer with ``truncate=3``, and its like without."""
    layers = [double(make(I, H, truncate=k, **options)) for k in (3, None)]
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


def by_hand(layer, x, lengths, reverse):
    """Outputs and the final state, piece after piece."""
    pieces, ys, state = [(0, 3), (3, 6), (6, T)], [], None
    for first, stop in reversed(pieces) if reverse else pieces:
        steps = np.clip(np.array(lengths) - first, 0, stop - first)
        y, state = layer(x[first:stop], state, lengths=steps)
        ys.append(y)
        last, state = state, tuple(s.detach() for s in state)
    return ops.concat(ys[::-1] if reverse else ys), last


@pytest.mark.parametrize("fused", ["require", False])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [[T] * B, [5, 3, 0]])
def test_it_is_detaching_by_hand(lengths, reverse, fused):
    layer, plain = pair(nn.LSTM, reverse=reverse, fused=fused, initial_state="learned")
    x = randn(T, B, I).requires_grad_()
    y, state = layer(x, lengths=lengths)
    y_2, state_2 = by_hand(plain, x, lengths, reverse)
    np.testing.assert_array_equal(y, y_2)
    parameters, parameters_2 = list(layer.parameters()), list(plain.parameters())
    loss, loss_2 = ((a * a).sum() + s[1].sum() for a, s in ((y, state), (y_2, state_2)))
    dx, *grads = tg.grad(loss, [x, *parameters])
    dx_2, *grads_2 = tg.grad(loss_2, [x, *parameters_2])
    np.testing.assert_array_equal(dx, dx_2)
    for a, b in zip(grads, grads_2, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    whole, *_ = tg.grad((plain(x, lengths=lengths)[0] ** 2).sum(), [x])
    assert not np.allclose(whole, dx)


def test_pieces_as_long_as_the_sequence_change_nothing(reference):
    x = randn(T, B, I).requires_grad_()
    layer, plain = pair(nn.GRU, bidirectional=True)
    layer.truncate = T
    gradients = [tg.grad((each(x)[0] ** 2).sum(), [x])[0] for each in (layer, plain)]
    np.testing.assert_array_equal(*gradients)


def test_higher_derivatives_stop_there_too(reference):
    layer, plain = pair(nn.GRU)
    x, v = randn(T, B, I).requires_grad_(), randn(T, B, I)

    def cut(x):
        return (layer(x)[0] ** 3).sum()

    def pieces(x):
        ys, h = [], None
        for first in (0, 3, 6):
            y, h = plain(x[first : first + 3], h)
            ys.append(y)
            h = h.detach()
        return (ops.concat(ys) ** 3).sum()

    (_, first), (_, second) = (tg.jvp(f, x, v) for f in (cut, pieces))
    np.testing.assert_allclose(first, second, atol=1e-12)
    first, second = (tg.hvp(f, x, v) for f in (cut, pieces))
    np.testing.assert_allclose(first, second, atol=1e-12)


def test_a_state_that_starts_anew_where_gradients_stop_still_has_one(reference):
    layer, plain = pair(nn.GRU, initial_state="learned")
    x, resets = randn(T, B, I), np.zeros((T, B), np.bool_)
    resets[3] = True
    wanted = [*layer.initial[0]["forward"].values()], [*plain.initial[0]["forward"].values()]
    (g,) = tg.grad(layer(x, randn(1, B, H), resets=resets)[0][3:6].sum(), wanted[0])
    (g_2,) = tg.grad(plain(x[3:6])[0].sum(), wanted[1])
    np.testing.assert_allclose(g, g_2, atol=1e-12)
