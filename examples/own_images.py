"""Images of one's own and questions about them, for answer.py: from files to what is answered.

Files are in the layout of easy-VQA or of VQA (see tinygrad_rnn.data.images). Run by itself this
writes small ones, drawn scenes (their pixels as features) with questions, and says the command
that learns from them.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import command
import numpy as np
from asked import Asker, Told, asked_scenes
from caption import Eyes, shown

import tinygrad_rnn as tg
from tinygrad_rnn import models, optim, text, training
from tinygrad_rnn.data import images as files


def read(args: argparse.Namespace, places: list[str]) -> Told:
    """Images with questions, from files; what cannot be used is said."""
    size = (args.size, args.size) if Path(places[0]).is_dir() else None
    found = files.asked(*places, size=size)
    if found.left_out:
        print(f"left out:\n{found.left_out}")
    return Told(found.images, found.questions, found.answers)


def known_answers(given: Told, names: set[str]) -> Told:
    """Those questions whose answers are among names; images without any are left out."""
    rows = []
    for number, own in enumerate(zip(given.questions, given.answers, strict=True)):
        pairs = [(q, a) for q, a in zip(*own, strict=True) if a in names]
        if pairs:
            rows.append((number, *map(list, zip(*pairs, strict=True))))
    numbers, questions, answers = map(list, zip(*rows, strict=True))
    count = len(given.flat()[0]) - sum(map(len, questions))
    if count:
        print(f"{count:,} questions are left out, whose answers are not among the {len(names)}")
    return Told([given.images[n] for n in numbers], questions, answers)


def train(args: argparse.Namespace, folder: Path) -> None:
    """A run from images and questions to the model."""
    run, args = command.run_of(args, folder)
    given = read(args, args.images)
    kept = read(args, args.kept) if args.kept else given
    counts = Counter(given.flat()[1]).most_common(args.answers)
    given = known_answers(given, {name for name, _ in counts})
    shape = np.shape(given.images[0])
    encoder = None
    if given.images[0].dtype == np.uint8:  # else features
        encoder, shape = Eyes(args.width), (args.width, shape[1] // 8, shape[2] // 8)
    tg.seed(args.seed)
    words = text.Words.of("\n".join(given.flat()[0]), min_count=args.min_count, lower=True)
    model = models.Answerer(
        words, [name for name, _ in counts], encoder, args.embedding, args.hidden, features=shape,
        attend=args.attend, num_layers=args.layers, dropout=args.dropout,
        output_dropout=args.dropout,
    )  # fmt: skip
    learns = model.batches(*given, args.batch, shuffle=True, seed=args.seed)
    print(
        f"{len(given.images):,} images with {len(given.flat()[0]):,} questions to learn from; "
        f"{len(words):,} words, {len(counts):,} answers, the usual one in "
        f"{counts[0][1] / sum(count for _, count in counts):.1%}"
    )
    optimizer = optim.AdamW(model.parameters(), lr=args.rate)
    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), clip_norm=1.0
    )
    run.begin()  # all that may be wrong with it has been found
    history = trainer.fit(
        learns, args.epochs, resume=run.resumes,
        callbacks=[
            training.CSVLog(folder / "epochs.csv"),
            training.Checkpoints(folder / "checkpoints", every=args.save_every, keep=2),
        ],
    )  # fmt: skip
    model.save(folder / "model")
    if history.interrupted:
        print(f"interrupted after step {trainer.step}; go on with --out {folder} --resume")
        return
    run.finish()
    what = "kept aside" if args.kept else "that were learned from"
    print(f"questions {what}: {kept.right(model).mean():.2%} right")
    print(f"wrote {folder / 'model'}")


def ask(args: argparse.Namespace, folder: Path) -> None:
    """Ask a model that was saved about an image."""
    model = command.model_of(folder / "model", models.Answerer, custom={"Eyes": Eyes})
    path, *questions = args.ask
    size = training.RunFolder(folder, {}, resume=True).settings["size"] if model.encoder else None
    image = files.read_image(path, (size, size)) if model.encoder else features_of(path)
    for question in questions:
        cut, ids = (getattr(model.vocabulary, how)(question) for how in ("cut", "encode"))
        if not cut:
            print(f'"{question}" has no word: nothing is answered')
            continue
        new = [word for word, number in zip(cut, ids, strict=True) if not number]
        if new:
            print(f"never learned: {', '.join(new)}")
        found = model.probabilities(image[None], [question])[0]
        best = np.argsort(-found)[:3]
        print(question, ", ".join(f"{model.names[k]} ({found[k]:.0%})" for k in best))


def features_of(path: str) -> np.ndarray:
    """What a file of features holds."""
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        found = None
    if not isinstance(found, np.ndarray):
        raise tg.errors.ArgumentError(
            f"{path} is no .npy file of numbers, expected the features of an image: the model has "
            "learned from features."
        )
    return found


def write_small_files() -> None:
    """The pixels of drawn scenes, and questions about them in the layout of easy-VQA."""
    scenes, asker = asked_scenes(40, 0)[0], Asker(0)
    np.savez("scenes.npz", **{str(number): one for number, one in enumerate(shown(scenes))})
    rows = [
        (one.text, one.answer, number)
        for number, scene in enumerate(scenes)
        for one in asker.questions(scene, 8)
    ]
    Path("questions.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    with command.ended():
        write_small_files()
        print("answer.py scenes.npz questions.json")
