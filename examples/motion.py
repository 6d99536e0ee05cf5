"""Learn what bodies do: joints in frames, gestures, what comes next, and where somebody looks.

    pose of t = h_t w + b                          h: layers over what a CNN makes of each frame
    P(gesture of t) = softmax(h_t w + b)           CNN -> LSTM -> softmax, at every frame
    x_{t+1} = x_t + h_t w + b                      the next pose, each from the one forecast before
    g_t = o_t / |o_t|,  o_t = h_t w + b            a direction

Without arguments it learns, in two to three minutes, from simulated bodies (body.py), in films
where posts hide parts of them and as skeletons of which joints are lost, and from faces that look
around (gazing.py). It is asked about others: bodies that make a gesture at a speed at which they
were never seen to make it, and faces of other people. Beside each model learns one that does not
know the order of frames, or answers by what was last. With arguments it learns from poses of
yours, an .npz file of arrays (T, joints, dimensions) with NaN where a joint is missing:

    motion.py poses.npz --ahead 10 --out out/mine          the next ten poses of each sequence
    motion.py poses.npz labels.tsv                         and what is done: name<TAB>label

The folder of --out gets ``motion.html``, animations of bodies with what is forecast over them,
films with what was found in each frame, and a chart of where somebody looks.
"""

import argparse
import os
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import body
import command
import gazing
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, models, nn, optim, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# So many to learn from, so many others that are asked.
FILMS, SKELETONS, FACES = (600, 200), (3_000, 600), (3_000, 600)
# Times that they are read: frames by the encoder, films by layers, and the others.
EPOCHS = {"frames": 5, "films": 20, "gestures": 16, "next": 12, "faces": 12}
if SHORT:
    FILMS, SKELETONS, FACES, EPOCHS = (8, 6), (24, 8), (16, 8), dict.fromkeys(EPOCHS, 1)
AHEAD = 5  # frames that are forecast
EYES, HIDDEN, SMALL = (16, 16, 16) if SHORT else (128, 96, 64)  # widths
JOINTS = len(body.JOINTS)
LAYERS = {"cell": "LSTM", "bidirectional": True}  # of whatever may look ahead
WAYS = {"frame alone": {"cell": None}, "layers": LAYERS}  # to read what is seen in each frame


def eyes(width: int) -> nn.Module:
    """What looks at frames (N, 3, 32, 32), and makes ``width`` numbers of each."""

    def layer(below: int, above: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        convolution = nn.Conv2d(below, above, kernel, stride, kernel // 2, bias=False)
        return [convolution, nn.BatchNorm(above), nn.ReLU()]

    places = body.PIXELS // 8
    return nn.Sequential(
        *layer(3, 24, 5, stride=2), nn.MaxPool2d(2),
        *layer(24, 48, 3), *layer(48, 48, 3), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(48 * places**2, width), nn.ReLU(),
    )  # fmt: skip


def fit(model, clips, targets, epochs: int, rate: float, size: int = 32, **how) -> None:
    """Train a model on clips, and what is to be said of them."""
    fields = (clips,) if targets is None else (clips, targets)
    batches = data.Batches(
        fields, size, shuffle=True, collate=lambda rows: tuple(zip(*rows, strict=True))
    )
    optimizer = optim.AdamW(model.parameters(), lr=rate)
    steps = max(epochs * len(batches), 20)
    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch, **how), clip_norm=1.0,
        schedule=optim.schedules.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2),
    )  # fmt: skip
    if trainer.fit(batches, epochs, progress=not SHORT).interrupted:
        raise KeyboardInterrupt


# ----- films: joints and gestures in frames -----


