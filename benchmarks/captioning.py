"""Captions of drawn scenes: ways to tell layers of an image, and where attention looks.

The example's scenes and encoder; each scene that is asked has a combination of size, colour, shape
and place that was never learned. Soft attention comes first, for the others learn from the places
that its encoder makes of scenes. A run takes minutes, all of them an hour, so it can
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
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pieces import Until, keep
from table import show, spread, table

import tinygrad_rnn as tg
from tinygrad_rnn import metrics, models, nn, text, training

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import caption
import scenes

BAR = (
    "Bars: 95 % exact, under 70 % for the bag. Exact: word for word one of the eight captions that "
    "are true of the scene. 500 scenes, each with a combination of size, colour, shape and place "
    "that was never learned. Soft attention, and the bag, learn together with their encoder, as "
    "the example does: 4 times 6,000 scenes. The others are given the places that soft attention's "
    "encoder makes of scenes, and learn from these alone, a vector of 24,000 scenes and all places "
    "of 120,000; hard attention goes on from all that soft attention has learned. Looks: of the "
    "words that describe a thing those at which the place that is looked at most is on it; beside "
    "it the share of all places that are."
)
WIDE = 128  # numbers of each place, of which vectors are made


class Way(NamedTuple):
    """A way to tell the layers of an image, and how they learn it."""

    what: str
    hidden: int = 128
    rate: float = 4e-3
    drawn: int = caption.LEARNED  # how many scenes
    told: int = scenes.TOLD  # captions of each scene
    batch: int = 16
    epochs: int = 4
    after: bool = False  # whether it begins with what soft attention has learned


WAYS = {
    "bag": Way("a bag: the mean of all places, borders and coordinates left out"),
    "soft": Way("soft attention"),
    "hard": Way("hard attention, by REINFORCE", rate=1e-3, after=True),
    "vector": Way(
        "one vector, read at every step: the mean of places, and of places times waves",
        hidden=64, rate=5e-3, drawn=24_000, told=2, batch=64, epochs=10, after=True,
    ),
    "spatial": Way(
        "all places at once, as waves over them, h_0 = tanh(z w + b) and c = h_0: no attention",
        hidden=256, rate=3e-3, drawn=120_000, told=2, batch=64, epochs=3, after=True,
    ),
}  # fmt: skip


class Gathered(nn.Module):
    """Places (B, C, h, w) as 13 others (B, C, 13, 1): their sum, and those of each times 12 waves.

    Each is a sum over places of what is there times where it is: no weight knows a pair.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm(13 * width)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        """(B, C, h, w) -> (B, C, 13, 1)."""
        B, C, h, w = x.shape
        axes = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
        down, across = (
            [f(np.pi * k * axis / 2) for k in (1, 2) for f in (np.sin, np.cos)] for axis in axes
        )
        both = [one * other for one in down[:2] for other in across[:2]]
        waves = np.stack([np.ones((h, w)), *down, *across, *both]).reshape(13, h * w)
        sums = x.reshape(B, C, h * w) @ tg.tensor(waves.T.astype(x.dtype))
        found: tg.Tensor = self.norm(sums.reshape(B, -1))
        return found.reshape(B, C, 13, 1)


def pairs(width: int) -> list[nn.Module]:
    """Of each place what goes together, as "red and a star": in a vector it would come apart."""
    return [nn.Conv2d(width, WIDE, 1), nn.BatchNorm(WIDE), nn.ReLU()]


def model_of(kind: str, way: Way, args: argparse.Namespace, words: Any) -> models.Captioner:
    """A captioner of pictures; of places, where they are made beforehand."""
    C, side = args.width, scenes.PIXELS // 8
    encoder, shape, image = None, (C, side, side), kind
    if kind == "bag":
        encoder, shape, image = caption.Eyes(C, bag=True), C, "every"
    elif kind == "soft":
        encoder = caption.Eyes(C)
    elif kind == "vector":
        encoder, shape = nn.Sequential(*pairs(C), Gathered(WIDE), nn.Flatten()), 13 * WIDE
        image = "every"
    elif kind == "spatial":
        encoder, shape = nn.Sequential(*pairs(C), Gathered(WIDE)), (WIDE, 13, 1)
    return models.Captioner(
        words, encoder, args.embedding, way.hidden, features=shape, image=image,
        doubly_stochastic=args.doubly_stochastic, entropy=0.0, word_asks=True, mlp_size=0,
    )  # fmt: skip


