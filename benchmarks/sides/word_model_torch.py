"""The same step by PyTorch."""

import numpy as np
import torch
from torch import nn


class WordModel(nn.Module):
    def __init__(self, V, E, H, layers):
        super().__init__()
        self.embedding = nn.Embedding(V, E)
        self.lstm = nn.LSTM(E, H, layers)
        self.out = nn.Linear(H, V)

    def loss(self, ids, targets, state):
        y, state = self.lstm(self.embedding(ids), state)
        scores = self.out(y).flatten(0, 1)
        return nn.functional.cross_entropy(scores, targets.flatten()), state


def case(name):
    V, E, H, layers, T, B = map(int, name.split()[1:])
    torch.manual_seed(0)
    model = WordModel(V, E, H, layers)
    parameters = list(model.parameters())
    descent = torch.optim.SGD(parameters, lr=0.1)
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, V, (T + 1, B)))
    state = None

    def work():
        nonlocal state
        descent.zero_grad()
        loss, (h, c) = model.loss(ids[:-1], ids[1:], state)
        state = h.detach(), c.detach()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.25)
        descent.step()

    return work
