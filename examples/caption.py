"""Learn to say what is to be seen, and look at where it looks for each word.

    a_t = softmax(MLP(h_{t-1}, e_t, z_ij))  c_t = g_t Σ a_tij z_ij  h_t = LSTM([e_t; c_t], h_{t-1})

Without arguments it learns from drawn scenes (scenes.py), in two to three minutes, to say "a small
red circle left of a large blue square", encoder and captioner together, and is asked others: with
combinations of size, colour, shape and place that it has never seen. Beside it learns one that
sees the same with a bag in place of places: it knows what there is, and not where. With arguments
it is a tool for images with captions, in the layout of Karpathy or COCO, or for features of images:

    caption.py photos dataset_flickr8k.json --size 64 --hidden 256 --epochs 20 --out out/flickr
    caption.py vgg.npz dataset_flickr8k.json             features by the name of each image
    caption.py --out out/flickr --resume                 go on with a run that was interrupted
    caption.py --out out/flickr --describe my.jpg album --beam 5
    caption.py photos dataset_flickr8k.json --out out/flickr --evaluate test
    caption.py val2017 captions_val2017.json --out out/coco --evaluate all

The folder of --out gets the model, its checkpoints, tables of the loss, and ``looks.html``: each
image word by word, lit where it is looked at.
"""

import argparse
import os
import sys
from pathlib import Path

import command
import numpy as np
import scenes

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, metrics, models, nn, ops, optim, text, training
from tinygrad_rnn.data import images as files

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# How many scenes are learned from, and are asked, and are drawn on the page.
LEARNED, ASKED, DRAWN = (200, 20, 3) if SHORT else (6_000, 500, 12)


class Eyes(nn.Module):
    """Convolutions that make places (width, H / 8, W / 8) of pictures (3, H, W).

    Eight numbers of each say where it is, without which nobody could look there again. A bag has
    no places: convolutions see no border, and the mean of all is taken.
    """

    def __init__(self, width: int, bag: bool = False) -> None:
        super().__init__()
        self.bag = bag

        def seeing(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            padding = 0 if bag else kernel // 2
            conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
            nn.init.he_normal_(conv.weight)
            return [conv, nn.BatchNorm(after), nn.ReLU()]

        self.layers = nn.Sequential(
            *seeing(3, 20, 5, stride=2),
            *seeing(20, 40, 3), nn.MaxPool2d(2),
            *seeing(40, 80, 3), nn.MaxPool2d(2),
            *seeing(80, width if bag else width - 8, 1),  # a place sees 23 pixels, not both things
        )  # fmt: skip

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        """Pictures (B, 3, H, W) -> (B, width, H / 8, W / 8), or (B, width) of a bag."""
        seen = self.layers(x)
        return seen.mean((2, 3)) if self.bag else ops.concat([seen, where(seen)], axis=1)


def where(x: tg.Tensor) -> tg.Tensor:
    """Of images (B, C, H, W) where each place is (B, 8, H, W): two waves along each axis.

    They are as large as what is seen, or larger: from waves of 3 it is learned better what is left
    of what than from waves of 1.
    """
    B, _, H, W = x.shape
    axes = np.meshgrid(np.linspace(-1, 1, H), np.linspace(-1, 1, W), indexing="ij")
    waves = [f(np.pi * k * axis / 2) for axis in axes for k in (1, 2) for f in (np.sin, np.cos)]
    return tg.tensor(np.broadcast_to(3 * np.stack(waves).astype(x.dtype), (B, 8, H, W)))


# ----- images and captions -----


def shown(drawn: list[scenes.Scene]) -> np.ndarray:
    """Pictures (N, 3, H, W) of bytes."""
    return np.stack([scene.picture().transpose(2, 0, 1) for scene in drawn])


def from_files(size: int, source, captions=None, split: str | None = None) -> files.Captioned:
    """Images, or features, with captions, if there are any; what is left out is said."""
    found = files.captioned(source, captions, split=split, size=(size, size))
    if found.left_out:
        print(f"left out{f' of {split}' if split else ''}:\n{found.left_out}")
    return found


def examples(args: argparse.Namespace) -> tuple[tuple, tuple]:
    """Images and captions to learn from, and to validate with."""
    if not args.images:
        learned, asked = scenes.scenes(LEARNED, ASKED, args.seed)
        told = [scenes.told(scene, number) for number, scene in enumerate(learned)]
        return (shown(learned), told), (shown(asked), [scene.captions() for scene in asked])
    if any(one.split for one in files.read_captions(args.images[1])):
        found = (from_files(args.size, *args.images, one) for one in (args.learn, args.validate))
        return tuple((one.images, lower(one.captions)) for one in found)
    found = from_files(args.size, *args.images)
    print("the file of captions has no splits: a tenth is kept to validate with")
    return data.split((found.images, lower(found.captions)), (0.9, 0.1), seed=args.seed)


def lower(captions: list[list[str]]) -> list[list[str]]:
    return [[one.lower() for one in several] for several in captions]


# ----- training -----


def captioner(args: argparse.Namespace, words: text.Vocabulary, shape: tuple) -> models.Captioner:
    """A model for images (3, H, W), or for features of another shape."""
    encoder = None
    if len(shape) == 3 and shape[0] == 3:
        encoder = Eyes(args.width)
        with tg.no_grad():
            shape = encoder.eval()(tg.zeros((1, *shape))).shape[1:]
        encoder.train()
    return models.Captioner(
        words, encoder, args.embedding, args.hidden, features=shape, image=args.image,
        cell=args.cell, dropout=args.dropout, output_dropout=args.dropout,
        doubly_stochastic=args.doubly_stochastic, word_asks=True,
    )  # fmt: skip


def trainer_of(args: argparse.Namespace, model: models.Captioner, steps: int) -> training.Trainer:
    optimizer = optim.AdamW(model.parameters(), lr=args.rate)
    schedule = optim.schedules.OneCycleLR(
        optimizer, args.rate, total_steps=max(steps, 20), pct_start=0.15
    )
    return training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), schedule=schedule, clip_norm=1.0
    )


