"""NLVR: is a sentence true of an image of three boxes? By image times sentence.

The data (Suhr et al. 2017) is in the folder nlvr of TINYGRAD_DATA. Its large training set is not at
hand: what is learned from is the development set, and what is asked the public test set. What a
seed came to stays in a folder, and is not run again.

    python benchmarks/nlvr.py --folder runs --seeds 3
    TINYGRAD_NLVR=runs python benchmarks/run.py nlvr       the table, of what is there
"""

import argparse
import gzip
import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
from pieces import keep
from table import show, spread, table

import tinygrad_rnn as tg
from tinygrad_rnn import models, nn, ops, optim, text, training

EPOCHS, BATCH, RATE = 10, 16, 1e-3
BEGINS, BOX = (0, 150, 300), 100  # of the boxes in an image of 400 by 100
WAYS = {"both": "image times sentence (u q)", "question": "the sentence alone"}
BAR = (
    "True or false; reported beside the class that is more frequent in what was learned from, 989 "
    "examples of 249 sentences: the development set. Asked: 990 of the public test set. "
    "Boxes at half their size, each by the same convolutions, then the mean and the most of the "
    "three; words by an LSTM; dropout 0.3, AdamW 1e-3, 10 epochs."
)


class Boxes(nn.Module):
    """Three boxes (B, 9, H, W), one behind the other -> (B, 2 width), in whatever order."""

    def __init__(self, width: int) -> None:
        super().__init__()

        def seeing(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
            conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
            return [conv, nn.BatchNorm(after), nn.ReLU()]

        self.layers = nn.Sequential(
            *seeing(3, 16, 5, stride=2), nn.MaxPool2d(2),
            *seeing(16, 32, 3), nn.MaxPool2d(2), *seeing(32, width, 3), nn.MaxPool2d(6),
        )  # fmt: skip

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        """The mean and the most of what is seen in each."""
        seen = self.layers(x.reshape(3 * len(x), 3, *x.shape[2:]))
        seen = seen.reshape(len(x), 3, -1)
        return ops.concat([seen.mean(1), seen.max(1)], axis=-1)


def data(split: str) -> tuple[np.ndarray, list[str], list[str]]:
    """Boxes, sentences, and whether they are true."""
    from PIL import Image

    folder = Path(os.environ["TINYGRAD_DATA"], "nlvr")
    lines = gzip.decompress((folder / f"{split}.json.gz").read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines]
    pictures = {}
    with tarfile.open(folder / f"{split}_images_perm0.tar.gz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".png"):
                image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
                boxes = [image.crop((x, 0, x + BOX, BOX)).resize((50, 50)) for x in BEGINS]
                boxes = [np.asarray(box).transpose(2, 0, 1) for box in boxes]
                pictures[Path(member.name).stem] = np.concatenate(boxes)
    rows = [row for row in rows if f"{split}-{row['identifier']}-0" in pictures]
    shown = np.stack([pictures[f"{split}-{row['identifier']}-0"] for row in rows])
    return shown, [row["sentence"] for row in rows], [row["label"] for row in rows]


def run(way: str, seed: int) -> dict[str, float]:
    """What a seed comes to."""
    pictures, sentences, labels = data("dev")
    tg.seed(seed)
    words = text.Words.of("\n".join(sentences), min_count=2, lower=True)
    model = models.Answerer(
        words, ["true", "false"], Boxes(32), 32, 64, features=64, num_layers=1,
        image=way == "both", dropout=0.3, output_dropout=0.3,
    )  # fmt: skip
    one = lambda rows: [[row] for row in rows]
    learns = model.batches(pictures, one(sentences), one(labels), BATCH, shuffle=True, seed=seed)
    trainer = training.Trainer(
        model, optim.AdamW(model.parameters(), lr=RATE),
        lambda model, batch: model.loss(*batch), clip_norm=1.0,
    )  # fmt: skip
    history = trainer.fit(learns, EPOCHS, progress=False)
    shown, asked, true = data("test")
    right = np.array(model.answers(shown, asked)) == np.array(true)
    seconds = sum(logs["seconds"] for logs in history.epochs)
    return {"right": float(right.mean()), "minutes": seconds / 60}


def train(folder: Path, seeds: int) -> None:
    """Run the seeds that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for way in WAYS:
            done = folder / f"{way}-{seed}.json"
            if not done.exists():
                found = run(way, seed)
                print(f"{way}, seed {seed}: {found}", flush=True)
                keep(found, done)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_NLVR names."""
    folder = os.environ.get("TINYGRAD_NLVR")
    if folder is None or "TINYGRAD_DATA" not in os.environ:
        print("nlvr: skipped, it needs TINYGRAD_NLVR, a folder of runs, and TINYGRAD_DATA")
        return {}
    rows = []
    for way, what in WAYS.items():
        files = sorted(Path(folder).glob(f"{way}-*.json"))
        if found := [json.loads(file.read_text()) for file in files]:
            shares = spread([one["right"] for one in found])
            minutes = spread([one["minutes"] for one in found], "{:.1f}")
            rows.append(f"| {what} | {len(found)} | {shares} | {minutes} |")
    if not rows:
        print("nlvr: skipped, no run is over")
        return {}
    usual = Counter(data("dev")[2]).most_common(1)[0][0]
    share = np.mean(np.array(data("test")[2]) == usual)
    rows.append(f"| always “{usual}” |  | {share:.1%} |  |")
    return {"NLVR": table(BAR, ["told by", "seeds", "right", "minutes"], rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_NLVR"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.folder is None or "TINYGRAD_DATA" not in os.environ:
        parser.error("--folder or TINYGRAD_NLVR, and TINYGRAD_DATA have to name folders")
    train(Path(given.folder), given.seeds)
    os.environ["TINYGRAD_NLVR"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
