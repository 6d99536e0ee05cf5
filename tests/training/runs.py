"""Small runs to test with: a classifier of points with dropout, Adam, a schedule, clipping."""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, losses, nn, optim, training

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)


def points(batch_size=8, **options):
    return data.Batches((X, Y), batch_size, **{"shuffle": True, "seed": 3, **options})


def classify(model, batch):
    x, y = batch
    scores = model(x)
    right = (scores.numpy().argmax(-1) == y).mean()
    return losses.cross_entropy(scores, y), {"accuracy": right}


def classifier(rate=0.3, norm=False):
    layers = [nn.Linear(4, 8), *([nn.BatchNorm(8)] if norm else []), nn.Tanh(), nn.Dropout(rate)]
    return nn.Sequential(*layers, nn.Linear(8, 2))


def trainer(model=None, *, schedule=True, loss=classify, lr=0.05, **options):
    tg.seed(5)
    model = model or classifier()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    cosine = optim.schedules.CosineAnnealingLR(optimizer, T_max=60) if schedule else None
    return training.Trainer(
        model, optimizer, loss, schedule=cosine, **{"clip_norm": 1.0, **options}
    )


def numbers(trainer):
    """Everything that has to be the same to the bit, as bytes and texts."""
    state = trainer.state_dict()
    state.pop("seconds")
    for logs in state["history"]:
        logs.pop("seconds")
    return repr_of(state)


def repr_of(tree):
    if isinstance(tree, dict):
        return {key: repr_of(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [repr_of(part) for part in tree]
    if isinstance(tree, tg.Tensor):
        tree = tree.numpy()
    if isinstance(tree, np.ndarray):
        return tree.dtype.name, tree.shape, tree.tobytes()
    return repr(tree)
