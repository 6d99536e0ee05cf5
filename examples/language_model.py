"""Train a language model on any text, watch it learn, and look inside.

    h, state = LSTM(E[x_t], state)        P(x_{t+1} | x_1 .. x_t) = softmax(h W + b)

Without arguments it reads what every Python installation carries, the topics of its ``help()``
and sources of its standard library, and ends in under three minutes with text that looks like
them. With arguments it is a tool for texts of your own:

    language_model.py shakespeare.txt --layers 2 --hidden 512 --dropout 0.3 --epochs 10
    language_model.py notes/ --tokens words --cell GRU --out out/notes
    language_model.py --out out/notes --resume           go on with a run that was interrupted
    language_model.py --out out/notes --sample 1000 --prime "The " --temperature 0.7
    language_model.py --out out/notes --evaluate other.txt
    language_model.py --out out/notes --next "to be or "
    language_model.py shakespeare.txt --compare          counting, a window, RNN, GRU, LSTM

The folder of ``--out`` gets the model, its checkpoints, tables of the loss, ``learning.svg``, its
curve, and ``cells.html``: a text coloured by the cells that are easiest to read.
"""

import argparse
import importlib
import inspect as python_inspect
import os
import time
from pathlib import Path
from pydoc_data.topics import topics

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, metrics, models, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
SOURCES = (
    "argparse calendar cmd contextlib csv dataclasses fractions functools heapq pprint random "
    "shutil statistics string tempfile textwrap"
)
STAGES = (1, 30, 100, 300, 1000, 3000, 10_000, 30_000)  # steps after which it shows what it can
PRIMES = "The ", "    def "  # what samples of Python's own texts go on from
COMPARED = ("3-gram", "5-gram", "window of 8", "RNN", "GRU", "LSTM")


# ----- texts -----


def texts(args: argparse.Namespace) -> tuple[str, str]:
    """What is learned from, and the last tenth of each text, which is kept to validate with."""
    if args.text:
        parts = [text.read(path) for path in args.text]
    else:
        modules = [importlib.import_module(name) for name in SOURCES.split()]
        parts = ["\n\n".join(topics[name].strip() for name in sorted(topics))]
        parts += [python_inspect.getsource(module) for module in modules]
        parts = [part[:4000] for part in parts] if SHORT else parts
    cuts = [round(len(part) * (1 - args.validation)) for part in parts]
    learned = "\n\n".join(part[:cut] for part, cut in zip(parts, cuts, strict=True))
    kept = "\n\n".join(part[cut:] for part, cut in zip(parts, cuts, strict=True))
    if min(len(learned), len(kept)) < 2:
        raise tg.errors.ArgumentError(
            f"a text of {sum(map(len, parts))} characters leaves {len(learned)} to learn from and "
            f"{len(kept)} to validate with, expected two of each at least."
        )
    return learned, kept


def vocabulary_of(kind: str, sample: str) -> text.Vocabulary:
    """The tokens of a text."""
    if kind == "words":
        return text.Words.of(sample, min_count=2)
    if kind == "subwords":
        return text.Subwords.learn(sample, 2000)
    return text.Bytes() if kind == "bytes" else text.Characters.of(sample)


# ----- training -----


class Stages(training.Sample):
    """A sample after the first step, and then after ever more of them."""

    def on_step(self, trainer: training.Trainer) -> None:
        """At these steps."""
        if trainer.step in STAGES:
            self.do(trainer, None)

    def on_epoch_end(self, trainer: training.Trainer, logs: dict) -> None:
        """An epoch is no stage."""


def perplexity(means: dict[str, float]) -> float:
    """Among how many equally likely tokens the choice would be as hard."""
    return metrics.perplexity([-means["loss"]])


