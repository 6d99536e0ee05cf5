"""Multi30k, German to English, as a widely used PyTorch tutorial trains and evaluates it.

TINYGRAD_DATA names the folder that holds ``multi30k/``. An epoch takes minutes, all of it hours,
so it can be run in pieces: what each epoch came to stays in a folder, the last state of each run
beside it, and what is there is not run again. The table is made of what is there.

    python benchmarks/multi30k.py --folder runs --seeds 3 --epochs 10
    python benchmarks/multi30k.py --batches 12         what a few batches take, and nothing else;
                                                       also those of the tutorial's own text
    TINYGRAD_MULTI30K=runs python benchmarks/run.py multi30k       the table, of what is there
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from itertools import chain, count, product, takewhile
from pathlib import Path

import numpy as np
from duel import HERE, peer_python
from pieces import keep
from sides.multi30k_data import missing, sentences
from table import show, spread, table

from tinygrad_rnn import metrics

SIDES = {"multi30k_ours": sys.executable, "multi30k_torch": peer_python()}
ALL_SIDES = {**SIDES, "multi30k_tutorial": peer_python()}
RUN = "import sys; sys.path.insert(0, sys.argv[1]); from sides.multi30k_data import {0}; " + (
    "from sides.{1} import Side; {2}"
)
BAR = (
    "Bars: perplexity and BLEU of the test set no worse than PyTorch's beyond the spread of three "
    "seeds, an epoch 1.3 times as fast; goals 25.6 and 28.3. Words of the files (in tokens, lower "
    "case) that come twice, one token for all others; 10 epochs, of which the best on the "
    "validation set counts. For perplexity each step reads what the one before found likeliest, as "
    "many steps as the reference has, its end with them; the mean of batches, as the tutorial has "
    "it, and that of all tokens. BLEU (sacrebleu, tokenize=none) of greedy choice."
)


class Side:
    """A process that knows one side; it is started when it is asked something."""

    def __init__(self, name: str) -> None:
        self.name, self.process = name, None

    def ask(self, *request: object) -> dict[str, object]:
        """What a method of ``Experiment`` gives."""
        if self.process is None:
            code = RUN.format("serve", self.name, "serve(Side)")
            self.process = subprocess.Popen(
                [ALL_SIDES[self.name], "-c", code, str(HERE)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End it."""
        if self.process:
            self.process.stdin.close()
            self.process.wait()


def disagreement() -> float:
    """How far losses and gradients of small models in float64 are apart, relative to the largest.

    All sides have the same weights, and are told all tokens, none, or some.
    """
    found = []
    for name, python in ALL_SIDES.items():
        code = RUN.format("gradients", name, "import json; print(json.dumps(gradients(Side)))")
        command = [python, "-c", code, str(HERE)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(run.stdout))
    ours, *others = found
    worst = 0.0
    for theirs, (case, arrays) in product(others, ours.items()):
        assert set(arrays) == set(theirs[case])
        for name, array in arrays.items():
            one, other = np.array(array), np.array(theirs[case][name])
            worst = max(worst, float(np.abs(one - other).max() / np.abs(other).max()))
    return worst


# ----- running -----


def record(folder: Path, side: str, seed: int, epoch: int) -> Path:
    """The file of what an epoch came to; its state has another suffix."""
    return folder / f"{side}-{seed}-{epoch}.json"


def train(folder: Path, seeds: int, epochs: int) -> None:
    """Run what is not there yet, epoch by epoch in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    sides = [Side(name) for name in SIDES]
    for seed in range(seeds):
        for epoch in range(epochs):
            for side in sides:
                done = record(folder, side.name, seed, epoch)
                if done.exists():
                    continue
                state = done.with_suffix(".state")
                before = record(folder, side.name, seed, epoch - 1).with_suffix(".state")
                found = side.ask("epoch", seed, epoch, str(before) if epoch else None, str(state))
                keep(found, done)
                before.unlink(missing_ok=True)
                told = {name: value for name, value in found.items() if name != "said"}
                print(f"{side.name}, seed {seed}, epoch {epoch + 1}: {told}", flush=True)
    for side in sides:
        side.close()


def few(batches: int, rounds: int = 7) -> list[list[float]]:
    """What a few batches take in each round, here, by PyTorch, and by the tutorial's own text."""
    sides = [Side(name) for name in ALL_SIDES]
    seconds = []
    for _ in range(rounds):
        seconds.append([side.ask("batches", batches)["seconds"] / batches for side in sides])
        print(*(f"{side.name} {s:.3f} s" for side, s in zip(sides, seconds[-1], strict=True)))
    for side in sides:
        side.close()
    return seconds


