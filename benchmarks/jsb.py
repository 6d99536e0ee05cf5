"""Bach's chorales, frame by frame: how likely the next frame is to RNN, GRU and LSTM.

    h_t = cell(x_t, h_{t-1})        P(key k sounds in x_{t+1}) = sigmoid(h_t w + b)_k
    a frame's nats = - sum over 88 keys of log P(what key k does)

A frame is a quarter note, a set of keys; of each chorale all frames but the first are foretold,
and each counts the same. TINYGRAD_DATA names the folder that holds ``jsb/``, the split of
Boulanger-Lewandowski et al. (2012). Each model learns until the chorales for validation get no
likelier, and its best numbers on these are what the test is read with. A run takes about a minute;
what it came to stays in a folder, and is not run again.

    python benchmarks/jsb.py --folder runs --seeds 3
    TINYGRAD_JSB=runs python benchmarks/run.py jsb           the table, of what is there
"""

import argparse
import gzip
import json
import os
import time
from pathlib import Path

import numpy as np
from pieces import keep
from table import show, spread, table

import tinygrad_rnn as tg
from tinygrad_rnn import data, losses, nn, optim, training

FOLDER = Path(os.environ.get("TINYGRAD_DATA", "")) / "jsb"
KEYS, LOWEST = 88, 21
# Widths that make about 300,000 parameters, what is dropped of w_h and of what is read out, and
# the nats that Bai et al. (2018) report.
CELLS = {
    "LSTM": (220, {"weight_drop": 0.6, "output_dropout": 0.6}, 8.45),
    "GRU": (256, {"weight_drop": 0.6, "output_dropout": 0.6}, 8.43),
    "RNN": (460, {"output_dropout": 0.5}, 8.91),
}
RATE, BATCH, EPOCHS, PATIENCE = 2e-3, 8, 150, 20
BAR = (
    "Bars: what Bai et al. (2018) report for about as many parameters. Nats a frame, summed over "
    "88 keys, of all frames but the first of a chorale; the model is that of the epoch which was "
    "best on the chorales for validation. Means over seeds, and the least and the most."
)


def chorales(part: str) -> list[np.ndarray]:
    """Piano rolls (T, 88) of 0 and 1."""
    found = []
    whole = gzip.decompress((FOLDER / f"JSB_Chorales.{part}.txt.gz").read_bytes()).decode()
    for line in whole.splitlines():
        frames = line.split()
        roll = np.zeros((len(frames), KEYS), np.float32)
        for t, frame in enumerate(frames):
            roll[t, [int(key) - LOWEST for key in frame.split(".") if key != "-"]] = 1
        found.append(roll)
    return found


class Music(nn.Module):
    """One layer of a cell, and the scores of all keys of the next frame."""

    def __init__(self, cell: str) -> None:
        super().__init__()
        width, dropped, _ = CELLS[cell]
        self.layer = getattr(nn, cell)(KEYS, width, **dropped)
        self.out = nn.Linear(width, KEYS)

    def loss(self, rolls: data.Padded) -> tg.Tensor:
        """Nats a frame, of all frames but the first of each chorale."""
        x, lengths = rolls.data, rolls.lengths - 1
        scores = self.out(self.layer(x[:-1], lengths=lengths)[0])
        there = np.arange(len(x) - 1)[:, None] < lengths
        nats = losses.bce_with_logits(scores, x[1:], mask=there, reduction="sum")
        return nats / float(lengths.sum())


def run(cell: str, seed: int) -> dict[str, float]:
    """A model that has learned: its nats, and how it came to them."""
    tg.seed(seed)
    model = Music(cell)
    learned, kept, asked = (
        data.Batches(chorales(part), size, shuffle=size == BATCH, seed=seed, collate=data.pad)
        for part, size in (("train", BATCH), ("valid", 100), ("test", 100))
    )
    optimizer = optim.AdamW(model.parameters(), lr=RATE)
    schedule = optim.schedules.CosineAnnealingLR(optimizer, T_max=EPOCHS * len(learned))
    frames = lambda rolls: float(rolls.lengths.sum() - len(rolls.lengths))
    trainer = training.Trainer(
        model, optimizer, lambda model, rolls: model.loss(rolls), schedule=schedule,
        clip_norm=1.0, weight=frames,
    )  # fmt: skip
    best = training.EarlyStopping("val_loss", patience=PATIENCE, restore_best=True)
    begin = time.perf_counter()
    history = trainer.fit(learned, EPOCHS, validation=kept, callbacks=[best], progress=False)
    return {
        "parameters": sum(p.size for p in model.parameters()),
        "validation": trainer.evaluate(kept)["loss"],
        "test": trainer.evaluate(asked)["loss"],
        "epochs": len(history.epochs),
        "seconds": time.perf_counter() - begin,
    }


def train(folder: Path, seeds: int, seconds: float) -> None:
    """Run what is not there yet, for so long."""
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for seed in range(seeds):
        for cell in CELLS:
            done = folder / f"{cell}-{seed}.json"
            if not done.exists() and time.monotonic() < end:
                found = run(cell, seed)
                print(f"{cell}, seed {seed}: {found}", flush=True)
                keep(found, done)


# ----- the table -----


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_JSB names."""
    folder = os.environ.get("TINYGRAD_JSB")
    if folder is None:
        print("jsb: skipped, TINYGRAD_JSB names no folder of runs")
        return {}
    rows = []
    for cell, (width, _, bar) in CELLS.items():
        found = [
            json.loads(file.read_text()) for file in sorted(Path(folder).glob(f"{cell}-*.json"))
        ]
        if not found:
            continue
        columns = {name: [one[name] for one in found] for name in found[0]}
        cells = [
            f"{cell} {width}", str(len(found)), f"{columns['parameters'][0]:,}", f"{bar:.2f}",
            spread(columns["validation"], "{:.2f}"), f"**{spread(columns['test'], '{:.2f}')}**",
            spread(columns["epochs"], "{:.0f}"),
            spread([n / 60 for n in columns["seconds"]], "{:.1f}"),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        print("jsb: skipped, no run is over")
        return {}
    head = ["one layer of", "seeds", "parameters", "bar", "validation", "test", "epochs", "minutes"]
    return {"Chorales": table(BAR, head, rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_JSB"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1e9, help="of this piece, about")
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_JSB has to say where runs are kept")
    if not FOLDER.is_dir():
        parser.error("TINYGRAD_DATA names no folder with jsb/")
    train(Path(given.folder), given.seeds, given.seconds)
    os.environ["TINYGRAD_JSB"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
