"""Two processes train one model, each on its half of every batch, and come to what one comes to.

    g = Σ_r (n_r / n) g_r                     n_r of the n letters of a batch are with process r

An LSTM learns the Zen of Python by heart: first in one process, then in two on this machine that
add up their gradients over sockets while they still walk back. On several machines each would be
started by itself, with the address of the first. Takes seconds; the last line says whether both
ways lead to the same weights.
"""

import argparse
import codecs
import contextlib
import io
import os

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, losses, nn, optim
from tinygrad_rnn.training import Trainer, parallel

with contextlib.redirect_stdout(io.StringIO()):  # it says itself when it is imported
    import this

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
EPOCHS = 4 if SHORT else 40
STREAMS, STEPS, UNITS = 9, 24, 24 if SHORT else 96  # nine streams: shares are of five and of four

text = codecs.decode(this.s, "rot13")
letters = sorted(set(text))
ids = np.array([letters.index(letter) for letter in text])


class Reader(nn.Module):
    """Says at each letter what comes next."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(letters), 16)
        self.lstm = nn.LSTM(16, UNITS)
        self.out = nn.Linear(UNITS, len(letters))

    def forward(self, x, state=None):
        """Scores of what follows each letter of x (T, B), and the state behind them."""
        y, state = self.lstm(self.embedding(x), state)
        return self.out(y), state


def loss(model, chunk, state):
    scores, state = model(chunk.x, state)
    return losses.cross_entropy(scores, chunk.y), state


def train(group=None):
    """The losses of all epochs, and the weights in the end; of a process of a group, or of one."""
    rank, world_size = (0, 1) if group is None else (group.rank, group.size)
    tg.seed(rank)  # other weights in each process: all begin with those of the first
    model = Reader().astype(np.float64)
    trainer = Trainer(
        model, optim.Adam(model.parameters(), lr=0.01), loss, clip_norm=1.0, carry_state=True,
        weight=lambda chunk: chunk.y.size, group=group,
    )  # fmt: skip
    chunks = data.Streams(ids, STREAMS, STEPS, rank=rank, world_size=world_size)
    history = trainer.fit(chunks, EPOCHS, progress=False)
    if history.interrupted:
        raise KeyboardInterrupt
    return history["loss"], model.state_dict()


@command.ended()
def main():
    """Train both ways, and compare."""
    alone, weights = train()
    (first, its), (_, others) = parallel.spawn(train, 2)
    print("epoch   one process   two processes")
    for epoch in range(0, EPOCHS, max(1, EPOCHS // 8)):
        print(f"{epoch + 1:5}   {alone[epoch]:11.8f}   {first[epoch]:13.8f}")
    far = max(np.abs(its[name] - weights[name]).max() for name in weights)
    same = all(np.array_equal(its[name], others[name]) for name in weights)
    print(f"\nweights of both processes, bit by bit: {'the same' if same else 'not the same'}")
    print(f"weights of one process and of two: {'the same' if far < 1e-6 else f'{far:.0e} apart'}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()  # --help
    main()
