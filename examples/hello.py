"""Learn to spell "hello": four letters, three hidden units, one vanilla RNN.

    h_t = tanh(W_xh x_t + W_hh h_{t-1})        scores_t = W_hy h_t

Takes a second; the last line printed is the spelled word.
"""

import argparse
import os

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import ops

LETTERS = "helo"  # the vocabulary
WORD = "hello"
HIDDEN = 3
STEPS = 30 if os.environ.get("TINYGRAD_SHORT") else 120
LEARNING_RATE = 0.5


def one_hot(letter: str) -> tg.Tensor:
    """The input vector of a letter: 1 in its place."""
    return tg.tensor(np.eye(len(LETTERS), dtype=np.float32)[LETTERS.index(letter)])


def run(weights: dict[str, tg.Tensor], letters: str) -> list[tg.Tensor]:
    """The scores of the next letter after every letter."""
    h = tg.zeros(HIDDEN)
    scores = []
    for letter in letters:
        h = ops.tanh(one_hot(letter) @ weights["xh"] + h @ weights["hh"])
        scores.append(h @ weights["hy"])
    return scores


def loss_of(weights: dict[str, tg.Tensor]) -> tg.Tensor:
    """Cross-entropy: minus the log-probability of each right next letter, summed."""
    total = tg.tensor(0.0)
    for scores, letter in zip(run(weights, WORD[:-1]), WORD[1:], strict=True):
        total = total - ops.log_softmax(scores)[LETTERS.index(letter)]
    return total


def spell(weights: dict[str, tg.Tensor]) -> str:
    """Start with h and feed the likeliest letter back, four times."""
    word = WORD[0]
    with tg.no_grad():
        while len(word) < len(WORD):
            word += LETTERS[int(run(weights, word)[-1].argmax())]
    return word


def show(weights: dict[str, tg.Tensor]) -> None:
    """The lecture's table: inputs below, scores and probabilities above, target on top."""
    with tg.no_grad():
        scores = run(weights, WORD[:-1])
    columns = [(s.numpy(), ops.softmax(s).numpy()) for s in scores]
    print("\ntarget        " + "".join(f"{letter:>16}" for letter in WORD[1:]))
    for row, letter in enumerate(LETTERS):
        cells = "".join(f"{s[row]:>10.1f}  {p[row]:.2f}" for s, p in columns)
        print(f"{'score, prob. ' if not row else '':<13}{letter}{cells}")
    print("input         " + "".join(f"{letter:>16}" for letter in WORD[:-1]))


def main() -> str:
    """Train, print, spell."""
    tg.seed(1)
    weights = {
        "xh": tg.randn(len(LETTERS), HIDDEN, requires_grad=True),
        "hh": tg.randn(HIDDEN, HIDDEN, requires_grad=True),
        "hy": tg.randn(HIDDEN, len(LETTERS), requires_grad=True),
    }
    print(f"before training: {spell(weights)}")
    for step in range(STEPS + 1):
        loss = loss_of(weights)
        if step % (STEPS // 6) == 0:
            print(f"step {step:4d}   loss {loss.item():.4f}")
        gradients = tg.grad(loss, list(weights.values()))
        for weight, gradient in zip(weights.values(), gradients, strict=True):
            weight.assign_(weight.data - LEARNING_RATE * gradient.data)
    show(weights)
    word = spell(weights)
    print(f"\nspelled: {word}")
    return word


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()  # --help
    main()
