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
import sys
import time
import zipfile
from pathlib import Path

import body
import gazing
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, models, nn, optim, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# Films, skeletons and faces to learn from; how many of each are asked.
FILMS, SKELETONS, FACES, ASKED = (8, 24, 16, 8) if SHORT else (600, 3_000, 3_000, 200)
# How often they are read: frames alone, layers over frames, gestures, next poses, faces.
EPOCHS = (1, 1, 1, 1, 1) if SHORT else (5, 20, 16, 12, 12)
AHEAD = 5  # frames that are forecast
EYES, HIDDEN, SMALL = (16, 16, 16) if SHORT else (128, 96, 64)  # widths
JOINTS, POINTS = len(body.JOINTS), len(gazing.POINTS)
LAYERS = {"cell": "LSTM", "bidirectional": True}  # of whatever may look ahead


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


def fitted(model, clips, targets, epochs: int, rate: float, size: int = 32, **how) -> float:
    """Train a model on clips, and what is to be said of them: how many seconds it took."""
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
    began = time.perf_counter()
    trainer.fit(batches, epochs, progress=False)
    return time.perf_counter() - began


def away(found, true) -> np.ndarray:
    """By how many centimetres joints are missed, of all frames of clips, (frames, J)."""
    pairs = zip(found, true, strict=True)
    return np.concatenate([100 * np.linalg.norm(a - b, axis=-1) for a, b in pairs])


def share(said, true) -> float:
    """How many labels are right, of clips or of their frames."""
    return float(np.mean(np.concatenate([np.ravel(one) for one in said]) == np.concatenate(
        [np.ravel(one) for one in true])))  # fmt: skip


# ----- films: joints and gestures in frames -----


class Films:
    """Films of bodies, each making two gestures, one after the other; and what is in them."""

    def __init__(self, seed: int) -> None:
        self.learned, self.asked = body.motions(FILMS, ASKED, seed, gestures=2)
        self.pictures, self.asked_pictures = (
            [film.picture().transpose(0, 3, 1, 2).copy() for film in films]
            for films in (self.learned, self.asked)
        )
        self.poses = [film.poses() for film in self.learned]
        self.asked_poses = [film.poses() for film in self.asked]
        self.hidden = np.concatenate([film.hidden() for film in self.asked])


def features(seen: nn.Module, clips: list[np.ndarray]) -> list[np.ndarray]:
    """What an encoder makes of each frame of clips."""
    seen.eval()
    with tg.no_grad():
        return [seen(clip.astype(np.float32) / 255).numpy() for clip in clips]


def find_joints(films: Films) -> tuple[dict, nn.Module, list]:
    """Joints in frames, by each frame alone and by layers that read them in their order."""
    seen = eyes(EYES)
    alone = models.VideoJoints(JOINTS, 2, seen, HIDDEN, features=EYES, cell=None)
    frames, poses = (list(np.concatenate(some)[:, None]) for some in (films.pictures, films.poses))
    alone.out.bias.assign_(np.mean(poses, axis=(0, 1)).ravel())
    seconds = fitted(alone, frames, poses, EPOCHS[0], 4e-3, size=64)  # clips of a frame each
    known, asked = features(seen, films.pictures), features(seen, films.asked_pictures)
    layers = models.VideoJoints(JOINTS, 2, None, HIDDEN, features=EYES, **LAYERS)
    seconds += fitted(layers, known, films.poses, EPOCHS[1], 5e-3, size=16)
    found = {"frame alone": alone.joints(films.asked_pictures), "layers": layers.joints(asked)}
    errors = {}
    print(f"joints in frames, off by cm on average; {seconds:.0f} s      seen   hidden by a post")
    for name, poses in found.items():
        missed = away(poses, films.asked_poses)
        errors[name] = [float(missed[~films.hidden].mean()), float(missed[films.hidden].mean())]
        print("{:>46} {:8.1f} {:18.1f}".format(name, *errors[name]))
    return errors, (known, asked), found["layers"]


