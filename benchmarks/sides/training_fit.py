"""Training with ``fit`` and by a loop of one's own: ``fit small`` and ``loop small``.

One call is an epoch of the same model on the same batches, clipped, with Adam and a schedule.
"""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, losses, nn, optim, training

STEPS = {"words": 20, "small": 200}  # of an epoch: at 0.5 ms a step nobody has epochs of 20


class Words(nn.Module):
    def __init__(self, words, width):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.rnn = nn.LSTM(width, width)
        self.out = nn.Linear(width, words)

    def forward(self, ids):
        return self.out(self.rnn(self.embedding(ids))[0])


def made(size):
    """A model, and the batches of an epoch."""
    rng = np.random.default_rng(0)
    if size == "small":
        rows = 32 * STEPS[size]
        x = rng.standard_normal((rows, 64)).astype(np.float32)
        y = rng.integers(0, 10, rows)
        model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        return model, data.Batches((x, y), 32)
    ids = rng.integers(0, 1000, (20 * STEPS[size], 35))
    batches = data.Batches((ids, ids), 20, collate=None)
    return Words(1000, 200), [(x.T, y.T) for x, y in batches]


def loss_of(model, batch):
    x, y = batch
    return losses.cross_entropy(model(x), y)


def case(name):
    way, size = name.split()
    tg.seed(0)
    model, batches = made(size)
    optimizer = optim.Adam(model.parameters(), lr=1e-4)
    schedule = optim.schedules.CosineAnnealingLR(optimizer, T_max=10**6)
    if way == "fit":
        trainer = training.Trainer(model, optimizer, loss_of, schedule=schedule, clip_norm=1.0)
        return lambda: trainer.fit(batches, progress=False)
    parameters = list(model.parameters())

    def loop():
        total = 0.0
        for batch in batches:
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            loss.backward()
            total += loss.item()
            optim.clip_grad_norm(parameters, 1.0)
            optimizer.step()
            schedule.step()
        return total

    return loop
