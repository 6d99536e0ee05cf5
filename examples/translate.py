"""Learn to translate, and look at how it is done.

    h_1 .. h_S = encoder(x_1 .. x_S)         P(y_t | y_1 .. y_{t-1}, x) = softmax(U [s_t; a_t] + b)

Without arguments it learns English → French in a minute or two, from sentences that a grammar
writes (french.py), and is asked others: with adjectives, verbs and numbers where it has never seen
them. With arguments it is a tool for any parallel text, two files or columns with tabs between:

    translate.py train.de train.en --validation val.de val.en --lower --hidden 256 --epochs 10
    translate.py fra.txt --columns 1 2 --tokens subwords --out out/tatoeba
    translate.py --out out/tatoeba --resume              go on with a run that was interrupted
    translate.py --out out/tatoeba --translate news.txt --beam 5 --n-best 3
    echo "two dogs" | translate.py --translate -
    translate.py --out out/tatoeba --evaluate test.en test.fr

The folder of --out gets the model, its checkpoints, tables of the loss, and ``alignments.html``:
what is looked at for each word, and the curve of the loss.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import command
import french
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, metrics, models, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# How many sentences are learned from, are asked, and of those for three ways of decoding.
LEARNED, ASKED, MEASURED = (300, 40, 3) if SHORT else (40_000, 1_000, 200)
LATER = ("out", "beam", "n_best", "translate", "evaluate")  # arguments that no run depends on
SHOWN = [  # words change places, one word is two, two are one
    "the black cats do not see her",
    "you do not look for seventy-eight old islands",
    "my other bee always listens to us because we are happy",
]

Pairs = list[text.Pair]


# ----- texts -----


def read(files: list[str], lower: bool, columns: list[int]) -> Pairs:
    """The pairs of two files, or of the columns of one; not those of which a side is empty."""
    pairs = text.pairs(*files, lower=lower, columns=tuple(n - 1 for n in columns))
    return [pair for pair in pairs if pair.source.strip() and pair.target.strip()]


def texts(args: argparse.Namespace) -> tuple[Pairs, Pairs]:
    """What is learned from, and what is not: files of its own, or a twentieth of all sources."""
    if not args.text:
        return french.pairs(LEARNED, ASKED)
    pairs = read(args.text, args.lower, args.columns)
    if args.validation:
        kept = read(args.validation, args.lower, args.columns)
    else:
        sources = list(dict.fromkeys(pair.source for pair in pairs))
        if len(sources) <= 10:
            raise tg.errors.ArgumentError(
                f"{len(sources)} different sources, too few to set a twentieth of them aside; "
                "expected more, or others to validate with, by --validation."
            )
        aside = set(data.split(sources, (0.95, 0.05))[1])
        kept = [pair for pair in pairs if pair.source in aside]
        pairs = [pair for pair in pairs if pair.source not in aside]
    learned = [pair for pair in pairs if max(len(s.split()) for s in pair) <= args.longest]
    if not learned or not kept:
        raise tg.errors.ArgumentError(
            f"{len(learned)} pairs of at most {args.longest} words to learn from, {len(kept)} to "
            "validate with; expected one of each at least."
        )
    return learned, kept


def vocabulary_of(args: argparse.Namespace, sentences: list[str]) -> text.Vocabulary:
    """The tokens of one side; words are cut as l' arbre and quatre- vingt- un."""
    sample = "\n".join(sentences)
    if args.tokens == "words":
        return text.Words.of(sample, min_count=args.min_count, parts=True)
    if args.tokens == "subwords":
        return text.Subwords.learn(sample, args.size)
    return text.Characters.of(sample, unknown=True)


# ----- training -----