def of_batches(batches: int) -> list[str]:
    """The table of what a few batches take."""
    ours, *others = zip(*few(batches), strict=True)
    rows = []
    names = "PyTorch, written to be quick", "PyTorch, as the tutorial writes it"
    for name, theirs in zip(names, others, strict=True):
        pairs = [b / a for a, b in zip(ours, theirs, strict=True)]
        cells = [
            name,
            *(f"{statistics.median(s):.2f} ({min(s):.2f})" for s in (ours, theirs)),
            f"**{statistics.median(pairs):.2f}**",
            f"{min(pairs):.2f} to {max(pairs):.2f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    head = ["beside", "ours, s a batch (best)", "theirs (best)", "times as fast", "in rounds"]
    told = (
        f"Bar: 1.3. The first {batches} batches of an epoch, in turns. Written to be quick: keys "
        "are multiplied once, scores of all steps at once and only where there is a word, Adam "
        "fused."
    )
    return table(told, head, rows)


# ----- the table -----


def epochs_of(folder: Path, side: str, seed: int) -> list[dict]:
    """What the epochs of a run came to, as many as are there."""
    paths = (record(folder, side, seed, epoch) for epoch in count())
    return [json.loads(path.read_text()) for path in takewhile(Path.exists, paths)]


def runs(folder: Path) -> list[list[list[dict]]]:
    """Of each side the seeds that both have run furthest, and their epochs."""
    numbers = sorted({int(file.stem.split("-")[1]) for file in folder.glob("*-0.json")})
    found = {seed: [epochs_of(folder, side, seed) for side in SIDES] for seed in numbers}
    reached = {seed: min(map(len, sides)) for seed, sides in found.items()}
    most = max(reached.values(), default=0)
    seeds = [seed for seed, epochs in reached.items() if most and epochs == most]
    return [[found[seed][n][:most] for seed in seeds] for n in range(len(SIDES))]


def row(name: str, found: list[list[dict]], faster: str) -> str:
    """The line of a side."""
    references = [" ".join(words) for words in sentences("test", "en")]
    chosen = [min(run, key=lambda epoch: epoch["valid"]["batches"]) for run in found]
    by_epoch = [
        np.exp(np.mean([epoch["valid"]["batches"] for epoch in same]))
        for same in zip(*found, strict=True)
    ]
    bleu = [metrics.bleu(e["said"], references, tokenize="none").score for e in chosen]
    cells = [
        f"{name}, seeds: {len(found)}",
        spread([epoch["seconds"] / 60 for run in found for epoch in run], "{:.2f}"),
        ", ".join(f"{value:.1f}" for value in by_epoch),
        *(
            spread([float(np.exp(epoch["test"][mean])) for epoch in chosen], "{:.2f}")
            for mean in ("batches", "tokens")
        ),
        spread(bleu, "{:.2f}"),
        faster,
    ]
    return f"| {' | '.join(cells)} |"


def of_epochs(folder: Path) -> list[str]:
    """The table of what runs in a folder came to; nothing if there is no epoch of both sides."""
    ours, theirs = runs(folder)
    if not ours:
        print("multi30k: there is no epoch of both sides")
        return []
    pairs = zip(chain(*ours), chain(*theirs), strict=True)
    ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in pairs)
    head = [
        "de → en", "minutes an epoch", "validation perplexity by epoch", "test perplexity",
        "of all tokens", "BLEU", "faster",
    ]  # fmt: skip
    rows = [
        row("here", ours, f"**{ratio:.2f}**"),
        row("PyTorch", theirs, ""),
        "",
        "Losses and gradients of small models with the same weights, all tokens told, none, or "
        f"some, differ by {disagreement():.0e}.",
    ]
    return table(BAR, head, rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, also of the folder that TINYGRAD_MULTI30K names."""
    if missing("multi30k"):
        return {}
    found = {"Multi30k, a few batches": of_batches(12)}
    folder = os.environ.get("TINYGRAD_MULTI30K")
    if folder is None:
        print("multi30k: no epochs, as TINYGRAD_MULTI30K names no folder of runs")
    elif epochs := of_epochs(Path(folder)):
        found["Multi30k as a tutorial translates it"] = epochs
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_MULTI30K"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batches", type=int, help="only so many, to see what they take")
    given = parser.parse_args()
    if missing("multi30k"):
        return
    if given.batches:
        show({"A few batches": of_batches(given.batches)})
        return
    if given.folder is None:
        parser.error("--folder or TINYGRAD_MULTI30K has to say where runs are kept")
    apart = disagreement()
    if apart > 1e-9:
        raise SystemExit(f"multi30k: gradients of both sides differ by {apart:.1e}")
    train(Path(given.folder), given.seeds, given.epochs)
    show({"Epochs": of_epochs(Path(given.folder))})


if __name__ == "__main__":
    main()
