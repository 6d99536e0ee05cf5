"""Half precision on a GPU: no kernel takes it; the definitions compute what they do on the CPU."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops, optim


def half(*shape):
    return tg.tensor(np.random.default_rng(shape).standard_normal(shape).astype(np.float16))


def gradients(model, x, device):
    """The outputs and the gradients, of a norm of at most 1, as arrays of the host."""
    tg.seed(1)
    net, given = model().astype(np.float16).to(device), x.to(device)
    y = net(given)
    y = y[0] if isinstance(y, tuple) else y
    (y * y).sum().backward()
    norm = float(optim.clip_grad_norm(net.parameters(), 1.0))
    assert norm > 1
    return [y.numpy(), *(p.grad.numpy() for p in net.parameters()), np.float16(norm)]


MODELS = [
    lambda: nn.Sequential(nn.Linear(3, 30), nn.Sigmoid(), nn.Linear(30, 9), nn.Tanh()),
    lambda: nn.LSTM(3, 20),
]


@pytest.mark.parametrize("model", MODELS, ids=["layers", "lstm"])
@pytest.mark.filterwarnings("ignore:.* runs step by step:RuntimeWarning")
def test_layers_and_gradients_are_those_of_the_cpu(standin, model):
    x = half(4, 3, 3)
    for mine, theirs in zip(gradients(model, x, "cpu"), gradients(model, x, "gpu"), strict=True):
        assert mine.dtype == theirs.dtype == np.float16
        np.testing.assert_allclose(theirs, mine, rtol=4e-3, atol=4e-3)


def test_additive_scores_are_those_of_the_cpu(standin):
    found = []
    for device in ("cpu", "gpu"):
        given = [half(2, 2, 3), half(2, 4, 3), half(3)]
        given = [x.to(device).requires_grad_() for x in given]
        scores = ops.additive_scores(*given, None)
        scores.sum().backward()
        found.append([scores.numpy(), *(x.grad.numpy() for x in given)])
    for mine, theirs in zip(*found, strict=True):
        assert mine.dtype == theirs.dtype == np.float16
        np.testing.assert_allclose(theirs, mine, rtol=4e-3, atol=4e-3)
