"""Memory over hundreds of steps by single cells, and the tasks of examples/memory.py by all cells.

    adding, T = 600   squared error; of who always says 1 it is 1/6
    adding of 1997    T = 100, by Hochreiter & Schmidhuber: how many sums are off by 0.04 or more
    copy, T = 100     nats a step over all T + 20; of who remembers no letter 10 ln 8 / (T + 20)

Gates begin as ``LONG`` says: without that a cell lets go of a half or a quarter of what it holds at
every step, and over hundreds of them there is no slope to learn from. A run ends where it is good
enough. All of them take hours, and can be done in pieces: what a run came to stays in a folder, its
checkpoints beside it, and what is there is not run again.

    python benchmarks/memory.py --folder runs --seeds 3
    python benchmarks/memory.py --folder runs --seconds 180 --only copy   again, till it is over
    TINYGRAD_MEMORY=runs python benchmarks/run.py memory        the tables, of what is there
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pieces import Until, keep
from table import show, spread, table

import tinygrad_rnn as tg
from tinygrad_rnn import data, training

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import tasks


class Adding1997(tasks.Adding):
    """Experiment 4 of Hochreiter & Schmidhuber (1997).

    Pairs of a number from -1 to 1 and a mark, T to T + T/10 of them. The first and the last are
    marked by -1; by 1 one of the first ten, and another of the first T/2 - 1, whose numbers X_1
    and X_2 the answer is made of: 0.5 + (X_1 + X_2) / 4. Where the first pair is chosen its number
    is 0.
    """

    def __init__(self, longest: int = 100) -> None:
        self.learned = self.asked = [longest]

    def draw(self, rng: np.random.Generator, rows: int, length: int) -> tasks.Drawn:
        """Shorter ones have zeros behind them."""
        each, lengths = np.arange(rows), rng.integers(length, length + length // 10 + 1, size=rows)
        steps = np.arange(lengths.max())[:, None]
        x = np.zeros((len(steps), rows, 2), np.float32)
        x[..., 0] = rng.uniform(-1, 1, x.shape[:2]) * (steps < lengths)
        first, second = rng.integers(10, size=rows), rng.integers(length // 2 - 1, size=rows)
        second += second >= first
        x[[first, second], each, 1] = 1
        x[0, (first == 0) | (second == 0), 0] = 0
        sums = x[first, each, 0] + x[second, each, 0]
        x[0, :, 1] = x[lengths - 1, each, 1] = -1
        asked = steps == lengths - 1
        return tasks.Drawn(x, np.where(asked, 0.5 + sums / 4, 0).astype(np.float32), asked)


class CopyAll(tasks.Copy):
    """Ten letters; what is to be said before their time is a blank, and counts as well."""

    def __init__(self, longest: int = 100) -> None:
        super().__init__(longest, copied=10)

    def draw(self, rng: np.random.Generator, rows: int, length: int) -> tasks.Drawn:
        """All steps are asked."""
        drawn = super().draw(rng, rows, length)
        return tasks.Drawn(drawn.x, drawn.y, np.ones_like(drawn.asked))


@dataclass(frozen=True)
class Long:
    """A cell and a long task.

    gates    what the biases of its gates begin at, by their place
    asked    sequences that are asked, after each ``every`` steps
    counts   "loss", or "wrong" answers
    bar      what that has to be at most, and how the bar is written
    enough   what ends a run
    """

    task: Callable[[int], tasks.Task]
    length: int
    cell: str
    width: int
    batch: int
    steps: int
    rate: float
    gates: dict[int, float]
    asked: int
    every: int
    counts: str
    bar: tuple[float, str]
    enough: float


LONG = {
    "adding": Long(
        tasks.Adding, 600, "GRU", 150, 32, 7000, 5e-3, {},
        512, 250, "loss", (1e-3, "0.001, within 224,000"), 1e-4,
    ),
    "1997": Long(
        Adding1997, 100, "LSTM", 16, 16, 4625, 5e-3, {0: -3.0, 1: 5.0},
        2560, 125, "wrong", (3, "3 of 2,560, within 74,000"), -1,
    ),
    "copy": Long(
        CopyAll, 100, "GRU", 128, 32, 6000, 5e-3, {1: 2.0},
        512, 250, "loss", (0.08, "clearly less than 0.173"), 1e-3,
    ),
}  # fmt: skip
LONG_BAR = (
    "Bars: the squared error of adding; how many of 2,560 sums are off by 0.04 or more, of the "
    "adding of 1997; nats a step of copy, where who remembers no letter has 10 ln 8 / (T + 20) = "
    "0.173. What is asked is never what was learned from; a bar is met where it is for the first "
    "time, that of copy at 0.08."
)
SHORT_BAR = (
    "One layer of 64, 1,000 batches of 32 for each task; % of answers that are right, of sequences "
    "as long as those learned from / longer ones. A third of the numbers to count to is never "
    "learned, and asked. A guess keeps nothing. Seeds: {seeds}."
)


class Asks(training.Callback):
    """Asks again and again, keeps what came of it, and ends the run when it is good enough."""

    def __init__(self, long: Long, exam: tasks.Drawn) -> None:
        self.long, self.exam, self.found = long, exam, []

    def on_step(self, trainer: training.Trainer) -> None:
        if trainer.step % self.long.every:
            return
        with tg.no_grad():
            loss = trainer.model.loss(self.exam).item()
        wrong = round((1 - trainer.model.right(self.exam)) * self.long.asked)
        self.found.append([trainer.step, loss, wrong])
        print(*self.found[-1], flush=True)
        if {"loss": loss, "wrong": wrong}[self.long.counts] <= self.long.enough:
            trainer.stop("it is good enough")

    def state_dict(self) -> dict:
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict) -> None:
        self.found = state_dict["found"]


def run_long(folder: Path, name: str, seed: int, end: float) -> dict | None:
    """Go on with a long run until then: what it came to, or None if it is not over."""
    import memory as example

    long = LONG[name]
    task = long.task(long.length)
    task.learned = [long.length]
    tg.seed(seed)
    model = example.Reader(task, long.cell, long.width)
    (cell,) = model.layer.cells()
    biases = cell.b.numpy().reshape(-1, long.width).copy()
    for gate, bias in long.gates.items():
        biases[gate] = bias
    cell.b.assign_(biases.ravel())
    exam = task.draw(np.random.default_rng([seed, 1_000_000]), long.asked, long.length)
    asks = Asks(long, exam)
    checkpoints = training.Checkpoints(folder / f"{name}-{seed}", every=100, keep=1)
    draws = example.Draws(task, long.batch, long.steps, seed)
    trainer = example.trainer_of(model, long.rate, long.steps)
    history = trainer.fit(
        data.Batches(draws, 1, collate=lambda one: one[0]), 1, resume=True, progress=False,
        callbacks=[asks, Until(end - time.monotonic()), checkpoints],
    )  # fmt: skip
    if history.interrupted or (history.stopped or "").startswith("the time"):
        return None
    return {
        "asked": asks.found,
        "seconds": trainer.seconds + sum(logs["seconds"] for logs in history.epochs),
        "parameters": sum(p.size for p in model.parameters()),
    }


def run_short(name: str, cell: str, seed: int, _end: float) -> dict:
    """A cell and a task of the example: the share of right answers, by length."""
    import memory as example

    task = tasks.TASKS[name]()
    begin = time.perf_counter()
    model = example.learn(task, cell, example.arguments(["--seed", str(seed)]))
    exam = example.exam(task, seed)
    return {
        "right": example.both(task, {n: model.right(drawn) for n, drawn in exam.items()}),
        "guess": example.both(task, {n: task.baseline(d).mean() for n, d in exam.items()}),
        "parameters": sum(p.size for p in model.parameters()),
        "seconds": time.perf_counter() - begin,
    }


def train(folder: Path, seeds: int, seconds: float, only: list[str]) -> None:
    """Run what is not there yet, for so long."""
    import memory as example

    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    runs = {name: partial(run_long, folder, name) for name in LONG}
    for cell in example.CELLS:
        runs |= {f"{name}-{cell}": partial(run_short, name, cell) for name in tasks.TASKS}
    for seed in range(seeds):
        for name, run in runs.items():
            done = folder / f"{name}-{seed}.json"
            wanted = not only or (name if name in LONG else "cells") in only
            if done.exists() or not wanted or time.monotonic() > end:
                continue
            print(done.stem, flush=True)
            found = run(seed, end)
            if found is not None:
                keep(found, done)


# ----- the tables -----


def read(folder: Path, name: str) -> list[dict]:
    """What the seeds of a run came to."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob(f"{name}-[0-9].json"))]


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_MEMORY names."""
    folder = os.environ.get("TINYGRAD_MEMORY")
    if folder is None:
        print("memory: skipped, TINYGRAD_MEMORY names no folder of runs")
        return {}
    return {**of_long(Path(folder)), **of_short(Path(folder))}


def of_long(folder: Path) -> dict[str, list[str]]:
    """The table of the long tasks."""
    rows = []
    for name, long in LONG.items():
        found = read(folder, name)
        if not found:
            continue
        place, form = (2, "{:.0f}") if long.counts == "wrong" else (1, "{:.2g}")
        least, bar = long.bar
        met = [next((one[0] for one in run["asked"] if one[place] <= least), None) for run in found]
        cells = [
            f"{name}, T = {long.length}", f"{long.cell} {long.width}", str(len(found)),
            f"{found[0]['parameters']:,}", bar,
            "no" if None in met else spread([n * long.batch for n in met], "{:,.0f}"),
            f"**{spread([run['asked'][-1][place] for run in found], form)}**",
            spread([run["asked"][-1][0] * long.batch for run in found], "{:,.0f}"),
            spread([run["seconds"] / 60 for run in found], "{:.1f}"),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    head = [
        "task", "cell", "seeds", "parameters", "bar", "met after sequences", "in the end", "after",
        "minutes",
    ]  # fmt: skip
    return {"Long memory": table(LONG_BAR, head, rows)} if rows else {}


def of_short(folder: Path) -> dict[str, list[str]]:
    """The table of cells against tasks."""
    rows, counts = [], set()
    guesses: dict[str, list] = {name: [] for name in tasks.TASKS}
    files = [file for name in tasks.TASKS for file in sorted(folder.glob(f"{name}-*-?.json"))]
    for cell in dict.fromkeys(file.stem.split("-")[1] for file in files):
        shown = []
        for name in tasks.TASKS:
            found = read(folder, f"{name}-{cell}")
            counts.add(len(found))
            guesses[name] += [run["guess"] for run in found]
            shown.append(shares([run["right"] for run in found]))
        rows.append(f"| {' | '.join([cell, *shown])} |")
    if not rows:
        return {}
    rows.append(f"| {' | '.join(['a guess', *map(shares, guesses.values())])} |")
    bar = SHORT_BAR.format(seeds=" or ".join(map(str, sorted(counts))))
    return {"Memory of every cell": table(bar, ["% right", *tasks.TASKS], rows)}


def shares(pairs: list) -> str:
    """As long as what was learned, and longer, in percent."""
    if not pairs:
        return ""
    return " / ".join(f"{100 * statistics.mean(part):.0f}" for part in zip(*pairs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_MEMORY"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1e9, help="of this piece, about")
    parser.add_argument("--only", nargs="+", choices=[*LONG, "cells"], default=[])
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_MEMORY has to say where runs are kept")
    train(Path(given.folder), given.seeds, given.seconds, given.only)
    os.environ["TINYGRAD_MEMORY"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
