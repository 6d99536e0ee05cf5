"""Learn what happens in films: in each frame, in all of it, and to say it in words.

    v = 1/T Σ_t f_t                                           mean pooling: the order is lost
    a_t = watching(f_t)  s_t = saying([a_t; 0])  then words   S2VT: it reads before it speaks

Without arguments it learns from films of moving shapes (moving.py) in under three minutes, and is
asked about others, each with a combination of thing and motion that it has never seen. An encoder
of frames learns first, from pictures and their captions. Where the order of frames matters S2VT
finds what happens, and who takes the mean of frames cannot; where it does not, both do as well.
With arguments it learns from clips of yours, folders of frames or features of them, with captions
in the layout of Karpathy, COCO or MSR-VTT (see tinygrad_rnn.data.images):

    video.py frames captions.json --split train --validation val --size 48 --epochs 20
    video.py resnet.npz videodatainfo.json --split train --validation validate --out out/msrvtt
    video.py --out out/msrvtt --resume              go on with a run that was interrupted
    video.py resnet.npz videodatainfo.json --split test --out out/msrvtt --evaluate
    video.py --out out/msrvtt --describe more.npz     or folders of frames, or folders of them

The folder of --out gets the model; of the shapes also ``films.html`` and ``films.svg``, strips of
films with what is said of them, and of clips checkpoints and tables of the loss.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path

import command
import moving
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, metrics, models, nn, optim, text, training
from tinygrad_rnn.data import images

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
LEARNED, ASKED = (24, 8) if SHORT else (3_000, 400)
# Times that pictures, labels of frames, films and their captions are read; steps of films alone.
PICTURES, LABELS, FILMS, ALONE = (1, 1, 1, 1) if SHORT else (8, 6, 14, 60)
EMBEDDING, HIDDEN = (8, 16) if SHORT else (128, 128)
LABELLED = {"frame": ("frames", "by each alone"), "clip": ("films", "by the mean of frames")}
TOLD = 3  # captions of a film that are told, of all that are true


def eyes(height: int, width: int) -> tuple[nn.Module, int]:
    """What looks at frames (N, 3, height, width), and how many numbers it makes of each."""

    def layer(below: int, above: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        convolution = nn.Conv2d(
            below, above, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        return [convolution, nn.BatchNorm(above), nn.ReLU()]

    found = nn.Sequential(
        *layer(3, 24, 5, stride=2), nn.MaxPool2d(2),
        *layer(24, 48, 3), *layer(48, 48, 3), nn.MaxPool2d(2), nn.Flatten(),
    )  # fmt: skip
    rows, columns = ((side + 1) // 2 // 2 // 2 for side in (height, width))
    return found, 48 * rows * columns


def fitted(model, batches: data.Batches, epochs: int, rate: float, steps: int | None = None):
    """Train a model, and say how many seconds it took."""
    optimizer = optim.AdamW(model.parameters(), lr=rate)
    total = max(steps or epochs * len(batches), 20)
    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), clip_norm=1.0,
        schedule=optim.schedules.OneCycleLR(optimizer, rate, total_steps=total, pct_start=0.2),
    )  # fmt: skip
    began = time.perf_counter()
    if trainer.fit(batches, epochs, steps=steps, progress=not SHORT).interrupted:
        raise KeyboardInterrupt
    return time.perf_counter() - began


# ----- films of moving shapes -----


class Shapes:
    """Films to learn from and films that are asked, as pictures and as what is true of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.learned, self.asked = moving.films(LEARNED, ASKED, seed)
        self.clips, self.asked_clips = (
            [film.picture().transpose(0, 3, 1, 2).copy() for film in films]
            for films in (self.learned, self.asked)
        )
        said = [one for film in self.learned for one in (*film.captions(), *film.stills(0))]
        self.words = text.Words.of("\n".join([*said, *moving.WHERE]))
        self.order = np.array([film.order_matters() for film in self.asked])

    def told(self) -> list[list[str]]:
        """Some captions of each film."""
        return [self.random.sample(film.captions(), TOLD) for film in self.learned]

    def stills(self, films, clips) -> tuple[list[np.ndarray], list[list[str]]]:
        """Pictures out of films, two of each, as clips of one frame, and their captions."""
        frames = [
            (n, self.random.randrange(film.frames)) for n, film in enumerate(films) for _ in "12"
        ]
        return [clips[n][t : t + 1] for n, t in frames], [films[n].stills(t) for n, t in frames]

    def right(self, said: list[str]) -> np.ndarray:
        """Which captions of the asked films are true."""
        return np.array(
            [one in film.captions() for one, film in zip(said, self.asked, strict=True)]
        )


