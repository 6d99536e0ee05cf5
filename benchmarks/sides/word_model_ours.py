"""A training step of a language model of words: ``train V E H layers T B``.

Embedding, LSTM layers, a linear layer with cross-entropy; the state goes from step to step, the
norm of the gradients is clipped, and gradient descent updates everything.
"""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn, optim


class WordModel(nn.Module):
    def __init__(self, V, E, H, layers):
        super().__init__()
        self.embedding = nn.Embedding(V, E)
        self.lstm = nn.LSTM(E, H, layers)
        self.out = nn.Linear(H, V)

    def loss(self, ids, targets, state):
        y, state = self.lstm(self.embedding(ids), state)
        return losses.linear_cross_entropy(y, self.out.weight, targets, self.out.bias), state


def case(name):
    V, E, H, layers, T, B = map(int, name.split()[1:])
    tg.seed(0)
    model = WordModel(V, E, H, layers)
    descent = optim.SGD(model.parameters(), lr=0.1)
    parameters = list(model.parameters())
    ids = np.random.default_rng(0).integers(0, V, (T + 1, B))
    state = None

    def work():
        nonlocal state
        descent.zero_grad()
        loss, (h, c) = model.loss(ids[:-1], ids[1:], state)
        state = h.detach(), c.detach()
        loss.backward()
        optim.clip_grad_norm(parameters, 0.25)
        descent.step()

    return work
