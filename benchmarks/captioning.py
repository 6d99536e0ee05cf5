"""Captions of drawn scenes: ways to tell layers of an image, and where attention looks.

The example's scenes, encoder and settings; each scene that is asked has a combination of size,
colour, shape and place that was never learned. A run takes minutes, all of them an hour, so it can
be done in pieces: what a run came to stays in a folder, its checkpoints beside it, and what is
there is not run again. The table is made of what is there.

    python benchmarks/captioning.py --folder runs --seeds 3
    python benchmarks/captioning.py --folder runs --seconds 180     and again, until all is done
    TINYGRAD_CAPTIONING=runs python benchmarks/run.py captioning    the table, of what is there
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from pieces import Until, spread
from table import show, table

import tinygrad_rnn as tg
from tinygrad_rnn import metrics, models, nn, text, training

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import caption
import scenes

KINDS = {
    "bag": "a bag: the mean of all places, borders and coordinates left out",
    "vector": "one vector, read at every step",
    "spatial": "all places at once, h_0 and c = h_0: no attention",
    "soft": "soft attention",
    "hard": "hard attention, by REINFORCE",
}
VECTOR = 256
BAR = (
    "Bars: 95 % exact, under 70 % for the bag. Exact: word for word one of the eight captions that "
    "are true of the scene. 500 scenes, each with a combination of size, colour, shape and place "
    "that was never learned; encoder and captioner learn together from the same scenes, as often. "
    "Looks: of the words that describe a thing those at which the place that is looked at most is "
    "on it; beside it the share of all places that are."
)


def model_of(kind: str, args: argparse.Namespace, words: text.Vocabulary) -> models.Captioner:
    """A captioner of the example's sizes."""
    places = (args.width, scenes.PIXELS // 8, scenes.PIXELS // 8)
    eyes = caption.Eyes(args.width, bag=kind == "bag")
    if kind == "bag":
        encoder, shape, image = eyes, args.width, "every"
    elif kind == "vector":
        read = nn.Linear(int(np.prod(places)), VECTOR)
        encoder, shape, image = nn.Sequential(eyes, nn.Flatten(), read, nn.ReLU()), VECTOR, "every"
    else:
        encoder, shape, image = eyes, places, kind
    return models.Captioner(
        words, encoder, args.embedding, args.hidden, features=shape, image=image,
        doubly_stochastic=args.doubly_stochastic, word_asks=True,
    )  # fmt: skip


def run(folder: Path, kind: str, seed: int, seconds: float) -> dict[str, float] | None:
    """Go on with a run for so long: what it came to, or None if it is not over."""
    args = caption.arguments(["--seed", str(seed)])
    (pictures, told), (others, true) = caption.examples(args)
    words = text.Words.of("\n".join(map("\n".join, told)))
    tg.seed(seed)
    model = model_of(kind, args, words)
    learns = model.batches(pictures, told, args.batch, shuffle=True, seed=seed)
    trainer = caption.trainer_of(args, model, args.epochs * len(learns))
    checkpoints = training.Checkpoints(folder / f"{kind}-{seed}", every=200, keep=1)
    history = trainer.fit(
        learns, args.epochs, resume=True, callbacks=[checkpoints, Until(seconds)], progress=False
    )
    print(f"{kind}, seed {seed}: step {trainer.step}", flush=True)
    if history.stopped or history.interrupted:
        return None
    found = {"seconds": sum(logs["seconds"] for logs in history.epochs)}
    for beam in (1, 3):
        said = model.caption(others, beam=beam)
        found[f"beam {beam}"] = metrics.exact_match(said, true)
    if kind in ("soft", "hard"):
        said = model.caption(others)
        looks = model.attention(others, [words.encode(one) for one in said])
        asked = scenes.scenes(0, caption.ASKED, seed)[1]
        pointed = np.concatenate(
            [scenes.pointed(*one) for one in zip(asked, said, looks, strict=True)]
        )
        found["looks"], found["chance"] = pointed.mean(axis=0).tolist()
    return found


def train(folder: Path, seeds: int, seconds: float) -> None:
    """Run what is not there yet, for so long."""
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for seed in range(seeds):
        for kind in KINDS:
            done = folder / f"{kind}-{seed}.json"
            if done.exists() or time.monotonic() > end:
                continue
            found = run(folder, kind, seed, end - time.monotonic())
            if found is not None:
                print(f"{kind}, seed {seed}: {found}", flush=True)
                done.write_text(json.dumps(found))


# ----- the table -----


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_CAPTIONING names."""
    folder = os.environ.get("TINYGRAD_CAPTIONING")
    if folder is None:
        print("captioning: skipped, TINYGRAD_CAPTIONING names no folder of runs")
        return {}
    rows = []
    for kind, what in KINDS.items():
        found = [
            json.loads(file.read_text()) for file in sorted(Path(folder).glob(f"{kind}-*.json"))
        ]
        if not found:
            continue
        columns = {name: [one[name] for one in found] for name in found[0]}
        looks = ""
        if "looks" in columns:
            chance = statistics.mean(columns["chance"])
            looks = f"{spread(columns['looks'])}, by chance {chance:.1%}"
        cells = [
            what, str(len(found)), f"**{spread(columns['beam 1'])}**", spread(columns["beam 3"]),
            looks, spread([n / 60 for n in columns["seconds"]], "{:.1f}"),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        print("captioning: skipped, no run is over")
        return {}
    head = ["told by", "seeds", "exact, greedy", "beam of 3", "looks", "minutes"]
    return {"Captions of scenes": table(BAR, head, rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_CAPTIONING"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1e9, help="of this piece, about")
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_CAPTIONING has to say where runs are kept")
    train(Path(given.folder), given.seeds, given.seconds)
    os.environ["TINYGRAD_CAPTIONING"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
