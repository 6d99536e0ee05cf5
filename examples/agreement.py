"""What recurrent networks remember: the number of a subject, and a word from long ago.

    the writer of the books near the kings is here .      is or are? The writer is.
    she lost the tickets . ... at last she found the ...  the tickets, whatever came in between

RNN, GRU and LSTM read the same text of a small grammar, and are asked about combinations that
never stood in it: of a subject and the noun before its verb, of a thing and how it got lost. The
farther back the word that matters, the fewer right answers; the better a network keeps it, the
more. Takes a quarter of a minute.
"""

import argparse
import os

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, models, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
CELLS = "RNN", "GRU", "LSTM"
WIDTH, ROWS, CHUNK = 64, 16, 50
EPOCHS = 2 if SHORT else 7
PASSAGES = 1000 if SHORT else 12_000  # of the text
ASKED = 50 if SHORT else 400  # questions for each distance
ATTRACTORS = range(6)  # nouns between a subject and its verb; up to 3 in the text
BETWEEN = range(6)  # sentences between a loss and the find; up to 4 in the text

PEOPLE = "writer teacher king farmer pilot doctor singer baker".split()
PLACES = "of near behind with".split()
VERBS = ["is are", "was were", "has have", "knows know", "likes like", "sees see"]
ENDS = "here now often again".split()
LOSSES = "lost forgot hid left dropped wanted missed needed".split()
THINGS = "tickets keys glasses letters maps coins shoes books".split()


class Grammar:
    """Sentences by chance. Those of the text and those of the questions share no combination."""

    def __init__(self, seed: int, asks: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.asks = asks

    def choose(self, firsts: list[str], seconds: list[str]) -> tuple[str, str]:
        """Two words that go together: an eighth of the combinations is for questions alone."""
        while True:
            a, b = self.rng.integers(len(firsts)), self.rng.integers(len(seconds))
            if ((a + b) % 8 == 0) == self.asks:
                return firsts[a], seconds[b]

    def agreement(self, attractors: int, contrary: bool = False) -> tuple[str, str, str]:
        """A sentence up to its verb, the verb as it should be, and its other form.

        ``contrary`` attractors all have the other number.
        """
        plural = bool(self.rng.integers(2))
        subject, nearest = self.choose(PEOPLE, PEOPLE)
        others = [*self.rng.choice(PEOPLE, max(0, attractors - 1)), nearest][:attractors]
        words = [f"the {subject}{'s' * plural}"]
        for other in others:
            number = not plural if contrary else bool(self.rng.integers(2))
            words.append(f"{self.rng.choice(PLACES)} the {other}{'s' * number}")
        one, many = self.rng.choice(VERBS).split()
        right, wrong = (many, one) if plural else (one, many)
        return " ".join(words), right, wrong

    def sentence(self, attractors: int) -> str:
        """One to its end."""
        begun, verb, _ = self.agreement(attractors)
        return f"{begun} {verb} {self.rng.choice(ENDS)} ."

    def recall(self, between: list[int]) -> tuple[str, str]:
        """A passage up to what was lost; sentences with so many attractors stand in between."""
        loss, thing = self.choose(LOSSES, THINGS)
        middle = " ".join(self.sentence(attractors) for attractors in between)
        return f"she {loss} the {thing} . {middle} at last she found the", thing

    def passages(self, count: int) -> str:
        """A text to learn from."""
        found = []
        for _ in range(count):
            between = self.rng.choice([0, 0, 0, 0, 0, 1, 1, 2, 3, 4])
            begun, thing = self.recall(self.rng.integers(0, 4, between).tolist())
            found.append(f"{begun} {thing} .")
        return " ".join(found)


def learn(cell: str, words: text.Words, written: str) -> models.LanguageModel:
    """A language model of one layer that has read the text."""
    tg.seed(1)
    model = models.LanguageModel(words, WIDTH, WIDTH, cell=cell)
    chunks = data.Streams(words.encode(written), ROWS, CHUNK)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    trainer = training.Trainer(
        model,
        optimizer,
        lambda model, chunk, state: model.loss(chunk.x, chunk.y, state),
        schedule=optim.schedules.CosineAnnealingLR(optimizer, T_max=EPOCHS * len(chunks)),
        clip_norm=1.0,
        carry_state=True,
    )
    history = trainer.fit(chunks, EPOCHS)
    if history.interrupted:
        raise KeyboardInterrupt
    print(f"{cell:4} perplexity of the text {np.exp(history['nats'][-1]):.2f}")
    return model


def next_words(model: models.LanguageModel, begun: list[str]) -> np.ndarray:
    """The log-probabilities of the next word after texts of one length, (texts, V)."""
    assert model.vocabulary is not None
    ids = np.stack([model.vocabulary.encode(f". {passage}") for passage in begun], axis=1)
    state = model.start(len(begun))
    for tokens in ids:
        log_probs, state = model.step(tokens, state)
    return log_probs


def agrees(model: models.LanguageModel, attractors: int) -> float:
    """How often the right form of the verb is the likelier one."""
    grammar = Grammar(seed=1, asks=True)
    begun, right, wrong = zip(
        *(grammar.agreement(attractors, contrary=True) for _ in range(ASKED)), strict=True
    )
    found, rows = next_words(model, begun), np.arange(ASKED)
    ids = [model.vocabulary.encode(" ".join(forms)) for forms in (right, wrong)]
    return float(np.mean(found[rows, ids[0]] > found[rows, ids[1]]))


def recalls(model: models.LanguageModel, sentences: int) -> float:
    """How often the thing that was lost is the likeliest of all things."""
    grammar = Grammar(seed=2, asks=True)
    begun, things = zip(*(grammar.recall([1] * sentences) for _ in range(ASKED)), strict=True)
    every = model.vocabulary.encode(" ".join(THINGS))
    best = next_words(model, begun)[:, every].argmax(axis=1)
    return float(np.mean([THINGS[k] == thing for k, thing in zip(best, things, strict=True)]))


def show(title: str, distances: list[str], answers: dict[str, list[float]], chance: float) -> None:
    """A table, and below it bars from chance to always."""
    print(f"\n{title}\n      " + "".join(f"{distance:>10}" for distance in distances))
    for cell, shares in answers.items():
        print(f"{cell:6}" + "".join(f"{share:>9.0%} " for share in shares))
        bars = [round(8 * max(0.0, share - chance) / (1 - chance)) for share in shares]
        print(" " * 6 + "".join(f"  {'█' * bar:░<8}" for bar in bars))


@command.ended()
def main() -> None:
    """Write, learn, ask."""
    written = Grammar(seed=0, asks=False).passages(PASSAGES)
    words = text.Words.of(written, lower=True)
    print(f"{len(written.split())} words, {len(words)} different ones, such as\n")
    print("   ", "\n    ".join(written.split(" . ")[:6]), "\n")
    learned = {cell: learn(cell, words, written) for cell in CELLS}
    show(
        "Number agreement: right verbs by how many nouns of the other number stand before them",
        [str(count) for count in ATTRACTORS],
        {cell: [agrees(model, n) for n in ATTRACTORS] for cell, model in learned.items()},
        1 / 2,
    )
    show(
        "Recall: lost things that are named again after so many other words",
        [str(6 + 8 * count) for count in BETWEEN],
        {cell: [recalls(model, n) for n in BETWEEN] for cell, model in learned.items()},
        1 / len(THINGS),
    )
    print(f"\nby chance: 50% of the verbs, {1 / len(THINGS):.0%} of the things")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()  # --help
    main()