def train(args: argparse.Namespace, folder: Path) -> None:
    """A run from images and captions to the model and the pictures."""
    run, args = command.run_of(args, folder)
    (pictures, told), (others, true) = examples(args)
    words = text.Words.of("\n".join(map("\n".join, told)), min_count=args.min_count)
    tg.seed(args.seed)
    model = captioner(args, words, np.shape(pictures[0]))
    learns = model.batches(pictures, told, args.batch, shuffle=True, seed=args.seed)
    trainer = trainer_of(args, model, args.epochs * len(learns))
    print(
        f"{len(pictures):,} images to learn from, {len(others):,} to validate with; "
        f"{len(words):,} words.\n{sum(p.size for p in model.parameters()):,} parameters; "
        f"{args.epochs} epochs of {len(learns)} steps. Ctrl-C stops after a step; --resume goes on."
    )

    def said(trainer: training.Trainer) -> str:
        found = model.caption(others[:3])
        exact = metrics.exact_match(model.caption(others), true)
        return "\n".join([f"--- epoch {trainer.epoch}: {exact:.1%} exact", *found])

    callbacks = [
        training.Sample(said),
        training.CSVLog(folder / "steps.csv", every=min(5, len(learns))),
        training.CSVLog(folder / "epochs.csv"),
        training.Checkpoints(folder / "checkpoints", every=args.save_every, keep=2),
    ]
    run.begin()  # all that may be wrong with it has been found
    history = trainer.fit(
        learns, args.epochs, resume=run.resumes,
        validation=model.batches(others, [several[:1] for several in true], args.batch),
        callbacks=callbacks,
    )  # fmt: skip
    model.save(folder / "model")
    if history.interrupted:
        print(f"interrupted after step {trainer.step}; go on with --out {folder} --resume")
        return
    run.finish()
    report(model, others, true, folder, args)
    if not args.images:
        bag(args, words, pictures, told, others, true)
    for name in ("steps.csv", "epochs.csv", "looks.html", "model"):
        print(f"wrote {folder / name}")


