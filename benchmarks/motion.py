"""Bodies in motion: joints and gestures in films, gestures of skeletons, next poses, gazes.

What examples/motion.py learns, once for each seed, in three parts of a minute or so. What a part
came to stays in a folder, and is not run again; the tables are made of what is there.

    python benchmarks/motion.py --folder runs --seeds 3
    TINYGRAD_MOTION=runs python benchmarks/run.py motion       the tables, of what is there
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

ASKED = (
    "others are asked, each body in a combination of body, speed and gesture that was never "
    "learned. Means over seeds, and the least and the most."
)
# What a run has found: under which title, of what, what its numbers are, and how they are written.
TABLES = {
    "joints": (
        "Joints in films",
        f"600 films of two gestures, with posts that hide parts of bodies; 200 {ASKED}",
        ("cm off: seen", "hidden by a post"), "{:.1f}",
    ),
    "next poses": (
        "Next poses",
        f"3,000 skeletons; 600 {ASKED} Bar: nearer than the last pose.",
        ("cm off: after 1 frame", "2", "3", "4", "5"), "{:.1f}",
    ),
    "gestures in films": (
        "Gestures in films",
        f"A gesture for every frame of 600 films; 200 {ASKED} Bar: who does not know the order of "
        "frames stays under 70 %.",
        ("right",), "{:.1%}",
    ),
    "gestures of skeletons": (
        "Gestures of skeletons",
        f"One gesture for each of 3,000 skeletons, 15 % of their joints lost; 600 {ASKED} Bar: as "
        "above.",
        ("right",), "{:.1%}",
    ),
    "gaze": (
        "Where somebody looks",
        "3,000 faces that look around; 600 of other people are asked. Bar: as for gestures. Means "
        "over seeds, and the least and the most.",
        ("degrees off: eyes open", "blinking", "% within 5 degrees"), "{:.1f}",
    ),
}  # fmt: skip


def train(folder: Path, seeds: int) -> None:
    """Run the parts that are not there yet."""
    import motion  # the example

    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for part in motion.PARTS:
            done = folder / f"{part.__name__}-{seed}.json"
            if not done.exists():
                keep(part(seed)[0], done)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_MOTION names."""
    folder = os.environ.get("TINYGRAD_MOTION")
    if folder is None:
        print("motion: skipped, TINYGRAD_MOTION names no folder of runs")
        return {}
    runs = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*-*.json"))]
    found = {}
    for kind, (title, bar, columns, form) in TABLES.items():
        own = [run[kind] for run in runs if kind in run]
        rows = []
        for name in own[0] if own else []:
            numbers = zip(*[run[name] for run in own], strict=True)
            cells = [name, *[spread(list(some), form) for some in numbers]]
            rows.append(f"| {' | '.join(cells)} |")
        if own:
            found[title] = table(bar, [f"seeds: {len(own)}", *columns], rows)
    if not found:
        print("motion: skipped, there is nothing that was run")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_MOTION"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_MOTION has to say where runs are kept")
    train(Path(given.folder), given.seeds)
    os.environ["TINYGRAD_MOTION"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
