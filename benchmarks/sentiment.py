"""Good or bad: layers that read both ways against a bag of words, by kinds of opinions.

What examples/sentiment.py learns, once for each seed, about a minute each. What a seed came to
stays in a folder, and is not run again; the table is made of what is there.

    python benchmarks/sentiment.py --folder runs --seeds 3
    TINYGRAD_SENTIMENT=runs python benchmarks/run.py sentiment     the table, of what is there
"""

import argparse
import json
import os
import sys
from pathlib import Path

from pieces import keep
from table import show, spread, table

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

BAR = (
    "Opinions of a grammar, 5,000 to learn from; 1,000 others, each with a pair of adjective and "
    "how it is said that was never learned. Bars: 98 % by layers, a bag of words under 70 %. Means "
    "over seeds, and the least and the most."
)


def train(folder: Path, seeds: int) -> None:
    """Run the seeds that are not there yet."""
    import sentiment as example

    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        done = folder / f"sentiment-{seed}.json"
        if not done.exists():
            found = example.learn(example.arguments(["--seed", str(seed)]))
            keep(found, done)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_SENTIMENT names."""
    folder = os.environ.get("TINYGRAD_SENTIMENT")
    if folder is None:
        print("sentiment: skipped, TINYGRAD_SENTIMENT names no folder of runs")
        return {}
    runs = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("sentiment-*.json"))]
    if not runs:
        print("sentiment: skipped, there is no seed that was run")
        return {}
    rows = []
    for reader, kinds in runs[0].items():
        cells = [spread([run[reader][kind] for run in runs]) for kind in kinds]
        rows.append(f"| {' | '.join([reader, f'**{cells[0]}**', *cells[1:]])} |")
    head = [f"labels that are right, seeds: {len(runs)}", *runs[0][reader]]
    return {"Opinions": table(BAR, head, rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_SENTIMENT"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_SENTIMENT has to say where runs are kept")
    train(Path(given.folder), given.seeds)
    os.environ["TINYGRAD_SENTIMENT"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
