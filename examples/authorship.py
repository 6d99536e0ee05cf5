"""Who wrote it? A language model for each author, and the lowest perplexity tells.

    python examples/authorship.py                             people who wrote Python's library
    python examples/authorship.py austen/ twain/ --of letter  folders or files, one an author
    python examples/authorship.py --model lstm                networks in place of counts: 2 minutes

Every fifth piece of what an author wrote is kept apart, and guessed. Without arguments the last
question is who wrote the Zen of Python, whose lines nobody here quotes.
"""

import argparse
import codecs
import os
import re
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, models, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
PIECE = 1000  # characters, and to the end of the line
KEEP = 5  # every fifth piece is kept apart
EPOCHS = 1 if SHORT else 5  # of recurrent networks

# Modules that are mostly by one hand. Tim Peters' difflib is left out: it quotes the Zen.
AUTHORS = {
    "Tim Peters": "doctest pickletools",
    "Barry Warsaw": "email.message email.header email.generator email.utils email.charset",
    "Vinay Sajip": "logging logging.config logging.handlers",
    "Ka-Ping Yee": "inspect pydoc",
    "Gregor Lingl": "turtle",
    "Facundo Batista": "_pydecimal",
    "Fredrik Lundh": "xml.etree.ElementTree xmlrpc.client",
    "Lars Gustäbel": "tarfile",
    "Steven Bethard": "argparse",
    "Peter Moody": "ipaddress",
    "Steven D'Aprano": "statistics",
}


def source(module: str) -> str:
    """The text of a module of this Python; empty where it has none."""
    found = find_spec(module)
    file = Path(found.origin or "") if found else Path()
    return text.read(file) if file.suffix == ".py" else ""


def people() -> dict[str, str]:
    names = list(AUTHORS)[: 5 if SHORT else None]
    found = {name: "".join(map(source, AUTHORS[name].split())) for name in names}
    return {name: written for name, written in found.items() if written}


def zen() -> str:
    """What ``import this`` prints, which its source keeps in rot13."""
    return codecs.decode(re.search(r'"""(.*?)"""', source("this"), re.S)[1], "rot13")


def pieces(written: str) -> list[str]:
    found, begin = [], 0
    while begin < len(written):
        end = written.find("\n", begin + PIECE) + 1 or len(written)
        found.append(written[begin:end])
        begin = end
    return found


def parts(author: str, written: str) -> tuple[str, list[str]]:
    """What is learnt from, and what is kept apart."""
    known = pieces(written)
    if len(known) < KEEP:
        raise tg.errors.ArgumentError(
            f"{author}: {len(written)} characters make {len(known)} pieces of {PIECE}, expected "
            f"{KEEP} at least"
        )
    kept = known[KEEP // 2 :: KEEP]
    return "".join(piece for n, piece in enumerate(known) if n % KEEP != KEEP // 2), kept


def counted(letters: text.Vocabulary, written: str, order: int) -> models.TextModel:
    return models.NGram(order, letters).fit(written)


def recurrent(letters: text.Vocabulary, written: str, _: int) -> models.TextModel:
    tg.seed(0)
    model = models.LanguageModel(letters, 32, 128)
    trainer = training.Trainer(
        model,
        optim.Adam(model.parameters(), lr=4e-3),
        lambda model, chunk, state: model.loss(chunk.x, chunk.y, state),
        carry_state=True,
    )
    if trainer.fit(data.Streams(letters.encode(written), 16, 64), epochs=EPOCHS).interrupted:
        raise KeyboardInterrupt
    return model


def judge(by_author: dict[str, models.TextModel], piece: str) -> np.ndarray:
    """The log of the probability of each character but the first, to each author's model."""
    return np.stack([model.log_likelihoods(piece) for model in by_author.values()])


def giveaway(author: int, pieces: list[str], judged: list[np.ndarray]) -> str:
    """The line that an author's model expects most, beside the best of the others."""
    best, line = 0.0, ""
    for piece, logs in zip(pieces, judged, strict=True):
        ends = [0, *(found.end() for found in re.finditer("\n", piece))]
        for begin, end in pairwise(ends):
            of_line = logs[:, max(begin - 1, 0) : end - 1].sum(axis=1)
            lead = of_line[author] - np.delete(of_line, author).max()
            if lead > best:
                best, line = lead, piece[begin:end].strip()
    return line


def report(by_author: dict[str, models.TextModel], kept: dict[str, list[str]]) -> None:
    """A row for each author: where the pieces went that were kept apart."""
    names, size = list(by_author), len(by_author)
    judged = [[judge(by_author, piece) for piece in kept[name]] for name in names]
    guesses = [[logs.sum(axis=1).argmax() for logs in row] for row in judged]
    table = np.stack([np.bincount(row, minlength=size) for row in guesses])
    width = max(map(len, names))
    signs = [chr(ord("A") + n % 26) for n in range(size)]
    print(" " * (width + 4), *(f"{sign:>3}" for sign in signs), "  pieces that were guessed as")
    for sign, name, row in zip(signs, names, table, strict=True):
        print(f"{sign}  {name:{width}} ", *(f"{count or '.':>3}" for count in row))
    print(f"\n{table.trace()} of {table.sum()} pieces are known.\n\nWhat gives them away:")
    for author, name in enumerate(names):
        line = giveaway(author, kept[name], judged[author])
        print(f"  {name:{width}}  {line[: 90 - width]}")


def answer(by_author: dict[str, models.TextModel], name: str, question: str) -> None:
    """All authors, the likeliest first."""
    found = {author: model.score(question).perplexity for author, model in by_author.items()}
    print(f"\n{name}, perplexity a character:")
    for author in sorted(found, key=found.get):
        print(f"  {found[author]:7.2f}  {author}")
    print(f"\n{name} was written by: {min(found, key=found.get)}")


@command.ended()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("texts", nargs="*", help="a folder or a file for each author")
    parser.add_argument("--pattern", default="*", help="of the files in folders, as '*.txt'")
    parser.add_argument("--of", help="a text whose author is asked for")
    parser.add_argument("--model", choices=["ngram", "lstm"], default="ngram")
    parser.add_argument("--order", type=int, default=5, help="of the n-grams")
    given = parser.parse_args()
    written = {Path(path).stem: text.read(path, given.pattern) for path in given.texts}
    written = written or people()
    if len(written) < 2:
        raise tg.errors.ArgumentError(
            f"{len(written)} author, expected 2 at least, of different names."
        )
    question = text.read(given.of) if given.of else "" if given.texts else zen()
    split = {author: parts(author, works) for author, works in written.items()}
    letters = text.Characters.of("".join(learnt for learnt, _ in split.values()), unknown=True)
    train = recurrent if given.model == "lstm" else counted
    by_author = {
        author: train(letters, learnt, given.order) for author, (learnt, _) in split.items()
    }
    report(by_author, {author: kept for author, (_, kept) in split.items()})
    if question:
        answer(by_author, given.of or "The Zen of Python", question)


if __name__ == "__main__":
    main()