def label_frames(films: Films, known, asked) -> tuple[dict, list]:
    """What is being done in each frame, by each alone and by layers, from the same features."""
    told, true = ([film.labels() for film in some] for some in (films.learned, films.asked))
    right = {}
    for name, how in {"no order": {"cell": None}, "layers": LAYERS}.items():
        model = models.VideoLabels(
            body.GESTURES, None, HIDDEN, features=EYES, of="frame", dropout=0.2, **how
        )
        fitted(model, known, told, EPOCHS[1], 5e-3, size=16)
        said = model.labels(asked)
        right[name] = share(said, true)
    print("gestures in frames, right: " + written(right))
    return right, said


def written(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1%}" for name, value in shares.items())


# ----- skeletons: gestures, and what comes next -----


class Skeletons:
    """Bodies that make one gesture each, as poses, whole and with gaps."""

    def __init__(self, seed: int) -> None:
        self.learned, self.asked = body.motions(SKELETONS, ASKED, seed + 1)
        random = np.random.default_rng(seed)
        self.whole, self.asked_whole = (
            [one.poses() for one in some] for some in (self.learned, self.asked)
        )
        self.poses, self.asked_poses = (
            [body.with_gaps(poses, random) for poses in some]
            for some in (self.whole, self.asked_whole)
        )


def name_gestures(skeletons: Skeletons) -> dict:
    """What a skeleton does, by layers, and by the mean of frames, which have no order there."""
    told, true = ([one.gestures[0] for one in s] for s in (skeletons.learned, skeletons.asked))
    right = {}
    for name, cell in {"no order": None, "layers": "LSTM"}.items():
        reads = models.PoseFeatures(JOINTS, 2, SMALL)
        model = models.VideoLabels(body.GESTURES, reads, SMALL, features=SMALL, cell=cell)
        fitted(model, skeletons.poses, told, EPOCHS[2], 1e-2)
        right[name] = share(model.labels(skeletons.asked_poses), true)
    print("gestures of skeletons, right: " + written(right))
    return right


def forecast(skeletons: Skeletons) -> tuple[dict, list]:
    """The next poses, of skeletons that are whole and of those with gaps."""
    model = models.PoseForecast(JOINTS, 2, HIDDEN + 32)
    whole, gaps = ([poses[:-AHEAD] for poses in some]
                   for some in (skeletons.asked_whole, skeletons.asked_poses))  # fmt: skip
    ahead = np.arange(1, AHEAD + 1)[:, None, None]
    found = {  # before it has learned the model repeats the last pose
        "repeat the last pose": model.forecast(whole, AHEAD),
        "go on as it went": [x[-1] + ahead * (x[-1] - x[-2]) for x in whole],
        "repeat, with gaps": model.forecast(gaps, AHEAD),
    }
    fitted(model, skeletons.poses, None, EPOCHS[3], 4e-3, size=64, ahead=AHEAD)
    found |= {
        "layers": model.forecast(whole, AHEAD),
        "layers, with gaps": model.forecast(gaps, AHEAD),
    }
    true = np.stack([poses[-AHEAD:] for poses in skeletons.asked_whole])
    errors = {}
    print(f"next poses, off by cm after 1 to {AHEAD} frames")
    for name, poses in found.items():
        each = 100 * np.linalg.norm(np.stack(poses) - true, axis=-1)
        errors[name] = each.mean(axis=(0, 2)).tolist()
        print(f"{name:>46} " + " ".join(f"{error:5.1f}" for error in errors[name]))
    return errors, found["layers"]


# ----- faces: where somebody looks -----


def follow_gaze(seed: int) -> tuple[dict, dict]:
    """Directions from points of a face, by each frame alone, by layers, and by the head."""
    learned, asked = gazing.looks(FACES, seed), gazing.looks(ASKED, seed + 10_000)
    blinks = np.concatenate([one.blinks() for one in asked])
    seen, looked = ([getattr(one, of) for one in learned] for of in ("points", "directions"))
    alone = models.GazeDirections(
        models.PoseFeatures(POINTS, 2, SMALL), SMALL, features=SMALL, cell=None
    )
    fitted(alone, seen, looked, EPOCHS[4], 8e-3)
    knows = nn.Sequential(alone.encoder, alone.alone, nn.ReLU())  # what it makes of a frame
    found = {"where the head points": [one.head for one in asked]}
    points = [one.points for one in asked]
    found["frame alone"] = alone.directions(points)
    layers = models.GazeDirections(knows, SMALL, features=SMALL, **LAYERS)
    fitted(layers, seen, looked, EPOCHS[4], 8e-3)
    found["layers"] = layers.directions(points)
    errors = {}
    print("where somebody looks, off by degrees           eyes open   blinking   within 5 degrees")
    for name, directions in found.items():
        pairs = zip(directions, asked, strict=True)
        off = np.concatenate([gazing.degrees(g, one.directions) for g, one in pairs])
        errors[name] = [float(part.mean()) for part in (off[~blinks], off[blinks], off < 5)]
        print("{:>46} {:9.1f} {:10.1f} {:18.1%}".format(name, *errors[name]))
    return errors, {"true": [one.directions for one in asked], **found}


