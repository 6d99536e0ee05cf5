"""Learn whether an opinion is good or bad, where no word alone tells.

    h_t = [LSTM forwards; LSTM backwards](e_1 ... e_T)_t
    a = softmax(v·tanh(h_t w' + b'))      P(label) = softmax((Σ_t a_t h_t) w + b)

Without arguments it learns from sentences of a grammar (opinions.py), such as "nobody could call
the acting terribly exciting", in 20 seconds, and is asked others, each with a way of saying an
adjective that was never learned. Beside it learns one that sees the same words in a bag, without
their order. The folder of --out gets the model and ``words.html``: sentences with each word lit as
it is looked at, on a bar of how much it changes; what is asked by --say is drawn in ``said.html``.
With arguments it is a tool for any table of texts and labels, separated by tabs:

    sentiment.py reviews.tsv --out out/reviews           the text first, then the label
    sentiment.py train.tsv dev.tsv --columns 2 1 --header --lower --epochs 10
    sentiment.py --out out/reviews --resume              go on with a run that was interrupted
    sentiment.py --out out/reviews --say "not bad at all" "I expected more"
    sentiment.py test.tsv --out out/reviews --evaluate
"""

import argparse
import os
import random
import sys
from collections import Counter
from pathlib import Path

import command
import numpy as np
import opinions

import tinygrad_rnn as tg
from tinygrad_rnn import inspect, models, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# How many sentences are learned from, and are asked, and are drawn.
LEARNED, ASKED, DRAWN = (100, 20, 4) if SHORT else (5_000, 1_000, 16)
SPARE = 10  # of so many rows one is kept for validation, where there is no file of them
PAGE_NOTE = (
    "Each word is lit as much as it is looked at; layers that read both ways know at each word "
    "what stands around it. The bar below a word says how much less likely the label is without "
    "it (orange), or how much more (grey)."
)


def model_of(args: argparse.Namespace, names: list[str], words: text.Vocabulary, **how):
    """Layers that read both ways and attend to words, unless said otherwise."""
    how = {"cell": args.cell, "num_layers": args.layers, "dropout": args.dropout} | how
    return models.TextLabels(names, words, args.embedding, args.hidden, **how)


def trainer_of(args: argparse.Namespace, model: models.TextLabels, steps: int) -> training.Trainer:
    optimizer = optim.AdamW(model.parameters(), lr=args.rate)
    schedule = optim.schedules.OneCycleLR(
        optimizer, args.rate, total_steps=max(steps, 20), pct_start=0.2
    )
    return training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), schedule=schedule, clip_norm=1.0
    )


def right(model: models.TextLabels, texts: list[str], labels: list[str]) -> np.ndarray:
    """Which texts get their true label."""
    return np.array(model.labels(texts)) == np.array(labels)


# ----- opinions of the grammar -----


def learn(args: argparse.Namespace, folder: Path | None = None) -> dict[str, dict[str, float]]:
    """Learn from the grammar's sentences: how many others are right, by reader and kind."""
    learned, asked = opinions.opinions(LEARNED, ASKED, args.seed)
    texts, labels = [one.text for one in learned], [one.label for one in learned]
    words = text.Words.of(" ".join(texts))
    print(
        f"{len(learned):,} sentences to learn from, {len(asked):,} others with what was never said "
        f"there; {len(words)} words. Such as"
    )
    for one in asked[:4]:
        print(f"    {one.label:5} {one.text}")
    kinds = np.array([one.kind for one in asked])
    print(f"{'% right':34}     all" + "".join(f"{kind:>10}" for kind in sorted(set(kinds))))
    found, reader = {}, None
    for name, how in (
        ("layers both ways, attention", {}),
        ("a bag of words", {"cell": None, "read": "mean"}),
    ):
        tg.seed(args.seed)
        model = model_of(args, ["bad", "good"], words, **how)
        batches = model.batches(texts, labels, args.batch, shuffle=True, seed=args.seed)
        trainer = trainer_of(args, model, args.epochs * len(batches))
        if trainer.fit(batches, args.epochs, progress=not SHORT).interrupted:
            raise KeyboardInterrupt
        hits = right(model, [one.text for one in asked], [one.label for one in asked])
        found[name] = {"all": float(hits.mean())}
        found[name] |= {kind: float(hits[kinds == kind].mean()) for kind in sorted(set(kinds))}
        shares = list(found[name].values())
        print(f"{name:34} {shares[0]:7.1%}" + "".join(f"{share:10.1%}" for share in shares[1:]))
        reader = model if not how else reader
    if folder is not None:
        reader.save(folder / "model")
        draw(reader, [(one.text, one.label) for one in asked[:DRAWN]], folder)
    return found


