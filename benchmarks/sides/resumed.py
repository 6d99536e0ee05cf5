"""A run that may be killed at any moment: started again, it goes on.

    python resumed.py FOLDER {points,text} EVERY STEPS [reference]

Dropout, shuffling, a schedule, clipping and Adam; of "text" also a state that is carried. A line
in FOLDER/steps for each step, one for where it went on, and in the end FOLDER/digest: a digest of
everything that the run has come to.
"""

import hashlib
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, losses, nn, optim, training
from tinygrad_rnn.kernels._twin import use_reference


class Speaker(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.rnn = nn.GRU(8, 16, num_layers=2, dropout=0.2)
        self.out = nn.Linear(16, 11)

    def forward(self, ids, state):
        y, state = self.rnn(self.embedding(ids), state)
        return self.out(y), state


def points():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 6)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    layers = [nn.Linear(6, 32), nn.BatchNorm(32), nn.Tanh(), nn.Dropout(0.3), nn.Linear(32, 2)]
    model = nn.Sequential(*layers)

    def loss(model, batch):
        scores = model(batch[0])
        right = (scores.numpy().argmax(-1) == batch[1]).mean()
        return losses.cross_entropy(scores, batch[1]), {"accuracy": right}

    return model, loss, data.Background(data.Batches((x, y), 8, shuffle=True, seed=4)), False


def text():
    tokens = np.random.default_rng(0).integers(0, 11, 2000)

    def loss(model, batch, state):
        scores, state = model(batch.x, state)
        return losses.cross_entropy(scores, batch.y), state

    return Speaker(), loss, data.Streams(tokens, batch_size=4, steps=12), True


class Steps(training.Callback):
    """Notes each step with the system, which keeps it when the process is killed."""

    def __init__(self, path):
        self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, text):
        os.write(self.descriptor, f"{text}\n".encode())

    def on_fit_begin(self, trainer):
        self.note(f"from {trainer.step}")

    def on_step(self, trainer):
        self.note(trainer.step)


def flat(tree):
    if isinstance(tree, dict):
        parts = [repr(key).encode() + flat(tree[key]) for key in sorted(tree, key=str)]
        return b"{%b}" % b",".join(parts)
    if isinstance(tree, list | tuple):
        return b"[%b]" % b",".join(map(flat, tree))
    tree = tree.numpy() if isinstance(tree, tg.Tensor) else tree
    return tree.tobytes() if isinstance(tree, np.ndarray) else repr(tree).encode()


def main(folder, kind, every, steps, *twin):
    with use_reference() if twin else nullcontext():
        tg.seed(1)
        model, loss, batches, carry = {"points": points, "text": text}[kind]()
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        trainer = training.Trainer(
            model, optimizer, loss, clip_norm=1.0, carry_state=carry,
            schedule=optim.schedules.CosineAnnealingLR(optimizer, T_max=300),
        )  # fmt: skip
        keeper = training.Checkpoints(Path(folder, "run"), every=int(every))
        stopping = training.EarlyStopping(patience=1000, restore_best=True)
        trainer.fit(
            batches, steps=int(steps), callbacks=[keeper, stopping, Steps(Path(folder, "steps"))],
            resume=True, progress=False,
        )  # fmt: skip
        state = trainer.state_dict()
        for logs in (state, *state["history"]):
            del logs["seconds"]
        Path(folder, "digest").write_text(hashlib.sha256(flat(state)).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