def see(shapes: Shapes, rate: float = 5e-3) -> tuple[nn.Module, int, float]:
    """An encoder of frames that has learned from pictures and their captions, and how well."""
    seen, width = eyes(moving.PIXELS, moving.PIXELS)
    encoder = nn.Sequential(seen, nn.Linear(width, 128), nn.ReLU())
    model = models.MeanPooling(shapes.words, encoder, 64, 128, features=128)
    pictures, captions = shapes.stills(shapes.learned, shapes.clips)
    told = [[shapes.random.choice(own)] for own in captions]
    seconds = fitted(model, model.batches(pictures, told, 64, shuffle=True), PICTURES, rate)
    pictures, captions = shapes.stills(shapes.asked, shapes.asked_clips)
    right = metrics.exact_match(model.caption(pictures), captions)
    print(
        f"pictures: {right:.1%} of captions of those of the other films are true; {seconds:.0f} s"
    )
    return seen, width, float(right)


def features(seen: nn.Module, clips: list[np.ndarray]) -> list[np.ndarray]:
    """What it makes of each frame of clips."""
    seen.eval()
    found = []
    with tg.no_grad():
        for begin in range(0, len(clips), 16):
            some = clips[begin : begin + 16]
            made = seen(np.concatenate(some).astype(np.float32) / 255).numpy()
            found += np.split(made, np.cumsum([len(clip) for clip in some])[:-1])
    return found


def label(shapes: Shapes, known, asked, width: int) -> tuple[list[list[str]], dict]:
    """Labels of the asked films' frames; and how many are right, of frames and of films.

    By layers that read frames in their order, and by each frame alone, or the mean of all.
    """
    found, right = [], {}
    kinds = {"frame": moving.Film.labels, "clip": moving.Film.action}
    for of, told in kinds.items():
        given = [told(film) for film in shapes.learned]
        names = sorted(set(np.concatenate([np.ravel(one) for one in given]).tolist()))
        for cell in (None, "LSTM"):
            model = models.VideoLabels(
                names, None, 64, features=width, of=of, cell=cell,
                bidirectional=of == "frame" and cell is not None,
            )  # fmt: skip
            batches = data.Batches(
                (known, given), 32, shuffle=True,
                collate=lambda rows: tuple(zip(*rows, strict=True)),
            )  # fmt: skip
            fitted(model, batches, LABELS * (1 + (of == "clip")), 4e-3)
            found.append(model.labels(asked))
            right[of, cell] = share(found[-1], [told(film) for film in shapes.asked])
        what, without = LABELLED[of]
        print(f"labels of {what}: {right[of, 'LSTM']:.1%} right, {without} {right[of, None]:.1%}")
    return found[1], {f"{of}, {cell or 'no'} layers": value for (of, cell), value in right.items()}


def share(said: list, true: list) -> float:
    """How many labels are right."""
    flat = [np.concatenate([np.ravel(one) for one in labels]) for labels in (said, true)]
    return float(np.mean(flat[0] == flat[1]))


def caption(shapes: Shapes, known, asked, width: int, rate: float = 4e-3) -> dict[str, models.S2VT]:
    """Mean pooling and S2VT, by what the encoder makes of frames."""
    made = {}
    for name, kind in {"mean pooling": models.MeanPooling, "S2VT": models.S2VT}.items():
        model = kind(
            shapes.words, None, EMBEDDING, HIDDEN, features=width, dropout=0.1, output_dropout=0.1
        )
        fitted(model, model.batches(known, shapes.told(), 32, shuffle=True), FILMS, rate)
        made[name] = model
    return made


def alone(shapes: Shapes, rate: float = 4e-3) -> list[str]:
    """S2VT and its encoder from films alone, as long as all of the other way takes."""
    seen, width = eyes(moving.PIXELS, moving.PIXELS)
    model = models.S2VT(shapes.words, seen, EMBEDDING, HIDDEN, features=width)
    batches = model.batches(shapes.clips, shapes.told(), 32, shuffle=True)
    fitted(model, batches, ALONE, rate, steps=ALONE)
    return model.caption(shapes.asked_clips)