def draw(
    model: models.TextLabels,
    pairs: list[tuple[str, str | None]],
    folder: Path,
    name: str = "words.html",
) -> None:
    """A page of texts word by word; some of them in the terminal."""
    found = [inspect.emphasis(model, *pair) for pair in pairs]
    for one in found[:3]:
        print(f"\n{one.text(colour=sys.stdout.isatty())}")
    print()
    page = inspect.page_of_emphases(found, title="Which words count", note=PAGE_NOTE)
    (folder / name).write_text(page, "utf-8")


# ----- a table of yours -----


def read(args: argparse.Namespace, path: str) -> list[tuple[str, str]]:
    """Texts and labels of a table; what cannot be used is said and left out."""
    try:
        lines = Path(path).read_text("utf-8-sig").split("\n")[int(args.header) :]
    except UnicodeDecodeError as error:
        raise tg.errors.ArgumentError(f"{path} is no text in UTF-8: {error}.") from None
    found, left = [], Counter()
    first, second = (column - 1 for column in args.columns)
    for line in lines:
        cells = line.split("\t")
        if not line.strip():
            continue
        if len(cells) <= max(first, second):
            left[f"with less than {max(args.columns)} columns"] += 1
        elif not cells[second].strip():
            left["without a label"] += 1
        elif not cells[first].strip():
            left["without a word"] += 1
        else:
            found.append((cells[first].strip(), cells[second].strip()))
    for why, count in left.items():
        print(f"{path}: left out, lines {why}: {count:,}")
    if not found:
        raise tg.errors.ArgumentError(
            f"{path} has no line with a text in column {first + 1} and a label in column "
            f"{second + 1}, separated by a tab."
        )
    return found


def known(pairs: list[tuple[str, str]], names: list[str]) -> list[tuple[str, str]]:
    """Those with labels that were learned; others are said and left out."""
    others = Counter(label for _, label in pairs if label not in names)
    if others:
        several = ", ".join(f"{label} ({count:,})" for label, count in others.most_common(5))
        print(f"left out, texts with labels that were never learned: {several}")
    return [pair for pair in pairs if pair[1] in names]


