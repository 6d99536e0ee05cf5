"""The same by PyTorch."""

import numpy as np
import torch
from torch import nn


def images(B, C, S):
    found = np.random.default_rng(0).standard_normal((B, C, S, S)).astype(np.float32)
    return torch.from_numpy(found)


def case(name):
    what, *sizes = name.split()
    torch.manual_seed(0)
    return {"layers": layers, "layer": layer, "encoder": encoder}[what](*map(int, sizes))


def layers(B, S):
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()
    )
    x, g = images(B, 3, S), images(B, 64, S)
    parameters = list(model.parameters())

    def work():
        for p in parameters:
            p.grad = None
        model(x).backward(g)

    return work


def layer(B, C, O, S):
    model = nn.Conv2d(C, O, 3, padding=1)
    x, g = images(B, C, S).requires_grad_(), images(B, O, S)

    def work():
        for p in (x, *model.parameters()):
            p.grad = None
        model(x).backward(g)

    return work


def encoder(B, S):
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * (S // 8) ** 2, 10),
    )  # fmt: skip
    descent = torch.optim.SGD(model.parameters(), lr=0.01)
    x, targets = images(B, 3, S), torch.arange(B) % 10

    def work():
        descent.zero_grad()
        nn.functional.cross_entropy(model(x), targets).backward()
        descent.step()

    return work