# ----- all of it -----


def learn(seed: int, folder: Path | None = None) -> dict:
    """All of it, with simulated bodies: how good it was; drawn into a folder."""
    tg.seed(seed)
    films, skeletons = Films(seed), Skeletons(seed)
    print(
        f"{FILMS:,} films, {SKELETONS:,} skeletons and {FACES:,} faces to learn from; "
        f"{ASKED} others of each that are asked"
    )
    joints, (known, asked), poses = find_joints(films)
    framed, said = label_frames(films, known, asked)
    named = name_gestures(skeletons)
    gestures = {name: [framed[name], named[name]] for name in framed}
    after, next_poses = forecast(skeletons)
    gaze, directions = follow_gaze(seed)
    if folder is not None:
        draw(folder, films, poses, said, skeletons, next_poses, directions)
    return {"joints": joints, "gestures": gestures, "next poses": after, "gaze": gaze}


def draw(folder, films, poses, said, skeletons, next_poses, directions) -> None:
    """A page of what was asked and found, and its pictures by themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    picked = {one.gestures[0]: n for n, one in reversed(list(enumerate(skeletons.asked)))}
    moving = [ahead_of(skeletons, n, next_poses[n]) for n in sorted(picked.values())]
    strips = [
        inspect.FilmStrip(film.picture(80), {"": str(film)}, labels=said[n])
        for n, film in enumerate(films.asked[:8])
    ]
    behind = [
        inspect.Skeleton({"true": films.asked_poses[n], "found": poses[n]}, body.BONES, str(film))
        for n, film in enumerate(films.asked[:8])
    ]
    note = (
        "What was asked was never learned: bodies that make a gesture at a speed at which they "
        "were not seen to make it. Silhouettes are what happened, lines what was forecast or found."
    )
    figures = {
        "What was found to go on in each frame": inspect.picture_of_films(strips),
        "Joints that were found in these films": inspect.picture_of_skeletons(behind, strips=True),
        "Where somebody looks": chart(directions),
    }
    page = inspect.page_of_skeletons(moving, note=note, figures=figures)
    (folder / "motion.html").write_text(page, "utf-8")
    for name, picture in {
        "next_poses": inspect.picture_of_skeletons(moving[:6], columns=6),
        "gestures": inspect.picture_of_films(strips[:3]),
        "gaze": chart(directions),
    }.items():
        (folder / f"{name}.svg").write_text(picture, "utf-8")


def ahead_of(skeletons: Skeletons, number: int, found: np.ndarray) -> inspect.Skeleton:
    """A body in motion, with what was forecast over its last frames."""
    true = skeletons.asked_whole[number]
    shown = np.full_like(true, np.nan)
    shown[-AHEAD:] = found
    return inspect.Skeleton(
        {"true": true, "forecast": shown}, body.BONES, str(skeletons.asked[number]), rate=8
    )


def chart(directions: dict) -> str:
    """Angles to the side of one that blinks, frame by frame, as they were and were found."""
    lines = []
    for number, (name, found) in enumerate(directions.items()):
        across = np.degrees(np.arctan2(found[0][:, 0], found[0][:, 2]))
        dots = name == "frame alone"
        lines.append(inspect.Line(name, np.arange(len(across)), across, number, not number, dots))
    return inspect.Chart(
        "Where somebody looks, to the side", "frame", "degrees", lines, width=760
    ).svg()


# ----- poses of yours -----


def read(args: argparse.Namespace) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Sequences of poses by name, and what is done in them; what cannot be used is said."""
    if not zipfile.is_zipfile(args.poses) and Path(args.poses).exists():
        raise tg.errors.ArgumentError(
            f"{args.poses} is no .npz file of arrays, as np.savez writes."
        )
    with np.load(args.poses, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    labels = {}
    if args.labels:
        rows = Path(args.labels).read_text("utf-8").splitlines()
        labels = dict(row.split("\t")[:2] for row in rows if row.count("\t"))
    shape = next((a.shape[1:] for a in found.values() if a.ndim == 3), None)
    out = {
        name: "shape " + str(array.shape)
        for name, array in found.items()
        if array.ndim != 3 or array.shape[1:] != shape or len(array) < 2
    }
    out |= {
        name: "no joint is known"
        for name in found.keys() - out.keys()
        if not np.isfinite(found[name]).all(axis=-1).any()
    }
    if args.labels:
        out |= dict.fromkeys(found.keys() - out.keys() - labels.keys(), "has no label")
    if out:
        several = ", ".join(f"{name} ({why})" for name, why in sorted(out.items())[:5])
        print(f"left out, {len(out)} of {len(found)}: {several}")
    used = {name: array.astype(np.float32) for name, array in found.items() if name not in out}
    if len(used) < 2:
        raise tg.errors.ArgumentError(
            f"{args.poses} has {len(used)} sequences that can be used, expected two or more: "
            "arrays (T, joints, dimensions) of two frames or more, of one shape but for T."
        )
    return used, labels


def train(args: argparse.Namespace, folder: Path) -> None:
    """Learn from poses of one's own, and say how good it is on those kept aside."""
    poses, labels = read(args)
    names = sorted(poses)
    np.random.default_rng(args.seed).shuffle(names)
    kept = names[: max(1, len(names) // 10)]
    learned = names[len(kept) :]
    tg.seed(args.seed)
    J, D = poses[names[0]].shape[1:]
    print(f"{len(learned):,} sequences to learn from, {len(kept):,} kept aside; {J} joints")
    model = models.PoseForecast(J, D, args.hidden)
    long = [name for name in kept if len(poses[name]) > args.ahead]
    repeated = missed(model, [poses[name] for name in long], args.ahead)
    fitted(model, [poses[n] for n in learned], None, args.epochs, args.rate, ahead=args.ahead)
    if long:
        after = missed(model, [poses[name] for name in long], args.ahead)
        print(f"next {args.ahead} poses: off by {after:.4g}; repeat the last pose {repeated:.4g}")
    folder.mkdir(parents=True, exist_ok=True)
    training.save_model(folder / "forecast.safetensors", model)
    print(f"wrote {folder / 'forecast.safetensors'}")
    if labels:
        known = sorted({labels[name] for name in names})
        reads = models.PoseFeatures(J, D, args.hidden)
        model = models.VideoLabels(known, reads, args.hidden, features=args.hidden)
        told = [labels[name] for name in learned]
        fitted(model, [poses[n] for n in learned], told, args.epochs, args.rate)
        right = share(model.labels([poses[n] for n in kept]), [labels[n] for n in kept])
        most = max(told.count(label) for label in known) / len(told)
        print(f"labels: {right:.1%} right; the most usual one has {most:.1%}")
        training.save_model(folder / "labels.safetensors", model)
        print(f"wrote {folder / 'labels.safetensors'}")


def missed(model: models.PoseForecast, clips: list[np.ndarray], ahead: int) -> float:
    """By how much next poses are missed on average, in the unit that they have."""
    if not clips:
        return float("nan")
    found = model.forecast([clip[:-ahead] for clip in clips], ahead)
    true = np.stack([clip[-ahead:] for clip in clips])
    return float(np.nanmean(np.linalg.norm(np.stack(found) - true, axis=-1)))


# ----- the command -----


class AsWritten(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Help with the lines of this file's beginning, and what arguments are if not given."""


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=AsWritten)
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
    args = parser.parse_args()
    for name in ("ahead", "hidden", "epochs"):
        if vars(args)[name] < 1:
            parser.error(f"--{name} is {vars(args)[name]}, expected a whole number from 1 up")
    return args


def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    try:
        if args.poses:
            train(args, folder)
        else:
            learn(args.seed, folder)
            print(f"wrote {folder / 'motion.html'}")
    except (tg.errors.TinygradError, OSError, ValueError) as error:
        sys.exit(f"motion.py: {error}")
    except KeyboardInterrupt:
        sys.exit("\nmotion.py: interrupted")


if __name__ == "__main__":
    main()