def train(args: argparse.Namespace, folder: Path) -> None:
    """A run from a table to the model."""
    run, args = command.run_of(args, folder)
    pairs = read(args, args.tables[0])
    if len(pairs) + len(args.tables) < 3:
        raise tg.errors.ArgumentError(
            f"{args.tables[0]} has one text, which would be kept to validate with; expected two or "
            "more, or a second table."
        )
    random.Random(args.seed).shuffle(pairs)
    if len(args.tables) > 1:
        kept = read(args, args.tables[1])
    else:
        cut = -(-len(pairs) // SPARE)
        kept, pairs = pairs[:cut], pairs[cut:]
    names = sorted({label for _, label in pairs})
    kept = known(kept, names)
    words = text.Words.of(" ".join(t for t, _ in pairs), args.min_count, lower=args.lower)
    tg.seed(args.seed)
    model = model_of(args, names, words)
    batches = model.batches(*zip(*pairs, strict=True), args.batch, shuffle=True, seed=args.seed)
    trainer = trainer_of(args, model, args.epochs * len(batches))
    print(
        f"{len(pairs):,} texts to learn from, {len(kept):,} to validate with; {len(words):,} "
        f"words; labels: {', '.join(names)}"
    )
    callbacks = [
        training.CSVLog(folder / "epochs.csv"),
        training.Checkpoints(folder / "checkpoints", every=args.save_every, keep=2),
    ]
    run.begin()  # all that may be wrong with it has been found
    history = trainer.fit(
        batches, args.epochs, resume=run.resumes,
        validation=model.batches(*zip(*kept, strict=True), args.batch) if kept else None,
        callbacks=callbacks,
    )  # fmt: skip
    model.save(folder / "model")
    if history.interrupted:
        print(f"interrupted after step {trainer.step}; go on with --out {folder} --resume")
        return
    run.finish()
    score(model, kept or pairs)
    draw(model, (kept or pairs)[:DRAWN], folder)


def score(model: models.TextLabels, pairs: list[tuple[str, str]]) -> None:
    """How many of some texts are right, of each label, and what the commonest label would get."""
    if not pairs:
        raise tg.errors.ArgumentError("there is no text with a label that was learned.")
    texts, labels = zip(*pairs, strict=True)
    hits = right(model, list(texts), list(labels))
    counts = Counter(labels)
    print(
        f"{len(pairs):,} texts: {hits.mean():.1%} right; who always says the commonest label: "
        f"{counts.most_common(1)[0][1] / len(pairs):.1%}"
    )
    for label, count in sorted(counts.items()):
        share = hits[np.array(labels) == label].mean()
        print(f"    {label}: {share:.1%} of {count:,}")


def say(model: models.TextLabels, texts: list[str], folder: Path) -> None:
    """Labels of texts, and a page of their words; one without a word is passed over."""
    empty = [number for number, one in enumerate(texts, 1) if not len(model.vocabulary.encode(one))]
    for number in empty:
        print(f"text {number} has no word: nothing is said of it")
    texts = [one for number, one in enumerate(texts, 1) if number not in empty]
    for one in texts:
        cut, ids = model.vocabulary.cut(one), model.vocabulary.encode(one)
        new = [word for word, number in zip(cut, ids, strict=True) if not number]
        if new:
            print(f"never learned: {', '.join(new)}")
    if texts:
        draw(model, [(one, None) for one in texts], folder, "said.html")
        print(f"wrote {folder / 'said.html'}")


# ----- the command -----


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the command line says, or a list of as much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("tables", nargs="*", help="a table to learn from, and one to validate with")
    add("--columns", type=int, nargs=2, default=[1, 2], metavar=("TEXT", "LABEL"),
        help="which columns of a table have the text and the label, from 1")  # fmt: skip
    for name, value, what in (
        ("out", "out/sentiment", "the folder for everything that is written"),
        ("min-count", 1, "words that come less often are unknown"),
        ("cell", "LSTM", "LSTM, GRU, RNN, or any cell of nn"),
        ("embedding", 32, "width of a word's vector"),
        ("hidden", 8 if SHORT else 48, "width of the layers, each way"),
        ("layers", 1, "how many there are"),
        ("epochs", 1 if SHORT else 10, "times that the texts are read"),
        ("batch", 32, "texts side by side"),
        ("save-every", 200, "steps from checkpoint to checkpoint"),
        ("seed", 0, "of all random numbers"),
        ("rate", 1e-2, "learning rate at its highest"),
        ("dropout", 0.1, "share of vectors of words, and of what scores are made of"),
    ):
        add(f"--{name}", type=type(value), default=value, help=what)
    add("--header", action="store_true", help="the first line of a table names its columns")
    add("--lower", action="store_true", help="capitals are made small")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--anew", action="store_true", help="begin again, whatever is in --out")
    add("--evaluate", action="store_true", help="compare the model in --out with the table")
    add("--say", nargs="+", default=[], metavar="TEXT", help="labels of these texts")
    args = command.parsed(parser, given)
    if len(args.tables) > 2 or (args.evaluate and len(args.tables) != 1):
        parser.error("expected a table, and to learn from it one more to validate with, if any")
    if not (args.tables or args.say or args.resume):
        names = "out seed epochs batch rate cell embedding hidden layers dropout"
        command.refuse(parser, args, names, "is for tables of yours: give some")
    for name, least in (("epochs", 1), ("batch", 1), ("hidden", 1), ("layers", 1)):
        if vars(args)[name] < least:
            parser.error(f"--{name} is {vars(args)[name]}, expected a whole number from {least} up")
    command.check_columns(parser, args.columns)
    return args


@command.ended()
def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    if args.evaluate or args.say:
        model = command.model_of(folder / "model", models.TextLabels)
        if args.evaluate:
            score(model, known(read(args, args.tables[0]), model.names))
        if args.say:
            say(model, args.say, folder)
    elif args.tables or args.resume:
        train(args, folder)
    else:
        learn(args, command.made(folder))
    for name in ("words.html", "model"):
        if (folder / name).exists() and not (args.evaluate or args.say):
            print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
