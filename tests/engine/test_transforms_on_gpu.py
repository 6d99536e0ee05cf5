"""Derivatives of functions on a GPU: every transform gives what it gives on the CPU."""

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.devices import assert_alike
from tinygrad_rnn import nn, ops, testing, transforms

pytestmark = pytest.mark.usefixtures("reference")

X = np.random.default_rng(0).standard_normal((3, 4))
V = np.random.default_rng(1).standard_normal((3, 4))


def f(x):
    return (ops.tanh(x[:, :2]) * ops.exp(x[:, 2:])).sum(0)


def total(x):
    return (f(x) * f(x)).sum()


def tagged(model, x, lengths):
    """The loss of each row."""
    y, _ = model[0](x, lengths=lengths)
    return ops.square(model[1](y)).sum(axis=(0, 2))


def per_sample(device):
    tg.seed(1)
    model = nn.Sequential(nn.GRU(4, 5), nn.Linear(5, 2)).astype(tg.float64).to(device)
    x = tg.tensor(np.random.default_rng(2).standard_normal((3, 4, 4)), device=device)
    losses = tagged(model, x, np.array([3, 1, 2, 0]))
    return transforms.per_sample_grads(losses, list(model.parameters()))


def checkpointed(x):
    leaf = x.detach().requires_grad_()
    total(transforms.checkpoint(lambda x: ops.tanh(x) * 2.0, leaf)).backward()
    return leaf.grad


WAYS = {
    "vjp": lambda x, v: transforms.vjp(f, x)[1](f(v)),
    "jvp": lambda x, v: transforms.jvp(f, x, v),
    "hvp": lambda x, v: transforms.hvp(total, x, v),
    "jacobian": lambda x, v: transforms.jacobian(f, x),
    "checkpoint": lambda x, v: checkpointed(x),
    "per_sample_grads": lambda x, v: per_sample(x.device),
}


def test_there_is_a_case_for_every_transform():
    assert set(transforms.__all__) == set(WAYS)


@pytest.mark.parametrize("name", WAYS)
def test_every_transform(on_gpu, name):
    found = [
        WAYS[name](*(tg.tensor(copy.copy(x), device=device) for x in (X, V)))
        for device in ("cpu", "gpu")
    ]
    assert_alike(*found)


def test_the_toolkit_compares_devices(on_gpu):
    testing.assert_devices_agree(f, X)
    with pytest.raises(AssertionError, match="on cpu and gpu differ"):
        testing.assert_devices_agree(lambda x: f(x) * (1.0 if x.device == "cpu" else 1.001), X)