def in_films(seed: int) -> tuple[dict, dict[str, str]]:
    """Joints, and gestures, in every frame of films in which posts hide parts of a body."""
    tg.seed(seed)
    learned, asked = body.motions(*FILMS, seed, gestures=2)
    shown, others = (
        [film.picture().transpose(0, 3, 1, 2).copy() for film in films]
        for films in (learned, asked)
    )
    poses, true = ([film.poses() for film in films] for films in (learned, asked))
    seen = eyes(EYES)
    looks = models.VideoJoints(JOINTS, 2, seen, HIDDEN, features=EYES, cell=None)
    mean = np.concatenate(poses).mean(axis=0).ravel()  # with which all begin
    looks.out.bias.assign_(mean)
    frames = [list(np.concatenate(some)[:, None]) for some in (shown, poses)]  # clips of one each
    fit(looks, *frames, EPOCHS["frames"], 5e-3, size=64)
    known, given = features(seen, shown), features(seen, others)
    found = {}
    for name, way in WAYS.items():
        model = models.VideoJoints(JOINTS, 2, None, HIDDEN, features=EYES, **way)
        model.out.bias.assign_(mean)
        fit(model, known, poses, EPOCHS["films"], 5e-3, size=16)
        found[name] = model.joints(given)
    hidden = np.concatenate([film.hidden() for film in asked])
    missed = {}
    for name, some in found.items():
        pairs = zip(some, true, strict=True)
        off = np.concatenate([100 * np.linalg.norm(a - b, axis=-1) for a, b in pairs])
        missed[name] = [float(off[~hidden].mean()), float(off[hidden].mean())]
    tell("joints in films, off by cm", ("seen", "behind a post"), missed)

    told, done = ([film.labels() for film in films] for films in (learned, asked))
    right, said = {}, []
    for name, way in WAYS.items():
        model = models.VideoLabels(
            body.GESTURES, None, HIDDEN, features=EYES, of="frame", dropout=0.2, **way
        )
        fit(model, known, told, EPOCHS["films"], 5e-3, size=16)
        said = model.labels(given)
        right[name] = [float(np.mean(np.concatenate(said) == np.concatenate(done)))]
    tell("gestures in films", ("right",), right, "{:.1%}")
    strips, bodies = [], []
    for n, film in enumerate(asked[:6]):
        picture, labels = film.picture(64, noise=0.0)[::2], said[n][::2]
        strips.append(inspect.FilmStrip(picture, {"": str(film)}, labels=labels))
        tracks = {"true": true[n], **{name: some[n] for name, some in found.items()}}
        bodies.append(inspect.Skeleton(tracks, body.BONES, str(film)))
    return {"joints": missed, "gestures in films": right}, {
        "gestures": inspect.picture_of_films(strips),
        "joints": inspect.picture_of_skeletons(bodies, strips=True),
    }


def features(seen: nn.Module, clips: list[np.ndarray]) -> list[np.ndarray]:
    """What an encoder makes of each frame of clips."""
    seen.eval()
    with tg.no_grad():
        return [seen(clip.astype(np.float32) / 255).numpy() for clip in clips]


# ----- skeletons: gestures, and what comes next -----


