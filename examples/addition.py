"""Learn to add: an encoder reads "535+61", a decoder says "596", neither knows what a number is.

    h = encoder("16+535")            backwards, so that the first digits come last
    P(y_t | y_1 .. y_{t-1}, h)       y: "596"

The smallest encoder-decoder: an LSTM that reads, an LSTM that goes on from its last state, no
attention. Questions that are asked in the end were never seen. Takes half a minute; the last line
tells whether 99 % of them are right.
"""

import argparse
import os

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, models, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
DIGITS = 2 if SHORT else 3
QUESTIONS = 4_000 if SHORT else 50_000  # all different
HELD_OUT = 200 if SHORT else 5_000
HIDDEN = 64 if SHORT else 128
BATCH = 50 if SHORT else 128
EPOCHS = 8 if SHORT else 14
RATE = 0.012 if SHORT else 0.006
ENOUGH = 0.1 if SHORT else 0.99  # in seconds: ten times what guessing a number gets


def questions(count: int) -> list[tuple[str, str]]:
    """Different questions with their answers, in any order."""
    rng = np.random.default_rng(0)
    numbers = 10**DIGITS
    drawn = rng.permutation(numbers**2)[:count]
    pairs = [divmod(int(number), numbers) for number in drawn]
    return [(f"{a}+{b}", str(a + b)) for a, b in pairs]


def tokens(vocabulary: text.Vocabulary, pairs: list[tuple[str, str]]) -> list[tuple]:
    """The questions, backwards, and the answers, as numbers of characters."""
    return [
        (vocabulary.encode(question[::-1]), vocabulary.encode(answer)) for question, answer in pairs
    ]


def right(model: models.Seq2Seq, pairs: list[tuple[str, str]]) -> float:
    """The share of questions that are answered with all digits right."""
    said = model.translate([question[::-1] for question, _ in pairs], batch_size=500)
    return float(np.mean([one == answer for one, (_, answer) in zip(said, pairs, strict=True)]))


@command.ended()
def main() -> None:
    """Train, ask, count."""
    tg.seed(1)
    pairs = questions(QUESTIONS)
    held_out, seen = pairs[:HELD_OUT], pairs[HELD_OUT:]
    letters = text.Characters.of("0123456789+")
    model = models.Seq2Seq(
        letters,
        letters,
        32,
        HIDDEN,
        cell="LSTM",
        bidirectional=False,
        attention=None,
        bridge="last",
    )
    batches = data.Batches(
        tokens(letters, seen),
        BATCH,
        shuffle=True,
        collate=lambda pairs: tuple(zip(*pairs, strict=True)),
    )
    optimizer = optim.Adam(model.parameters(), lr=RATE)
    trainer = training.Trainer(
        model,
        optimizer,
        lambda model, batch: model.loss(*batch),
        schedule=optim.schedules.CosineAnnealingLR(optimizer, T_max=EPOCHS * len(batches)),
        clip_norm=1.0,
    )
    if trainer.fit(batches, EPOCHS, progress=not SHORT).interrupted:
        raise KeyboardInterrupt
    for question, answer in held_out[:5]:
        said = model.translate([question[::-1]])[0]
        print(f"{question:>7} = {said:4}  {'right' if said == answer else 'wrong: ' + answer}")
    share = right(model, held_out)
    print(f"{share:.1%} of {HELD_OUT} sums never seen are right")
    print("learned: " + ("yes" if share >= ENOUGH else "not yet"))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()  # --help
    main()
