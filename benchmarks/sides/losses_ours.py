"""A linear layer and its cross-entropy, forward and backward: ``linear_cross_entropy N D V``."""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn


def case(name):
    N, D, V = map(int, name.split()[1:])
    tg.seed(0)
    rng = np.random.default_rng(0)
    h = tg.tensor(rng.standard_normal((N, D)).astype(np.float32), requires_grad=True)
    y, layer = rng.integers(0, V, N), nn.Linear(D, V)

    def work():
        h.grad = layer.weight.grad = layer.bias.grad = None
        losses.linear_cross_entropy(h, layer.weight, y, layer.bias).backward()

    return work