def of_skeletons(seed: int) -> tuple[dict, dict[str, str]]:
    """What skeletons do of which joints are lost, and what they will do next."""
    tg.seed(seed)
    random = np.random.default_rng(seed)
    learned, asked = body.motions(*SKELETONS, seed + 1)
    whole = [one.poses() for one in asked]
    gaps = [body.with_gaps(poses, random) for poses in whole]
    known = [body.with_gaps(one.poses(), random) for one in learned]
    told, done = ([one.gestures[0] for one in some] for some in (learned, asked))
    right = {}
    for name, cell in {"mean of frames": None, "layers": "LSTM"}.items():
        reads = models.PoseFeatures(JOINTS, 2, SMALL)
        namer = models.VideoLabels(body.GESTURES, reads, SMALL, features=SMALL, cell=cell)
        fit(namer, known, told, EPOCHS["gestures"], 1e-2)
        right[name] = [float(np.mean(np.array(namer.labels(gaps)) == done))]
    tell("gestures of skeletons", ("right",), right, "{:.1%}")

    model = models.PoseForecast(JOINTS, 2, HIDDEN + 32)
    read = {
        "": [poses[:-AHEAD] for poses in whole],
        ", joints lost": [poses[:-AHEAD] for poses in gaps],
    }
    ahead = np.arange(1, AHEAD + 1)[:, None, None]
    found = {"go on as it went": [x[-1] + ahead * (x[-1] - x[-2]) for x in read[""]]}
    for given, clips in read.items():  # before it has learned the model repeats the last pose
        found[f"the last pose{given}"] = model.forecast(clips, AHEAD)
    fit(model, known, None, EPOCHS["next"], 4e-3, size=64, ahead=AHEAD)
    for given, clips in read.items():
        found[f"layers{given}"] = model.forecast(clips, AHEAD)
    true = np.stack([poses[-AHEAD:] for poses in whole])
    missed = {
        name: (100 * np.linalg.norm(np.stack(poses) - true, axis=-1).mean(axis=(0, 2))).tolist()
        for name, poses in found.items()
    }
    tell("next poses, off by cm", [f"{n} ahead" for n in range(1, AHEAD + 1)], missed)
    first = sorted({one.gestures[0]: n for n, one in reversed(list(enumerate(asked)))}.values())
    bodies = []
    for n in first:
        shown = np.full_like(whole[n], np.nan)
        shown[-AHEAD:] = found["layers"][n]
        tracks = {"true": whole[n], "forecast": shown}
        bodies.append(inspect.Skeleton(tracks, body.BONES, str(asked[n]), rate=8))
    pictures = {"next_poses": inspect.picture_of_skeletons(bodies, columns=4)}
    return {"gestures of skeletons": right, "next poses": missed}, pictures


# ----- faces: where somebody looks -----


