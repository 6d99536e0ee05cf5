"""Captions of films: mean pooling against S2VT, split by whether the order of frames matters.

What examples/video.py learns, once for each seed, some two minutes each. What a seed came to stays
in a folder, and is not run again; the table is made of what is there.

    python benchmarks/video.py --folder runs --seeds 3
    TINYGRAD_VIDEO=runs python benchmarks/run.py video         the table, of what is there
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
    "Films of moving shapes, 3,000 to learn from; of 400 others, each with a combination of thing "
    "and motion that was never learned, half have other captions when they are played backwards. A "
    "caption counts where it is one of those that are true. Bar: S2VT above mean pooling where the "
    "order matters. Means over seeds, and the least and the most."
)


def train(folder: Path, seeds: int) -> None:
    """Run the seeds that are not there yet."""
    import video  # the example

    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        done = folder / f"video-{seed}.json"
        if not done.exists():
            keep(video.learn(seed), done)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_VIDEO names."""
    folder = os.environ.get("TINYGRAD_VIDEO")
    if folder is None:
        print("video: skipped, TINYGRAD_VIDEO names no folder of runs")
        return {}
    runs = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("video-*.json"))]
    if not runs:
        print("video: skipped, there is no seed that was run")
        return {}
    head = [f"captions that are true, seeds: {len(runs)}", "all", "order matters", "does not"]
    rows = []
    for name in runs[0]["captions"]:
        cells = [spread([run["captions"][name][part] for run in runs]) for part in range(3)]
        rows.append(f"| {' | '.join([name, *cells])} |")
    pictures = spread([run["pictures"] for run in runs])
    labels = ", ".join(
        f"{name} {spread([run['labels'][name] for run in runs])}" for name in runs[0]["labels"]
    )
    rows += ["", f"Captions of single pictures: {pictures} true. Labels right: {labels}."]
    return {"Captions of films": table(BAR, head, rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_VIDEO"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_VIDEO has to say where runs are kept")
    train(Path(given.folder), given.seeds)
    os.environ["TINYGRAD_VIDEO"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
