"""easy-VQA: questions about drawings of one shape, by image times question.

The data of easy-VQA (4,000 drawings and 38,575 questions to learn from, 1,000 and 9,673 to be
asked, 13 answers) is in the folder easy_vqa of TINYGRAD_DATA. A run goes on from its checkpoints,
so it can be done in pieces; what it came to stays in a folder. The last of 8 epochs counts.

    python benchmarks/easy_vqa.py --folder runs --seeds 3
    TINYGRAD_EASY_VQA=runs python benchmarks/run.py easy_vqa       the table, of what is there
"""

import argparse
import gzip
import io
import json
import os
import statistics
import tarfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from pieces import Until, keep
from table import show, spread, table

import tinygrad_rnn as tg
from tinygrad_rnn import models, nn, optim, text, training

EPOCHS, BATCH, RATE = 8, 8, 4e-3
WAYS = {
    "both": "image times question (u q): three convolutions, the most over all places; an LSTM",
    "question": "the question alone",
}
BAR = (
    "Bar: 93.8 % within 8 epochs, which is published for a small network with bags of words. "
    "Drawings of 64 × 64 as they are, not turned or mirrored; batches of 8 drawings with all of "
    "their questions, Adam 4e-3 by one cycle. Minutes are those of training, 8 epochs, on a core "
    "that others shared."
)


def data(split: str) -> tuple[np.ndarray, list[list[str]], list[list[str]]]:
    """Pictures, and for each its questions and their answers."""
    from PIL import Image

    folder = Path(os.environ["TINYGRAD_DATA"], "easy_vqa")
    rows = json.loads(gzip.decompress((folder / f"{split}_questions.json.gz").read_bytes()))
    pictures: dict[int, np.ndarray] = {}
    with tarfile.open(folder / f"{split}_images.tar.gz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".png"):
                picture = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
                pictures[int(Path(member.name).stem)] = np.asarray(picture).transpose(2, 0, 1)
    asked: dict[int, tuple[list[str], list[str]]] = {}
    for question, answer, image in rows:
        own = asked.setdefault(image, ([], []))
        own[0].append(question)
        own[1].append(answer)
    numbers = sorted(asked)
    shown = np.stack([pictures[number] for number in numbers])
    return shown, [asked[n][0] for n in numbers], [asked[n][1] for n in numbers]


def model_of(way: str, questions: list[list[str]], answers: list[list[str]]) -> models.Answerer:
    """An answerer of the sizes that the table is about."""

    def seeing(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
        return [conv, nn.BatchNorm(after), nn.ReLU()]

    names = sorted({answer for own in answers for answer in own})
    words = text.Words.of("\n".join(question for own in questions for question in own))
    encoder = nn.Sequential(
        *seeing(3, 16, 5, stride=2), nn.MaxPool2d(2), *seeing(16, 32, 3), nn.MaxPool2d(2),
        *seeing(32, 64, 3), nn.MaxPool2d(8), nn.Flatten(),  # wherever it is
    )  # fmt: skip
    return models.Answerer(
        words, names, encoder, 32, 64, features=64, num_layers=1, image=way == "both"
    )


def run(folder: Path, way: str, seed: int, seconds: float) -> dict[str, float] | None:
    """Go on with a run for so long: what it came to, or None if it is not over."""
    pictures, questions, answers = data("train")
    tg.seed(seed)
    model = model_of(way, questions, answers)
    learns = model.batches(pictures, questions, answers, BATCH, shuffle=True, seed=seed)
    optimizer = optim.Adam(model.parameters(), lr=RATE)
    schedule = optim.schedules.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * len(learns))
    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), schedule=schedule, clip_norm=1.0
    )
    checkpoints = training.Checkpoints(folder / f"{way}-{seed}", every=100, keep=1)
    history = trainer.fit(
        learns, EPOCHS, resume=True, callbacks=[checkpoints, Until(seconds)], progress=False
    )
    print(f"{way}, seed {seed}: step {trainer.step}", flush=True)
    if history.stopped or history.interrupted:
        return None
    return {
        "seconds": sum(logs["seconds"] for logs in history.epochs),
        "right": right(model, *data("test")),
    }


def right(model, pictures, questions, answers) -> float:
    """The share of questions that are answered rightly."""
    asked = [question for own in questions for question in own]
    told = [answer for own in answers for answer in own]
    of = np.repeat(np.arange(len(pictures)), list(map(len, questions)))
    return float(np.mean(np.array(model.answers(pictures, asked, of)) == np.array(told)))


def train(folder: Path, seeds: int, seconds: float) -> None:
    """Run what is not there yet, for so long."""
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for seed in range(seeds):
        for way in WAYS:
            done = folder / f"{way}-{seed}.json"
            if done.exists() or time.monotonic() > end:
                continue
            found = run(folder, way, seed, end - time.monotonic())
            if found is not None:
                print(f"{way}, seed {seed}: {found}", flush=True)
                keep(found, done)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_EASY_VQA names."""
    folder = os.environ.get("TINYGRAD_EASY_VQA")
    if folder is None or "TINYGRAD_DATA" not in os.environ:
        print("easy_vqa: skipped, it needs TINYGRAD_EASY_VQA, a folder of runs, and TINYGRAD_DATA")
        return {}
    rows = []
    for way, what in WAYS.items():
        found = [
            json.loads(file.read_text()) for file in sorted(Path(folder).glob(f"{way}-*.json"))
        ]
        if found:
            shares = [one["right"] for one in found]
            minutes = statistics.mean(one["seconds"] for one in found) / 60
            rows.append(f"| {what} | {len(found)} | **{spread(shares)}** | {minutes:.1f} |")
    if not rows:
        print("easy_vqa: skipped, no run is over")
        return {}
    told = [answer for own in data("test")[2] for answer in own]
    usual, count = Counter(told).most_common(1)[0]
    rows.append(f"| always “{usual}” |  | {count / len(told):.2%} |  |")
    return {"easy-VQA": table(BAR, ["answered by", "seeds", "right", "minutes"], rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_EASY_VQA"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1e9, help="of this piece, about")
    given = parser.parse_args()
    if given.folder is None or "TINYGRAD_DATA" not in os.environ:
        parser.error(
            "--folder or TINYGRAD_EASY_VQA has to say where runs are kept, TINYGRAD_DATA "
            "where the data is"
        )
    train(Path(given.folder), given.seeds, given.seconds)
    os.environ["TINYGRAD_EASY_VQA"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