def places(soft: models.Captioner, drawn: list[scenes.Scene]) -> np.ndarray:
    """What the encoder of soft attention makes of scenes, (N, C, h, w)."""
    assert soft.encoder is not None
    soft.encoder.eval()
    found = []
    with tg.no_grad():
        for begin in range(0, len(drawn), 100):
            pictures = caption.shown(drawn[begin : begin + 100]).astype(np.float32) / 255
            found.append(soft.encoder(tg.tensor(pictures)).numpy())
    return np.concatenate(found)


def run(folder: Path, kind: str, seed: int, seconds: float) -> dict[str, float] | None:
    """Go on with a run for so long: what it came to, or None if it is not over."""
    way, args = WAYS[kind], caption.arguments(["--seed", str(seed)])
    learned, asked = scenes.scenes(way.drawn, caption.ASKED, seed)
    told = [scenes.told(scene, number)[: way.told] for number, scene in enumerate(learned)]
    words = text.Words.of("\n".join(map("\n".join, told)))
    show, soft = caption.shown, None
    if way.after:
        soft = models.load(folder / f"soft-{seed}" / "model", custom={"Eyes": caption.Eyes})
        show, words = partial(places, soft), soft.vocabulary
    seen, others = show(learned), show(asked)
    tg.seed(seed)
    model = model_of(kind, way, args, words)
    if kind == "hard":
        own = model.state_dict()
        known = {name: value for name, value in soft.state_dict().items() if name in own}
        model.load_state_dict({**own, **known})
    args.rate = way.rate
    learns = model.batches(seen, told, way.batch, shuffle=True, seed=seed)
    trainer = caption.trainer_of(args, model, way.epochs * len(learns))
    checkpoints = training.Checkpoints(folder / f"{kind}-{seed}", every=200, keep=1)
    history = trainer.fit(
        learns, way.epochs, resume=True, callbacks=[checkpoints, Until(seconds)], progress=False
    )
    print(f"{kind}, seed {seed}: step {trainer.step}", flush=True)
    if history.stopped or history.interrupted:
        return None
    if kind == "soft":
        model.save(folder / f"soft-{seed}" / "model")
    found = {"seconds": sum(logs["seconds"] for logs in history.epochs)}
    return found | scored(model, others, asked, looks=kind in ("soft", "hard"))


def scored(model: models.Captioner, others: Any, asked: Any, looks: bool) -> dict[str, float]:
    """How many captions are exact, greedy and by a beam; and how many looks are at the thing."""
    true = [scene.captions() for scene in asked]
    said = {beam: model.caption(others, beam=beam, early_stopping=True) for beam in (1, 3)}
    found = {f"beam {beam}": metrics.exact_match(own, true) for beam, own in said.items()}
    if looks:
        tokens = [model.vocabulary.encode(one) for one in said[1]]
        at = model.attention(others, tokens)
        pointed = [scenes.pointed(*one) for one in zip(asked, said[1], at, strict=True)]
        found["looks"], found["chance"] = np.concatenate(pointed).mean(axis=0).tolist()
    return found


def train(folder: Path, ways: list[str], seeds: int, seconds: float) -> None:
    """Run what is not there yet, for so long."""
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for seed in range(seeds):
        for kind in ways:
            done = folder / f"{kind}-{seed}.json"
            waits = WAYS[kind].after and not (folder / f"soft-{seed}.json").exists()
            if done.exists() or waits or time.monotonic() > end:
                continue
            found = run(folder, kind, seed, end - time.monotonic())
            if found is not None:
                print(f"{kind}, seed {seed}: {found}", flush=True)
                keep(found, done)


# ----- the table -----


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_CAPTIONING names."""
    folder = os.environ.get("TINYGRAD_CAPTIONING")
    if folder is None:
        print("captioning: skipped, TINYGRAD_CAPTIONING names no folder of runs")
        return {}
    rows = []
    for kind, way in WAYS.items():
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
        greedy, beam = spread(columns["beam 1"]), spread(columns["beam 3"])
        cells = [
            way.what, str(len(found)), f"**{greedy}**", beam, looks,
            spread([n / 60 for n in columns["seconds"]], "{:.1f}"),
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
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="which")
    parser.add_argument("--seconds", type=float, default=1e9, help="of this piece, about")
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_CAPTIONING has to say where runs are kept")
    train(Path(given.folder), given.ways, given.seeds, given.seconds)
    os.environ["TINYGRAD_CAPTIONING"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