def trainer_of(model: models.LanguageModel, args: argparse.Namespace, steps: int):
    """AdamW, the rate rising for a tenth of the run and falling to nothing after that."""
    optimizer = optim.AdamW(model.parameters(), lr=args.rate, weight_decay=args.decay)
    schedule = optim.schedules.OneCycleLR(
        optimizer, max_lr=args.rate, total_steps=max(steps, 20), pct_start=0.1
    )
    return training.Trainer(
        model,
        optimizer,
        lambda model, chunk, state: model.loss(chunk.x, chunk.y, state)[:2],
        metrics={"perplexity": perplexity},
        schedule=schedule,
        clip_norm=1.0,
        carry_state=True,
        weight=lambda chunk: chunk.y.size,
    )


def language_model(vocabulary: text.Vocabulary, args: argparse.Namespace, cell: str):
    """As large as the arguments say."""
    return models.LanguageModel(
        vocabulary,
        args.embedding,
        args.hidden,
        args.layers,
        cell=cell,
        tied=args.tied,
        input_dropout=args.dropout / 2,
        hidden_dropout=args.dropout if args.layers > 1 else 0.0,
        output_dropout=args.dropout,
    )


def streams(ids: np.ndarray, args: argparse.Namespace) -> data.Streams:
    """The text in rows side by side; fewer where it is short."""
    rows = max(1, min(args.batch, (len(ids) - 1) // args.steps))
    return data.Streams(ids, rows, args.steps)


def train(args: argparse.Namespace, folder: Path) -> None:
    """A run from the texts to the model and the pictures."""
    run, args = command.run_of(args, folder)
    learned, kept = texts(args)
    vocabulary = vocabulary_of(args.tokens, learned + kept)
    chunks = streams(vocabulary.encode(learned), args)
    validation = streams(vocabulary.encode(kept), args)
    tg.seed(args.seed)
    model = language_model(vocabulary, args, args.cell)
    trainer = trainer_of(model, args, args.epochs * len(chunks))
    print(
        f"{len(learned):,} characters to learn from and {len(kept):,} to validate with; "
        f"{len(vocabulary)} tokens.\n{args.layers} x {args.cell} {args.hidden}, "
        f"{size_of(model):,} parameters; {args.epochs} epochs of "
        f"{len(chunks)} steps, {chunks.batch_size} rows of {args.steps} tokens each.\n"
        "Ctrl-C stops after a step; --resume goes on."
    )
    began = time.perf_counter()

    def said(trainer: training.Trainer) -> str:
        minutes = (time.perf_counter() - began) / 60
        primes = [args.prime] if args.prime or args.text else PRIMES
        how = {"temperature": args.temperature, "seed": 1}
        samples = [prime + model.generate(args.shown, prime, **how) for prime in primes]
        what = f"step {trainer.step}, {minutes:.1f} minutes"
        if trainer.values:  # none where a run was resumed that had no step left
            what += f", perplexity {perplexity(trainer.values):.1f} in this step"
        return "\n".join([f"\n--- {what}", *samples])

    callbacks = [
        Stages(said),
        training.CSVLog(folder / "steps.csv", every=min(5, len(chunks))),
        training.CSVLog(folder / "epochs.csv"),
        training.Checkpoints(folder / "checkpoints", every=args.save_every, keep=2),
    ]
    run.begin()  # all that may be wrong with it has been found
    history = trainer.fit(
        chunks, args.epochs, validation=validation, callbacks=callbacks, resume=run.resumes
    )
    best = folder / "checkpoints" / "best.safetensors"
    if not history.interrupted and best.exists():
        model.load_state_dict(tg.load(best))  # of the epoch after which new text went best
    model.save(folder / "model")
    if history.interrupted:
        print(f"interrupted after step {trainer.step}; go on with --out {folder} --resume")
        return
    run.finish()
    print(said(trainer))
    report(model, kept, folder)


def report(model: models.LanguageModel, kept: str, folder: Path) -> None:
    """The pictures, and what the numbers came to."""
    tables = folder / "steps.csv", folder / "epochs.csv"
    (folder / "learning.svg").write_text(inspect.draw_learning(*tables, y="nats a token"))
    activations = inspect.activations(model, kept[len(kept) // 2 :][:20_000])
    try:
        figures = {}
        if activations.gates:
            figures["How long units remember"] = inspect.draw_memory(activations)
            figures["How often gates are open or shut"] = inspect.draw_saturation(activations)
        page = inspect.text_page(activations, title="What single cells follow", figures=figures)
        page.save(folder / "cells.html")
    except tg.errors.ArgumentError as error:  # there is too little of a text
        print(f"no page of cells: {error}")
    score = model.score(kept)
    ids = model.ids(kept)
    before = ids[: len(ids) // 2][-30:]
    likely = ", ".join(f"{piece!r} {share:.0%}" for piece, share in model.next(before))
    print(
        f"on what it has never read: {score.nats:.3f} nats a token, perplexity "
        f"{score.perplexity:.2f}, {score.bits:.3f} bits a character\n"
        f"likeliest after {model.vocabulary.decode(before)!r}: {likely}"
    )
    for name in ("steps.csv", "epochs.csv", "learning.svg", "cells.html", "model"):
        if (folder / name).exists():
            print(f"wrote {folder / name}")


# ----- using what was trained -----


def use(args: argparse.Namespace, folder: Path) -> None:
    """Sample, evaluate or continue with a model that was saved."""
    model = command.model_of(folder / "model", models.LanguageModel)
    if args.sample is not None:
        for piece in model.stream(
            args.sample, prime=args.prime, temperature=args.temperature, seed=args.seed,
            top_k=args.top_k, top_p=args.top_p, min_p=args.min_p,
            repetition_penalty=args.repetition_penalty,
        ):  # fmt: skip
            print(piece, end="", flush=True)
        print()
    if args.evaluate is not None:
        score = model.score(text.read(args.evaluate))
        print(
            f"{args.evaluate}: {score.tokens:,} tokens, {score.nats:.3f} nats each, perplexity "
            f"{score.perplexity:.2f}, {score.bits:.3f} bits a character"
        )
    if args.next is not None:
        for piece, probability in model.next(args.next, 10):
            print(f"{probability:7.2%}  {piece!r}")


# ----- one text, five models -----


def compare(args: argparse.Namespace) -> None:
    """A table: what each kind of model makes of the same text."""
    learned, kept = texts(args)
    vocabulary = vocabulary_of(args.tokens, learned + kept)
    ids, validation = vocabulary.encode(learned), vocabulary.encode(kept)
    print(f"{'':>12}  parameters   training   a step  perplexity  bits a character")
    for name in COMPARED:
        tg.seed(args.seed)
        began = time.perf_counter()
        model, ends = compared(name, vocabulary, ids, args)
        seconds = time.perf_counter() - began
        score = model.score(validation)
        size = size_of(model)
        step = "        -"
        if len(ends) > 1:  # the first step may have compiled kernels
            step = f"{1e3 * (ends[-1] - ends[0]) / (len(ends) - 1):6.1f} ms"
        print(
            f"{name:>12}  {size:10,}  {seconds:7.1f} s {step}  {score.perplexity:10.2f}  "
            f"{score.bits:10.3f}"
        )


class Ends(training.Callback):
    """When each step ended."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step(self, trainer: training.Trainer) -> None:
        """Look at the clock."""
        self.seconds.append(time.perf_counter())


def size_of(model) -> int:
    """Numbers that were learned, or counted."""
    if isinstance(model, models.NGram):
        return sum(len(model.counts[n].counts) for n in range(1, model.order + 1))
    return sum(parameter.size for parameter in model.parameters())


def compared(name: str, vocabulary: text.Vocabulary, ids: np.ndarray, args: argparse.Namespace):
    """A model of this kind that has read the text, and when each step of that ended."""
    ends = Ends()
    if name.endswith("gram"):
        return models.NGram(int(name[0]), vocabulary).fit(ids), ends.seconds
    if name.startswith("window"):
        model = models.FixedWindow(vocabulary, 8, args.embedding, args.hidden)
    else:
        model = language_model(vocabulary, args, name)
    chunks = streams(ids, args)
    trainer = trainer_of(model, args, args.epochs * len(chunks))
    if trainer.fit(chunks, args.epochs, callbacks=[ends]).interrupted:
        raise KeyboardInterrupt
    return model, ends.seconds


# ----- the command -----


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("text", nargs="*", help="files or folders; none: what this Python installation carries")
    add("--out", default="out/language_model", help="the folder for everything that is written")
    kinds = "characters", "bytes", "words", "subwords"
    what = "what a text is cut into; characters that it lacks cannot be read later, bytes can"
    add("--tokens", choices=kinds, default="characters", help=what)
    add("--cell", default="LSTM", help="LSTM, GRU, RNN, or any cell of nn")
    for name, value, what in (
        ("embedding", 64, "width of a token's vector"),
        ("hidden", 16 if SHORT else 256, "width of the layers"),
        ("layers", 1, "recurrent layers"),
        ("epochs", 1 if SHORT else 6, "times that the text is read"),
        ("batch", 32, "rows of text that are read side by side"),
        ("steps", 64, "tokens that the gradient goes back"),
        ("shown", 40 if SHORT else 200, "tokens of a sample"),
        ("save-every", 200, "steps from checkpoint to checkpoint"),
        ("seed", 0, "of all random numbers"),
    ):
        add(f"--{name}", type=int, default=value, help=what)
    for name, value, what in (
        ("rate", 5e-3, "learning rate at its highest"),
        ("dropout", 0.0, "share of what layers give that is dropped"),
        ("decay", 0.01, "weight decay"),
        ("validation", 0.1, "share of each text that is kept to validate with"),
        ("temperature", 0.5, "of samples: towards 0 the likeliest alone, above 1 wilder"),
    ):
        add(f"--{name}", type=float, default=value, help=what)
    add("--tied", action="store_true", help="score tokens by the embedding's table")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--anew", action="store_true", help="begin again, whatever is in --out")
    add("--sample", type=int, metavar="N", help="write N tokens with the model in --out")
    add("--prime", default="", help="what samples go on from")
    add("--top-k", type=int, help="sample among so many of the likeliest")
    add("--top-p", type=float, help="sample among the likeliest that make up this share")
    add("--min-p", type=float, help="sample among those at least this share of the likeliest")
    add("--repetition-penalty", type=float, default=1.0, help="above 1: less of what was said")
    add("--evaluate", metavar="FILE", help="score a text with the model in --out")
    add("--next", metavar="TEXT", help="show what likely comes next")
    add("--compare", action="store_true", help="train n-grams, a window, RNN, GRU, LSTM")
    args = command.parsed(parser)
    useless = {"sample", "evaluate", "next", "resume", "anew", "out"} & set(args.given)
    if args.compare and useless:
        parser.error(f"--{min(useless)} is nothing for --compare, which keeps no model")
    return args


def check(args: argparse.Namespace) -> None:
    """Raise for what no run can be made of, before anything is written."""
    for name, least in ("epochs", 1), ("batch", 1), ("steps", 1), ("save_every", 1), ("shown", 0):
        if vars(args)[name] < least:
            raise tg.errors.ArgumentError(
                f"--{name.replace('_', '-')} is {vars(args)[name]}, expected a whole number from "
                f"{least} up."
            )
    if not args.temperature > 0:
        raise tg.errors.ArgumentError(
            f"--temperature is {args.temperature}, expected a number above 0."
        )
    if not 0 <= args.dropout < 1:
        raise tg.errors.ArgumentError(
            f"--dropout is {args.dropout}, expected a share, from 0 to below 1."
        )
    if not 0 < args.validation < 1:
        raise tg.errors.ArgumentError(
            f"--validation is {args.validation}, expected a share, between 0 and 1."
        )


@command.ended()
def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    check(args)
    if args.compare:
        compare(args)
    elif any(asked is not None for asked in (args.sample, args.evaluate, args.next)):
        try:
            use(args, folder)
        except tg.errors.VocabularyError as error:  # it says how a program would make another
            said = str(error).partition(" Make it of")[0].removeprefix("Characters.encode: ")
            raise tg.errors.ArgumentError(f"{said} --tokens bytes reads all.") from None
    else:
        train(args, folder)


if __name__ == "__main__":
    main()