def train(args: argparse.Namespace, folder: Path) -> None:
    """A run from the texts to the model and the pictures."""
    run, args = command.run_of(args, folder, LATER)
    learned, kept = texts(args)
    tg.seed(args.seed)
    model = models.Seq2Seq(
        *(vocabulary_of(args, list(side)) for side in zip(*learned, strict=True)),
        args.embedding, args.hidden, cell=args.cell, encoder_layers=args.layers,
        decoder_layers=args.layers, attention=None if args.attention == "none" else args.attention,
        input_feeding=args.input_feeding, read_out="tanh", dropout=args.dropout,
        hidden_dropout=args.dropout, output_dropout=args.dropout * 1.5,
    )  # fmt: skip
    learns = model.batches(learned, args.batch, shuffle=True, seed=args.seed)
    optimizer = optim.AdamW(model.parameters(), lr=args.rate)
    steps = max(args.epochs * len(learns), 20)
    trainer = training.Trainer(
        model, optimizer,
        lambda model, batch: model.loss(*batch, label_smoothing=args.label_smoothing),
        schedule=optim.schedules.OneCycleLR(optimizer, args.rate, total_steps=steps, pct_start=0.1),
        clip_norm=1.0,
        weight=lambda batch: sum(map(len, batch[1])) + len(batch[1]),  # tokens, ends with them
    )  # fmt: skip
    print(
        f"{len(learned):,} pairs to learn from and {len(kept):,} to validate with; "
        f"{len(model.source_vocabulary):,} and {len(model.target_vocabulary):,} tokens.\n"
        f"{sum(p.size for p in model.parameters()):,} parameters; {args.epochs} epochs of "
        f"{len(learns)} steps. Ctrl-C stops after a step; --resume goes on."
    )
    shown = SHOWN if not args.text else [pair.source for pair in kept[:3]]

    def said(trainer: training.Trainer) -> str:
        rows = [f"{a}\n  → {b}" for a, b in zip(shown, model.translate(shown), strict=True)]
        if trainer.epoch == 1:  # later it is sure, and all ways find the same
            rows += compare(model, kept[:MEASURED])
        return "\n".join([f"--- epoch {trainer.epoch}", *rows])

    callbacks = [
        training.Sample(said),
        training.CSVLog(folder / "steps.csv", every=min(5, len(learns))),
        training.CSVLog(folder / "epochs.csv"),
        training.Checkpoints(folder / "checkpoints", every=args.save_every, keep=2),
    ]
    run.begin()  # all that may be wrong with it has been found
    history = trainer.fit(
        learns, args.epochs, validation=model.batches(kept, args.batch), resume=run.resumes,
        callbacks=callbacks,
    )  # fmt: skip
    model.save(folder / "model")
    if history.interrupted:
        print(f"interrupted after step {trainer.step}; go on with --out {folder} --resume")
        return
    run.finish()
    report(model, learned, kept, shown, folder, args)


# ----- what has been learned, and what it is good for -----


def report(model, learned: Pairs, kept: Pairs, shown: list[str], folder: Path, args) -> None:
    """Alignments, ways of decoding, scores, a page."""
    found = [inspect.alignment(model, one) for one in shown if args.attention != "none"]
    print("", *(one.text() for one in found), sep="\n\n", end="\n\n")
    curve = inspect.draw_learning(folder / "steps.csv", folder / "epochs.csv", y="nats a token")
    title = {} if found else {"title": "How it learned"}
    figures = {"The course of the run": curve}
    page = inspect.page_of_alignments(found, figures=figures, **title)
    (folder / "alignments.html").write_text(page, "utf-8")
    print(*compare(model, kept[:MEASURED]), sep="\n")
    said = model.translate([pair.source for pair in kept], beam=args.beam)
    wrong = [(*pair, one) for pair, one in zip(kept, said, strict=True) if pair.target != one]
    for source, target, one in wrong[:3]:
        print(f"wrong: {source}\n     → {one}\n   not {target}")
    print(f"{len(kept):,} sentences never seen: {scores(said, kept)}")
    if not args.text:
        print(f"the nearest one that was learned, instead: {scores(nearest(learned, kept), kept)}")
    for name in ("steps.csv", "epochs.csv", "alignments.html", "model"):
        print(f"wrote {folder / name}")


def compare(model: models.Seq2Seq, pairs: Pairs) -> list[str]:
    """What greedy choice, a beam and a search of all sequences make of the same sentences."""
    rows = [f"{len(pairs):>4} sentences  exact   log P  seconds"]
    ways = {"greedy": {"beam": 1}, "beam of 5": {"beam": 5}, "all sequences": {"exhaustive": True}}
    for name, how in ways.items():
        began, sources = time.perf_counter(), [pair.source for pair in pairs]
        try:
            found = model.hypotheses(sources, n_best=1, length_rule="none", **how)
        except tg.errors.ArgumentError:  # there are too many that may be better
            return [*rows, f"{name:>14}   the model is not sure enough"]
        seconds = time.perf_counter() - began
        exact = metrics.exact_match([one[0].text for one in found], [p.target for p in pairs])
        log_prob = np.mean([one[0].log_prob for one in found])
        rows.append(f"{name:>14} {exact:6.1%} {log_prob:7.3f} {seconds:8.2f}")
    return rows


def nearest(learned: Pairs, asked: Pairs) -> list[str]:
    """Of each sentence that is asked the translation of the one with most words in common."""
    words = text.Words.of("\n".join(pair.source for pair in learned))

    def rows(pairs: Pairs) -> np.ndarray:
        found = [np.bincount(words.encode(pair.source), minlength=len(words)) for pair in pairs]
        return np.array(found, np.float32).clip(max=1)

    ours, theirs = rows(asked), rows(learned)
    likeness = ours @ theirs.T / (ours.sum(axis=1)[:, None] + theirs.sum(axis=1))
    return [learned[n].target for n in likeness.argmax(axis=1)]


