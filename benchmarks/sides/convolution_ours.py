"""Convolutions forward and backward.

layers B S         images (B, 3, S, S), two layers of 32 and 64 channels, each with ReLU
layer B C O S      one layer whose input wants a gradient too
encoder B S        a training step: three layers with ReLU and max pooling, a linear layer with
                   cross-entropy, gradient descent
"""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn, optim


def images(B, C, S):
    return np.random.default_rng(0).standard_normal((B, C, S, S)).astype(np.float32)


def case(name):
    what, *sizes = name.split()
    tg.seed(0)
    return {"layers": layers, "layer": layer, "encoder": encoder}[what](*map(int, sizes))


def layers(B, S):
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()
    )
    x, g = tg.tensor(images(B, 3, S)), images(B, 64, S)
    parameters = list(model.parameters())

    def work():
        for p in parameters:
            p.grad = None
        model(x).backward(g)

    return work


def layer(B, C, O, S):
    model = nn.Conv2d(C, O, 3, padding=1)
    x, g = tg.tensor(images(B, C, S), requires_grad=True), images(B, O, S)

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
    descent = optim.SGD(model.parameters(), lr=0.01)
    x, targets = images(B, 3, S), np.arange(B) % 10

    def work():
        descent.zero_grad()
        losses.cross_entropy(model(x), targets).backward()
        descent.step()

    return work