def learn(seed: int, folder: Path | None = None) -> dict:
    """All of it, with moving shapes: how many of what was asked is right; drawn into a folder."""
    tg.seed(seed)
    shapes = Shapes(seed)
    print(f"{LEARNED:,} films to learn from, {ASKED} others with what was never seen together")
    seen, width, pictures = see(shapes)
    known, asked = features(seen, shapes.clips), features(seen, shapes.asked_clips)
    labels, right = label(shapes, known, asked, width)
    made = caption(shapes, known, asked, width)
    said = {name: model.caption(asked) for name, model in made.items()}
    if folder is not None:
        draw(shapes, said, labels, folder)
        made["S2VT"].save(folder / "model")
    said["S2VT, films alone"] = alone(shapes)
    captions = {}
    print(f"{'captions that are true':>24}    all  order matters  does not")
    for name, texts in said.items():
        true = shapes.right(texts)
        parts = true, true[shapes.order], true[~shapes.order]
        captions[name] = [float(part.mean()) for part in parts]
        print("{:>24} {:6.1%} {:14.1%} {:9.1%}".format(name, *captions[name]))
    return {"pictures": pictures, "labels": right, "captions": captions}


def draw(shapes: Shapes, said: dict[str, list[str]], labels: list[list[str]], folder: Path) -> None:
    """Strips of films that were asked, with what is said of them, on a page and as a picture."""
    rights = {name: shapes.right(captions) for name, captions in said.items()}
    strips = [
        inspect.FilmStrip(
            film.picture(80),
            {"true": film.captions()[0], **{name: own[n] for name, own in said.items()}},
            {name: bool(right[n]) for name, right in rights.items()},
            labels[n],
        )
        for n, film in enumerate(shapes.asked[:24])
    ]
    note = (
        "Films with a combination of thing and motion that was never learned. Below the frames is "
        "what was found to go on in each, below that a caption that is true and what was said."
    )
    page = inspect.page_of_films(strips, title="Films, and what is said of them", note=note)
    (folder / "films.html").write_text(page, "utf-8")
    (folder / "films.svg").write_text(inspect.picture_of_films(strips[:5]), "utf-8")


# ----- clips of yours -----


def read(args: argparse.Namespace, source, captions=None, split=None) -> images.Captioned:
    """Clips with captions, if there are any; what cannot be used is said."""
    size = (args.size, args.size) if args.size else None
    found = images.captioned(
        source, captions, split=split, clips=True, frames=args.frames, size=size
    )
    if found.left_out:
        print(f"left out:\n{found.left_out}")
    return found


def train(args: argparse.Namespace, folder: Path) -> None:
    """A run from clips to the model."""
    run, args = command.run_of(args, folder)
    given = args.source, args.captions
    known = read(args, *given, args.split)
    kept = read(args, *given, args.validation) if args.validation else None
    shape = known.images[0].shape[1:]
    if len(shape) not in (1, 3):
        raise tg.errors.ShapeError(
            f"clips are of frames of shape {shape}, expected images (C, H, W) or features (D,)."
        )
    encoder, width = (None, shape[0]) if len(shape) == 1 else eyes(*shape[1:])
    tg.seed(args.seed)
    said = "\n".join(one for _, one in known.pairs())
    model = getattr(models, args.model)(
        text.Words.of(said, min_count=args.min_count), encoder, args.embedding, args.hidden,
        features=width, dropout=args.dropout, output_dropout=args.dropout,
    )  # fmt: skip
    batches = model.batches(known.images, known.captions, args.batch, shuffle=True, seed=args.seed)
    print(
        f"{len(known.names):,} clips with {len(known.pairs()):,} captions to learn from, "
        f"{len(kept.names) if kept else 0:,} to validate with; {len(model.vocabulary):,} words"
    )
    optimizer = optim.AdamW(model.parameters(), lr=args.rate)
    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), clip_norm=1.0
    )
    callbacks = [
        training.CSVLog(folder / "epochs.csv"),
        training.Checkpoints(folder / "checkpoints", every=args.save_every, keep=2),
    ]
    run.begin()  # all that may be wrong with it has been found
    history = trainer.fit(
        batches, args.epochs, resume=run.resumes,
        validation=model.batches(kept.images, kept.captions, args.batch) if kept else None,
        callbacks=callbacks,
    )  # fmt: skip
    model.save(folder / "model")
    if history.interrupted:
        print(f"interrupted after step {trainer.step}; go on with --out {folder} --resume")
        return
    run.finish()
    score(model, kept or known, args.beam)
    print(f"wrote {folder / 'model'}")


