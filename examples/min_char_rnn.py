"""min-char-rnn: a vanilla RNN learns to write, character by character (Karpathy 2015).

    h_t = tanh(x_t W_xh + h_{t-1} W_hh + b_h)        scores_t = h_t W_hy + b_y

Everything is as in the 112 lines of the classic, but for the derivatives, which are the library's:
the loss is the sum over 25 steps, gradients are clipped number by number, Adagrad divides by
√(v + 1e-8). Takes half a minute on what Python's own help says; another text is given by its name:

    python examples/min_char_rnn.py shakespeare.txt
"""

import argparse
import math
import os
import pydoc_data.topics
from collections.abc import Iterator

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn, ops, optim, text

HIDDEN = 100  # units
STEPS = 25  # of an iteration
RATE = 0.1
LARGEST = 5.0  # number in a gradient
SAMPLE = 200  # characters, every 100 iterations
ITERATIONS = 300 if os.environ.get("TINYGRAD_SHORT") else 10_000


class CharRNN(nn.Module):
    """The network: one-hot characters in, a score for every character out."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.rnn = nn.RNN(size, HIDDEN)
        self.out = nn.Linear(HIDDEN, size)
        self.size = size
        for weight in self.parameters():  # biases are 0 at first
            weight.assign_(0.01 * tg.randn(*weight.shape) * (weight.ndim > 1))

    def forward(self, ids: np.ndarray, h: tg.Tensor | None) -> tuple[tg.Tensor, tg.Tensor]:
        """ids (T,), h (1, H) -> scores (T, V) and the new h."""
        one_hot = np.eye(self.size, dtype=self.out.weight.dtype)[ids]
        states, h = self.rnn(one_hot, h)
        return self.out(states), h


def sample(model: CharRNN, h: tg.Tensor | None, first: int, length: int) -> list[int]:
    """Characters drawn one after another, each read before the next is drawn."""
    found = [first]
    with tg.no_grad():
        for _ in range(length):
            scores, h = model(np.array(found[-1:]), h)
            chances = np.cumsum(ops.softmax(scores[0]).numpy())
            found.append(int(np.searchsorted(chances, tg.rand(1).item() * chances[-1])))
    return found[1:]


def adagrad_for(model: CharRNN) -> optim.Adagrad:
    """The optimiser, with what keeps it from dividing by 0 inside of the root."""
    return optim.Adagrad(model.parameters(), lr=RATE, eps=1e-8, eps_inside_root=True)


def iterate(
    model: CharRNN, adagrad: optim.Adagrad, x: np.ndarray, y: np.ndarray, h: tg.Tensor | None
) -> tuple[float, tg.Tensor]:
    """One iteration: the loss of y after x, and the h to go on from, without its graph."""
    scores, h = model(x, h)
    loss = losses.cross_entropy(scores, y, reduction="sum")
    adagrad.zero_grad()
    loss.backward()
    optim.clip_grad_value(model.parameters(), LARGEST)
    adagrad.step()
    return loss.item(), h.detach()


def train(model: CharRNN, ids: np.ndarray) -> Iterator[tuple[float, list[int] | None]]:
    """Train for ever: the smooth loss after each iteration, sometimes what it wrote before."""
    adagrad = adagrad_for(model)
    smooth_loss = STEPS * math.log(model.size)
    place, iteration, h = len(ids), 0, None
    while True:
        if place + STEPS + 1 >= len(ids):  # from the start, with an empty memory
            place, h = 0, None
        x, y = ids[place : place + STEPS], ids[place + 1 : place + STEPS + 1]
        written = sample(model, h, x[0], SAMPLE) if iteration % 100 == 0 else None
        loss, h = iterate(model, adagrad, x, y, h)
        smooth_loss = 0.999 * smooth_loss + 0.001 * loss
        yield smooth_loss, written
        place, iteration = place + STEPS, iteration + 1


@command.ended()
def main() -> None:
    """Train, and show what it writes on the way."""
    tg.seed(0)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("text", nargs="?", help="a file to learn from; else Python's own help")
    given = parser.parse_args().text
    data = text.read(given) if given else "".join(pydoc_data.topics.topics.values())
    if len(data) <= STEPS:
        raise tg.errors.ArgumentError(f"{given} has {len(data)} characters, of {STEPS + 1} needed.")
    letters = text.Characters.of(data)
    print(f"{len(data)} characters, {len(letters)} different ones")
    model = CharRNN(len(letters))
    for iteration, (smooth_loss, written) in zip(
        range(ITERATIONS), train(model, letters.encode(data)), strict=False
    ):
        if written is not None:
            print(f"----\n{letters.decode(written)}\n----")
            print(f"iteration {iteration}, loss {smooth_loss:.3f}")
    print(f"\nloss {smooth_loss:.3f}: {smooth_loss / STEPS:.3f} nats a character")
    print(f"below {STEPS} ln V: {smooth_loss < STEPS * math.log(len(letters))}")


if __name__ == "__main__":
    main()