def of_faces(seed: int) -> tuple[dict, dict[str, str]]:
    """Where somebody looks, from points of a face: by each frame alone, by layers, by the head."""
    tg.seed(seed)
    learned, asked = gazing.looks(FACES[0], seed), gazing.looks(FACES[1], seed + 10_000)
    seen, looked = ([getattr(one, of) for one in learned] for of in ("points", "directions"))
    reads = models.PoseFeatures(len(gazing.POINTS), 2, SMALL)
    alone = models.GazeDirections(reads, SMALL, features=SMALL, cell=None)
    fit(alone, seen, looked, EPOCHS["faces"], 8e-3)
    knows = nn.Sequential(alone.encoder, alone.alone, nn.ReLU())  # what it makes of a frame
    found = {"true": [one.directions for one in asked], "the head": [one.head for one in asked]}
    found["frame alone"] = alone.directions([one.points for one in asked])
    layers = models.GazeDirections(knows, SMALL, features=SMALL, **LAYERS)
    fit(layers, seen, looked, EPOCHS["faces"], 8e-3)
    found["layers"] = layers.directions([one.points for one in asked])
    blinks = np.concatenate([one.blinks() for one in asked])
    missed = {}
    for name in ("the head", "frame alone", "layers"):
        pairs = zip(found[name], found["true"], strict=True)
        off = np.concatenate([gazing.degrees(a, b) for a, b in pairs])
        missed[name] = [float(x.mean()) for x in (off[~blinks], off[blinks], 100 * (off < 5))]
    tell("gaze, off by degrees", ("eyes open", "blinking", "% within 5"), missed)
    each = [
        gazing.degrees(a, b).mean() for a, b in zip(found["layers"], found["true"], strict=True)
    ]
    typical = int(np.argsort(each)[len(each) // 2])  # somebody of whom it is as good as usual
    lines = []
    for number, (name, some) in enumerate(found.items()):
        across = np.degrees(np.arctan2(some[typical][:, 0], some[typical][:, 2]))
        frames, dots = np.arange(len(across)), name == "frame alone"
        lines.append(inspect.Line(name, frames, across, number, name == "the head", dots))
    lids = np.flatnonzero(asked[typical].blinks())
    low = min(line.y.min() for line in lines) - 5
    lines.append(inspect.Line("blinks", lids, np.full(len(lids), low), 6, dots=True))
    chart = inspect.Chart("Where somebody looks", "frame", "degrees to the side", lines, width=760)
    return {"gaze": missed}, {"gaze": chart.svg()}


# ----- all of it -----

PARTS = in_films, of_skeletons, of_faces
SHOWN = {
    "next_poses": "Bodies in motion, and what was forecast of their last frames",
    "gestures": "What was found to go on in each frame of films",
    "joints": "Joints that were found in these films, also behind the posts",
    "gaze": "Where somebody looks, and what each frame alone and layers make of it",
}


def tell(what: str, columns, rows: dict[str, list[float]], form: str = "{:.1f}") -> None:
    """A table of some figures by name."""
    print(f"{what:<26}" + "".join(f"{column:>14}" for column in columns))
    for name, numbers in rows.items():
        print(f"{name:>26}" + "".join(f"{form.format(number):>14}" for number in numbers))


def learn(seed: int, folder: Path) -> None:
    """All of it, with simulated bodies and faces, and its pictures into a folder."""
    for what, (learned, asked) in {
        "films": FILMS, "skeletons": SKELETONS, "faces": FACES
    }.items():  # fmt: skip
        print(f"{learned:,} {what} to learn from, {asked} others that are asked")
    pictures = {}
    for part in PARTS:
        pictures |= part(seed)[1]
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(picture, "utf-8")
    note = (
        "What was asked was never learned: bodies that make a gesture at a speed at which they "
        "were not seen to make it. Silhouettes are what happened, lines what was forecast or found."
    )
    figures = {SHOWN[name]: pictures[name] for name in SHOWN}
    page = inspect.page_of_skeletons([], note=note, figures=figures)
    (folder / "motion.html").write_text(page, "utf-8")


# ----- poses of yours -----


def read(args: argparse.Namespace) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Sequences of poses by name, and what is done in them; what cannot be used is said."""
    if not zipfile.is_zipfile(args.poses) and Path(args.poses).exists():
        raise tg.errors.ArgumentError(
            f"{args.poses} is no .npz file of arrays, as np.savez writes."
        )
    found, out = {}, {}
    with np.load(args.poses, allow_pickle=False) as file:
        names = file.files
        for name in names:
            try:
                found[name] = file[name]
            except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                out[name] = f"cannot be read: {error}"
    labels = labels_of(args.labels) if args.labels else {}
    shapes = Counter(a.shape[1:] for a in found.values() if a.ndim == 3 and a.dtype.kind in "iuf")
    usual = shapes.most_common(1)[0][0] if shapes else None
    for name, array in found.items():
        if array.dtype.kind not in "iuf":
            out[name] = f"holds {array.dtype}"
        elif array.ndim != 3 or array.shape[1:] != usual or len(array) < 2:
            out[name] = f"shape {array.shape}"
        elif not known_in(array).any():
            out[name] = "no joint is known"
        elif not known_in(array[1:]).any():
            out[name] = "no joint is known behind its first frame"
        elif args.labels and name not in labels:
            out[name] = "has no label"
    if out:
        several = ", ".join(f"{name} ({why})" for name, why in sorted(out.items())[:5])
        print(f"left out, {len(out)} of {len(names)}: {several}")
    used = {name: array.astype(np.float32) for name, array in found.items() if name not in out}
    if len(used) < 2:
        raise tg.errors.ArgumentError(
            f"{args.poses} has {len(used)} sequences that can be used, expected two or more: "
            "arrays (T, joints, dimensions) of two frames or more, of one shape but for T"
            f"{', each with a label' if args.labels else ''}."
        )
    if args.labels and len({labels[name] for name in used}) < 2:
        raise tg.errors.ArgumentError(
            f"{args.labels} has one label for all sequences, expected two or more."
        )
    return used, labels


def known_in(poses: np.ndarray) -> np.ndarray:
    """Which joints are known in each frame (T, joints)."""
    with np.errstate(over="ignore"):  # what no float32 can hold is not known
        return np.isfinite(poses.astype(np.float32)).all(axis=-1)


def labels_of(path: str) -> dict[str, str]:
    """Labels by name; lines without either are said."""
    try:
        lines = Path(path).read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise tg.errors.ArgumentError(f"{path} is no text in UTF-8: {error}.") from None
    rows = [[cell.strip() for cell in line.split("\t")] for line in lines if line.strip()]
    right = [row for row in rows if len(row) > 1 and row[0] and row[1]]
    if len(right) < len(rows):
        print(f"{path}: left out, lines without name, tab, label: {len(rows) - len(right)}")
    return {name: label for name, label, *_ in right}


def train(args: argparse.Namespace, folder: Path) -> None:
    """Learn from poses of one's own, and say how good it is on those kept aside."""
    tg.seed(args.seed)
    poses, labels = read(args)
    names = sorted(poses)
    np.random.default_rng(args.seed).shuffle(names)
    kept = names[: max(1, len(names) // 10)]
    learned = names[len(kept) :]
    J, D = poses[names[0]].shape[1:]
    print(f"{len(learned):,} sequences to learn from, {len(kept):,} kept aside; {J} joints")
    model = models.PoseForecast(J, D, args.hidden)
    command.made(folder)  # all that may be wrong has been found
    long = [
        name
        for name in kept
        if known_in(poses[name][: -args.ahead]).any() and known_in(poses[name][-args.ahead :]).any()
    ]
    repeated = off_by(model, [poses[name] for name in long], args.ahead)
    fit(model, [poses[n] for n in learned], None, args.epochs, args.rate, ahead=args.ahead)
    if long:
        after = off_by(model, [poses[name] for name in long], args.ahead)
        print(f"next {args.ahead} poses: off by {after:.4g}; repeat the last pose {repeated:.4g}")
    else:
        print(
            f"none kept aside is longer than --ahead {args.ahead}, with joints that are known in "
            "both parts: nothing to compare with"
        )
    training.save_model(folder / "forecast.safetensors", model)
    print(f"wrote {folder / 'forecast.safetensors'}")
    if labels:
        known = sorted({labels[name] for name in names})
        reads = models.PoseFeatures(J, D, args.hidden)
        model = models.VideoLabels(known, reads, args.hidden, features=args.hidden)
        told = [labels[name] for name in learned]
        fit(model, [poses[n] for n in learned], told, args.epochs, args.rate)
        said = model.labels([poses[n] for n in kept])
        right = np.mean([label == labels[n] for label, n in zip(said, kept, strict=True)])
        most = max(told.count(label) for label in known) / len(told)
        print(f"labels: {right:.1%} of {len(kept):,} right; the most usual one has {most:.1%}")
        training.save_model(folder / "labels.safetensors", model)
        print(f"wrote {folder / 'labels.safetensors'}")


def off_by(model: models.PoseForecast, clips: list[np.ndarray], ahead: int) -> float:
    """By how much next poses are missed on average, in the unit that they have."""
    if not clips:
        return float("nan")
    found = model.forecast([clip[:-ahead] for clip in clips], ahead)
    true = np.stack([clip[-ahead:] for clip in clips])
    return float(np.nanmean(np.linalg.norm(np.stack(found) - true, axis=-1)))


# ----- the command -----


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("poses", nargs="?", help="sequences of poses, .npz; none: simulated bodies")
    add("labels", nargs="?", help="what is done in them: name, a tab, label")
    for name, value, what in (
        ("out", "out/motion", "the folder for everything that is written"),
        ("ahead", 10, "poses that are forecast"),
        ("hidden", 128, "width of the layers"),
        ("epochs", 20, "times that the poses are read"),
        ("seed", 0, "of all random numbers"),
        ("rate", 4e-3, "learning rate"),
    ):
        add(f"--{name}", type=type(value), default=value, help=what)
    args = command.parsed(parser)
    if not args.poses:
        command.refuse(parser, args, "out seed", "is for poses of yours: give some")
    for name in ("ahead", "hidden", "epochs"):
        if vars(args)[name] < 1:
            parser.error(f"--{name} is {vars(args)[name]}, expected a whole number from 1 up")
    return args


@command.ended(ValueError)
def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    if args.poses:
        train(args, folder)
    else:
        learn(args.seed, command.made(folder))
        print(f"wrote {folder / 'motion.html'}")


if __name__ == "__main__":
    main()
