"""Seconds of each checkpoint of 10 million parameters, of the step after it, and of going on.

Prints a JSON object: the save, whatever the next step takes longer than the median step, loading.
"""

import json
import statistics
import tempfile
import time

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops, optim, training

ROUNDS = 9


def made():
    tg.seed(0)
    model = nn.Sequential(*[nn.Linear(1000, 1000) for _ in range(10)])
    optimizer = optim.Adam(model.parameters())
    return training.Trainer(model, optimizer, lambda model, x: ops.square(model(x)).mean())


class Watch(training.Callback):
    """The times between steps."""

    after_others = True

    def __init__(self):
        self.moments = []

    def on_step(self, trainer):
        self.moments.append(time.perf_counter())


class Timed(training.Checkpoints):
    seconds: list

    def save(self, trainer):
        begin = time.perf_counter()
        path = super().save(trainer)
        self.seconds.append(time.perf_counter() - begin)
        return path


def main():
    trainer, watch = made(), Watch()
    batches = [np.ones((16, 1000), np.float32)] * (4 * ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        keeper = Timed(folder, every=4)
        keeper.seconds = []
        trainer.fit(batches, callbacks=[keeper, watch], progress=False)
        loading = []
        for _ in range(3):
            other = made()
            begin = time.perf_counter()
            keeper.resume(other)
            loading.append(time.perf_counter() - begin)
    between = np.diff(watch.moments)  # the k-th is the step k + 2, and its checkpoint
    plain = statistics.median(between)
    after = [between[k] - plain for k in range(3, len(between), 4)]
    saves = [s - plain for s in between[2::4]]
    print(json.dumps({
        "Checkpoints.save": keeper.seconds[1:-1],
        "pause of training: from step to step, less a plain step": saves[1:],
        "the step after it, less a plain step": after[1:],
        "going on from it": loading,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
