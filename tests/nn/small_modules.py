"""Modules that tests look into, and what they ask of them."""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn


class Cell(nn.Module):
    """Two parameters, a buffer, a smaller module."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(np.ones((2, 3), np.float32))
        self.out = nn.Linear(3, 2)
        self.b = nn.Parameter([0.0, 1.0, 2.0])
        self.register_buffer("mean", tg.zeros(3))

    def forward(self, x):
        return self.out(x @ self.w + self.b - self.mean)


class Holder(nn.Module):
    """Holds whatever it is given."""

    def __init__(self, **members):
        super().__init__()
        for name, member in members.items():
            setattr(self, name, member)


def names(pairs):
    return [name for name, _ in pairs]