def bag(args, words, pictures, told, others, true) -> None:
    """The same with no places, each image told to the layers by the mean of all that it shows."""
    tg.seed(args.seed)
    model = models.Captioner(
        words, Eyes(args.width, bag=True), args.embedding, args.hidden,
        features=args.width, image="every",
    )  # fmt: skip
    learns = model.batches(pictures, [one[:1] for one in told], args.batch, shuffle=True)
    epochs = max(1, args.epochs // 2)
    trainer = trainer_of(args, model, epochs * len(learns))
    if trainer.fit(learns, epochs, progress=False).interrupted:
        raise KeyboardInterrupt
    exact = metrics.exact_match(model.caption(others), true)
    print(f"a bag of what is seen, without places: {exact:.1%} exact")


# ----- what has been learned, and what it is good for -----


def report(model, others, true: list[list[str]], folder: Path, args) -> None:
    """Scores, where it looks, a page."""
    said = model.caption(others, beam=args.beam)
    print(f"{len(said):,} images never seen: {scores(said, true)}")
    drawn = scenes.scenes(0, ASKED, args.seed)[1] if not args.images else None
    curve = inspect.draw_learning(folder / "steps.csv", folder / "epochs.csv", y="nats a word")
    gazes = []
    for number in range(min(DRAWN, len(said))):
        picture = drawn[number].picture(192) if drawn else None
        right = said[number] in true[number] if drawn else None
        if is_looked_at(model, others[number]):
            gazes.append(inspect.gaze(model, others[number], said[number], picture, right))
    if gazes:
        print("", *(one.text() for one in gazes[:2]), sep="\n\n", end="\n\n")
    if drawn and gazes:
        looks = model.attention(others, [model.vocabulary.encode(one) for one in said])
        found = [scenes.pointed(*one) for one in zip(drawn, said, looks, strict=True)]
        hits, chance = np.concatenate([*found, [(0, 0)]]).sum(axis=0) / max(1, sum(map(len, found)))
        print(f"words of a thing said while looking at it most: {hits:.1%}; by chance {chance:.1%}")
    told = {"note": "Each image, and for each word the same image, lit where it is looked at."}
    page = inspect.page_of_gazes(
        gazes,
        **(told if gazes else {"title": "How it learned"}),
        figures={"The course of the run": curve},
    )
    (folder / "looks.html").write_text(page, "utf-8")


def scores(said: list[str], true: list[list[str]]) -> str:
    """How good captions are; exact is one that is, word for word, one of the true ones."""
    found = [
        f"{metrics.exact_match(said, true):.1%} exact",
        f"ROUGE-L {metrics.rouge_l(said, true):.1f}",
        f"CIDEr-D {metrics.cider_d(said, true):.2f}",
    ]
    try:
        return ", ".join([*found, f"BLEU {metrics.bleu(said, true).score:.1f}"])
    except ImportError as error:
        return f"{', '.join(found)} ({error})"


def use(args: argparse.Namespace, folder: Path) -> None:
    """Describe images, or compare with captions, by a model that was saved."""
    model = command.model_of(folder / "model", models.Captioner, custom={"Eyes": Eyes})
    settings = argparse.Namespace(**training.RunFolder(folder, {}, resume=True).settings)
    if args.evaluate:
        if not (args.images or settings.images):
            raise tg.errors.ArgumentError("--evaluate: expected images and a file of captions.")
        split = None if args.evaluate == "all" else args.evaluate
        found = from_files(settings.size, *(args.images or settings.images), split)
        said = model.caption(found.images, beam=args.beam)
        print(f"{len(said):,} images: {scores(said, lower(found.captions))}")
    describe(model, args, settings.size if settings.images else scenes.PIXELS, folder)


def describe(model, args: argparse.Namespace, size: int, folder: Path) -> None:
    """Say what is in images, in folders of them or in features; what cannot be read is named."""
    gazes, failed = [], 0
    for place in args.describe:
        try:
            found = from_files(size, place)
            said = model.caption(found.images, beam=args.beam)
        except (tg.errors.TinygradError, OSError) as error:
            print(f"{place}: {error}")
            failed += 1
            continue
        for name, image, one in zip(found.names, found.images, said, strict=True):
            print(f"{place if name == Path(place).name else name}: {one}", flush=True)
            if is_looked_at(model, image):
                gazes.append(inspect.gaze(model, image, one))
    if gazes:
        (folder / "described.html").write_text(inspect.page_of_gazes(gazes), "utf-8")
        print(f"wrote {folder / 'described.html'}")
    if failed:
        sys.exit(f"caption.py: {failed} of {len(args.describe)} could not be described")


def is_looked_at(model, image: np.ndarray) -> bool:
    """Whether it is a picture, and the model attends to its places."""
    return model.image in ("soft", "hard") and image.ndim == 3 and len(image) == 3


# ----- the command -----


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the command line says, or a list of as much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("images", nargs="*", help="a folder of images, or features, and a file of captions")
    add("--image", choices=models.captioner.IMAGES, default="soft", help="how layers are told")
    for name, value, what in (
        ("out", "out/caption", "the folder for everything that is written"),
        ("size", 64, "pixels on each side that images from files are brought to"),
        ("learn", "train", "the split to learn from"),
        ("validate", "val", "the split to validate with"),
        ("cell", "LSTM", "LSTM, GRU, RNN, or any cell of nn"),
        ("min-count", 1, "words that come less often are unknown"),
        ("width", 64, "of a place, as the encoder makes it"),
        ("embedding", 48, "width of a word's vector"),
        ("hidden", 16 if SHORT else 128, "width of the layers"),
        ("epochs", 1 if SHORT else 4, "times that the images are seen"),
        ("batch", 16, "images side by side"),
        ("save-every", 500, "steps from checkpoint to checkpoint"),
        ("seed", 0, "of all random numbers"),
        ("beam", 1, "captions of an image that are followed"),
        ("rate", 4e-3, "learning rate at its highest"),
        ("dropout", 0.0, "share of vectors of words, and of what scores are made of"),
        ("doubly-stochastic", 0.0, "how much it is asked to look everywhere as much"),
    ):
        add(f"--{name}", type=type(value), default=value, help=what)
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--anew", action="store_true", help="begin again, whatever is in --out")
    add("--describe", nargs="+", default=[], metavar="PLACE", help="say what images show")
    add("--evaluate", metavar="SPLIT", help="compare with the captions of a split, or of all")
    args = command.parsed(parser, given)
    if len(args.images) not in (0, 2):
        parser.error("images: expected a folder, or features, and a file of captions")
    for name, least in (("epochs", 1), ("batch", 1), ("beam", 1), ("size", 8)):
        if (value := getattr(args, name)) < least:
            parser.error(f"--{name} is {value}, expected a whole number from {least} up")
    return args


@command.ended()
def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    if args.describe or args.evaluate:
        use(args, folder)
    else:
        train(args, folder)


if __name__ == "__main__":
    main()