def scores(said: list[str], pairs: Pairs) -> str:
    """How good translations are."""
    references = [pair.target for pair in pairs]
    found = f"{metrics.exact_match(said, references):.1%} exact"
    try:
        return f"{found}, BLEU {metrics.bleu(said, references).score:.1f}"
    except ImportError as error:
        return f"{found} ({error})"


def typed() -> Iterator[str]:
    """The lines of standard input, one by one, as they come."""
    for line in sys.stdin.buffer:
        try:
            yield line.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise tg.errors.ArgumentError(f"standard input is not UTF-8: {error}.") from None


def use(args: argparse.Namespace, folder: Path) -> None:
    """Translate, or compare with translations, by a model that was saved."""
    model = command.model_of(folder / "model", models.Seq2Seq)
    settings = training.RunFolder(folder, {}, resume=True).settings
    copies = isinstance(model.source_vocabulary, text.Words) and settings["attention"] != "none"
    how = {"beam": max(args.beam, args.n_best), "n_best": args.n_best, "copy_unknown": copies}
    if args.evaluate:
        pairs = read(args.evaluate, settings["lower"], args.columns)
        said = model.translate([pair.source for pair in pairs], beam=args.beam)
        print(f"{len(pairs):,} sentences: {scores(said, pairs)}")
    if args.translate is None:
        return
    for given in typed() if args.translate == "-" else [text.read(args.translate)]:
        sentences = given.removesuffix("\n").split("\n") if given else []  # and at no other end
        sentences = [one.lower() if settings["lower"] else one for one in sentences]
        found = iter(model.hypotheses([one for one in sentences if one.strip()], **how))
        for sentence in sentences:
            asked, several = bool(sentence.strip()), args.n_best > 1
            if asked and several:  # a source, and what it may be: log P a token
                print(sentence)
            for one in next(found) if asked else ():
                print(f"{one.score:8.3f}  {one.text}" if several else one.text, flush=True)
            if several or not asked:
                print(flush=True)


# ----- the command -----


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("text", nargs="*", help="two files, or one with columns; none: what the grammar writes")
    add("--validation", nargs="+", metavar="FILE", help="what to validate with, not learned from")
    add("--columns", nargs=2, type=int, default=[1, 2], metavar=("SOURCE", "TARGET"),
        help="which columns of one file are source and target, from 1")  # fmt: skip
    add("--lower", action="store_true", help="make capitals small")
    kinds, attentions = ("words", "subwords", "characters"), ("additive", "general", "none")
    add("--tokens", choices=kinds, default="words", help="what sentences are cut into")
    add("--attention", choices=attentions, default="additive", help="how it looks at the source")
    add("--input-feeding", action="store_true", help="tell the decoder what it has looked at")
    for name, value, what in (
        ("out", "out/translate", "the folder for everything that is written"),
        ("cell", "GRU", "LSTM, GRU, RNN, or any cell of nn"),
        ("min-count", 2, "words that come less often are unknown"),
        ("size", 8000, "how many subwords there are"),
        ("longest", 60, "words of a sentence that is learned from, at most"),
        ("embedding", 64, "width of a token's vector"),
        ("hidden", 16 if SHORT else 128, "width of the layers"),
        ("layers", 1, "recurrent layers on each side"),
        ("epochs", 1 if SHORT else 5, "times that the sentences are read"),
        ("batch", 64, "sentences side by side"),
        ("save-every", 200, "steps from checkpoint to checkpoint"),
        ("seed", 0, "of all random numbers"),
        ("beam", 5, "translations of a sentence that are followed"),
        ("n-best", 1, "translations that are shown"),
        ("rate", 5e-3, "learning rate at its highest"),
        ("dropout", 0.2, "share of vectors and of what layers give that is dropped"),
        ("label-smoothing", 0.0, "share of each target that is spread over all tokens"),
    ):
        add(f"--{name}", type=type(value), default=value, help=what)
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--anew", action="store_true", help="begin again, whatever is in --out")
    add("--translate", metavar="FILE", help="translate its lines; -: those of standard input")
    add("--evaluate", nargs="+", metavar="FILE", help="compare with the translations in files")
    args = command.parsed(parser)
    for name in ("text", "validation", "evaluate"):
        if len(vars(args)[name] or ()) > 2:
            parser.error(f"{name}: expected two files, or one with columns")
    command.check_columns(parser, args.columns)
    for name in ("epochs", "batch", "beam", "n-best"):
        value = vars(args)[name.replace("-", "_")]
        if value < 1:
            parser.error(f"--{name} is {value}, expected a whole number from 1 up")
    return args


@command.ended()
def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    if args.translate is not None or args.evaluate:
        use(args, folder)
    else:
        train(args, folder)


if __name__ == "__main__":
    main()