def score(model, clips: images.Captioned, beam: int) -> None:
    """Captions of some clips, and how good they are."""
    said = model.caption(clips.images, beam=beam)
    for name, one in list(zip(clips.names, said, strict=True))[:10]:
        print(f"{name}\t{one}")
    found = f"ROUGE-L {metrics.rouge_l(said, clips.captions):.1f}"
    found += f", CIDEr-D {metrics.cider_d(said, clips.captions):.2f}"
    try:
        found = f"BLEU {metrics.bleu(said, clips.captions, lower=True).score:.1f}, {found}"
    except ImportError as error:
        found += f" ({error})"
    print(f"{len(said):,} clips: {found}")


def use(args: argparse.Namespace, folder: Path) -> None:
    """Say what goes on in clips, or compare that with captions, by a model that was saved."""
    model = command.model_of(folder / "model", models.S2VT, models.MeanPooling)
    run = argparse.Namespace(**training.RunFolder(folder, {}, resume=True).settings)
    if args.evaluate:
        score(model, read(run, args.source, args.captions, args.split), args.beam)
    failed = 0
    for place in args.describe:
        try:
            found = read(run, place)
            said = model.caption(found.images, beam=args.beam)
        except (tg.errors.TinygradError, OSError) as error:
            print(f"{place}: {error}")
            failed += 1
            continue
        for name, one in zip(found.names, said, strict=True):
            print(f"{name}\t{one}", flush=True)
    if failed:
        sys.exit(f"video.py: {failed} of {len(args.describe)} could not be described")


# ----- the command -----


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("source", nargs="?", help="folders of frames, or features; none: films of moving shapes")
    add("captions", nargs="?", help="the file that says what is seen")
    add("--split", help="which clips of the file are learned from, or evaluated")
    add("--validation", help="which clips of the file are kept aside")
    add("--size", type=int, default=0, help="pixels of a side that frames are brought to")
    add("--model", choices=("S2VT", "MeanPooling"), default="S2VT", help="what says captions")
    for name, value, what in (
        ("out", "out/video", "the folder for everything that is written"),
        ("frames", 40, "the most frames of a clip, at equal distances"),
        ("min-count", 2, "words that come less often are unknown"),
        ("embedding", 128, "width of a word's vector"),
        ("hidden", 256, "width of the layers"),
        ("epochs", 20, "times that the clips are read"),
        ("batch", 32, "clips side by side"),
        ("save-every", 100, "steps from checkpoint to checkpoint"),
        ("seed", 0, "of all random numbers"),
        ("beam", 5, "captions of a clip that are followed"),
        ("rate", 1e-3, "learning rate"),
        ("dropout", 0.2, "share of vectors and of what layers give that is dropped"),
    ):
        add(f"--{name}", type=type(value), default=value, help=what)
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--anew", action="store_true", help="begin again, whatever is in --out")
    add("--evaluate", action="store_true", help="compare what the model in --out says of clips")
    add("--describe", nargs="+", default=[], metavar="PLACE", help="say what goes on in clips")
    args = command.parsed(parser)
    if (args.source is None) != (args.captions is None) or (args.evaluate and not args.source):
        parser.error("expected clips and a file of captions")
    for name in ("epochs", "batch", "beam", "frames"):
        if vars(args)[name] < 1:
            parser.error(f"--{name} is {vars(args)[name]}, expected a whole number from 1 up")
    if not (args.source or args.resume or args.describe):
        command.refuse(parser, args, "out seed", "is for clips of yours: give some")
    return args


@command.ended()
def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    if args.evaluate or args.describe:
        use(args, folder)
    elif args.source or args.resume:
        train(args, folder)
    else:
        learn(args.seed, command.made(folder))
        for name in ("films.html", "films.svg", "model"):
            print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
