"""Walks by instructions in houses never seen: after imitation, after reward, after practice.

What examples/navigate.py learns, once for each seed, some minutes each. What a stage came to stays
in a folder, and is not learned again; the table is made of what is there.

    python benchmarks/navigate.py --folder runs --seeds 3
    TINYGRAD_NAVIGATE=runs python benchmarks/run.py navigate       the table, of what is there
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

STAGES = {
    "no words": "imitation, the words hidden",
    "no view": "imitation, the view hidden",
    "imitation": "imitation of demonstrations",
    "reward": "then REINFORCE, the reward by the matcher",
    "practice": "then its own best walks, by the matcher, in the new houses",
}


def bar(run: dict) -> str:
    """What was asked of a run, and how far it has to come."""
    return (
        f"{run['houses'] * run['each']:,} demonstrations in {run['houses']:,} houses; asked "
        f"are some {run['others'] * run['each']} errands in {run['others']} others, each with a "
        "last door and a thing that were never learned together. % that are done: who stops right "
        "beside the thing that is meant. Bars: 90 after imitation, more after reward, under 70 "
        "where words or view are hidden. Means over seeds, and the least and the most."
    )


def train(folder: Path, seeds: int) -> None:
    """Run what is not there yet."""
    import navigate  # the example

    for seed in range(seeds):
        done = folder / f"navigate-{seed}.json"
        if not done.exists():
            found = navigate.learn(seed, folder / str(seed), resume=True)
            sizes = {name.lower(): getattr(navigate, name) for name in ("HOUSES", "EACH", "OTHERS")}
            keep(found | sizes, done)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_NAVIGATE names."""
    folder = os.environ.get("TINYGRAD_NAVIGATE")
    if folder is None:
        print("navigate: skipped, TINYGRAD_NAVIGATE names no folder of runs")
        return {}
    runs = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("navigate-*.json"))]
    if not runs:
        print("navigate: skipped, there is no seed that was run")
        return {}
    rows = [
        f"| {what} | {spread([run[stage] for run in runs])} |" for stage, what in STAGES.items()
    ]
    pairs = spread([run["matcher"] for run in runs])
    rows += ["", f"The matcher tells {pairs} of paths from others that lead astray."]
    head = [f"learned by, seeds: {len(runs)}", "errands done"]
    return {"Walks by instructions": table(bar(runs[0]), head, rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_NAVIGATE"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_NAVIGATE has to say where runs are kept")
    train(Path(given.folder), given.seeds)
    os.environ["TINYGRAD_NAVIGATE"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
