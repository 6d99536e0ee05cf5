"""Sequences of no steps and batches of no rows have gradients, as all others have.

So a training step over an empty batch does nothing, instead of raising.
"""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.kernels._twin import use_reference

T, B, I, H = 5, 4, 3, 4


@pytest.fixture
def reference():
    with use_reference():
        yield


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("steps", "rows"), [(0, B), (T, 0), (0, 0)])
def test_gradients_of_nothing_are_zeros(steps, rows, fused):
    layer = nn.LSTM(I, H, 2, bidirectional=True, fused=fused)
    x = tg.ones((steps, rows, I)).requires_grad_()
    inputs = [x, *layer.parameters()]
    for loss in (lambda y, h, c: y.sum(), lambda y, h, c: h.sum() + c.sum()):
        y, (h, c) = layer(x)
        for wanted, gradient in zip(inputs, tg.grad(loss(y, h, c), inputs), strict=True):
            assert gradient.shape == wanted.shape
            assert not gradient.numpy().any()


@pytest.mark.usefixtures("reference")
def test_the_state_after_no_steps_is_the_one_before_whatever_the_weights():
    layer = nn.GRU(I, H)
    layer.layers[0]["forward"].w_h.assign_(np.full((H, 3 * H), np.inf, np.float32))
    start = tg.randn(1, B, H, requires_grad=True)
    _, h = layer(np.ones((0, B, I), np.float32), start)
    assert h.tolist() == start.tolist()
    (gradient,) = tg.grad((h * 2).sum(), [start])
    assert gradient.tolist() == np.full((1, B, H), 2.0).tolist()


@pytest.mark.usefixtures("reference")
def test_a_cell_that_has_no_kernel_has_them_too():
    class Normed(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H", "w_h": "H H"}

        def step(self, x, h, p):
            return ops.softmax(x @ p.w_x + h @ p.w_h)

    layer = nn.Recurrent(Normed(I, H), fused=False)
    y, h = layer(np.ones((0, B, I), np.float32))
    for gradient in tg.grad(y.sum() + h.sum(), [*layer.parameters()]):
        assert not gradient.numpy().any()


@pytest.mark.parametrize("fused", [True, False])
def test_no_rows_are_as_wide_as_any(fused):
    layer = nn.GRU(I, H, 2, proj_size=2, fused=fused)
    x = tg.ones((T, 0, I)).requires_grad_()
    y, h = layer(x)
    assert (y.shape, h.shape) == ((T, 0, 2), (2, 0, H))
    (gradient,) = tg.grad(y.sum() + h.sum(), [x])
    assert gradient.shape == x.shape
