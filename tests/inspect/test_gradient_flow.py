"""The map of a weight's gradient is that of the network unrolled, with a weight for each step."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import draw, make
from tinygrad_rnn import inspect, nn, ops
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.kernels._twin import use_reference

T, B = 5, 3


def unrolled(cell, x, states, target):
    """The loss of each step, and the weights of each, which are equal but not the same."""
    losses, weights = [], []
    for t in range(T):
        weights.append({n: w.detach().requires_grad_() for n, w in cell.weights().items()})
        _, states = ops.recurrence(cell.program, x[t : t + 1], states, weights[t], composite=True)
        losses.append(ops.square(states[0] - target[t]).sum())
    return losses, weights


@pytest.mark.parametrize("name", ["lstm", "gru_before", "lstm_peephole"])
@pytest.mark.parametrize("fused", [True, False])
def test_rows_are_losses_and_columns_steps(name, fused):
    cell = make(name)
    x, states = draw(cell, T, B)
    states = [tg.tensor(s) for s in states]
    target = tg.randn(T, B, 4, dtype=np.float64)
    layer = nn.Recurrent(cell, fused=fused)
    state = states[0][None] if len(states) == 1 else tuple(s[None] for s in states)
    y, _, trace = layer(x, state, return_trace=True)
    losses = ops.square(y - target).sum(axis=(1, 2))
    alone, weights = unrolled(cell, tg.tensor(x), states, target)
    for weight in cell.weights():
        norms = inspect.gradient_map(losses, trace, weight).numpy()
        want = np.zeros((T, T))
        for t, loss in enumerate(alone):
            used = [w[weight] for w in weights[: t + 1]]
            found = tg.grad(loss, used, retain_graph=True, allow_unused=True)
            want[t, : t + 1] = [0 if g is None else np.linalg.norm(g.numpy()) for g in found]
        np.testing.assert_allclose(norms, want, atol=1e-10)
    assert all(w.grad is None for w in cell.parameters())
    losses.sum().backward()  # the graph is still there
    np.testing.assert_allclose(trace.parts("b").numpy().sum(axis=0), cell.b.grad, atol=1e-10)


@use_reference()
def test_a_list_of_losses_a_layer_above_and_what_does_not_depend_on_it():
    layer = nn.LSTM(3, 4, num_layers=2).astype(np.float64)
    y, (h, _), trace = layer(tg.randn(T, B, 3, dtype=np.float64), return_trace=True)
    losses = [y[3].sum(), (layer.layers[0]["forward"].b ** 2).sum(), h[0].sum()]
    below, above = (trace.layers[k]["forward"] for k in (0, 1))
    norms = inspect.gradient_map(losses, below, "w_h").numpy()
    assert norms.shape == (3, T)
    assert norms[0, 1:4].all()
    assert not norms[0, 4:].any()
    assert not norms[1].any()
    assert norms[2, 1:].all()
    assert not inspect.gradient_map(losses, above, "w_h").numpy()[1:].any()


@use_reference()
def test_what_cannot_be_mapped_is_told():
    layer = nn.LSTM(3, 4, bidirectional=True)
    y, _, trace = layer(tg.randn(T, B, 3), return_trace=True)
    with pytest.raises(TypeError, match=r"expected the trace of one cell.*trace.layers\[0\]"):
        inspect.gradient_map(y.sum(axis=(1, 2)), trace, "w_h")
    x, other = tg.randn(T, B, 3), tg.ones(T, requires_grad=True)
    for weight in layer.parameters():
        weight.requires_grad = False
    y, _, trace = layer(x, return_trace=True)
    with pytest.raises(GradientError, match="nothing that the recurrence was given wants a grad"):
        inspect.gradient_map(y.sum(axis=(1, 2)) * other, trace.layers[0]["forward"], "w_h")
