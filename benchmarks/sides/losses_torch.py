"""The same by PyTorch."""

import numpy as np
import torch
from torch import nn


def case(name):
    N, D, V = map(int, name.split()[1:])
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    h = torch.from_numpy(rng.standard_normal((N, D)).astype(np.float32)).requires_grad_()
    y, layer = torch.from_numpy(rng.integers(0, V, N)), nn.Linear(D, V)

    def work():
        h.grad = layer.weight.grad = layer.bias.grad = None
        nn.functional.cross_entropy(layer(h), y).backward()

    return work
