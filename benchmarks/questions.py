"""Questions and dialogues about drawn scenes: what is lost when something is hidden.

What examples/answer.py and examples/dialogue.py learn, for several seeds, in pieces: a seed's eyes
first, by whose features all others learn. What a run came to stays in a folder, its checkpoints
beside it, and what is there is not run again. The table is made of what is there.

    python benchmarks/questions.py --folder runs --seeds 3
    python benchmarks/questions.py --folder runs --seconds 180     and again, until all is done
    TINYGRAD_QUESTIONS=runs python benchmarks/run.py questions     the table, of what is there
"""

import argparse
import json
import os
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
from pieces import Until, keep
from table import show, spread, table

import tinygrad_rnn as tg
from tinygrad_rnn import models, training

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import answer
import dialogue

# More than the examples have time for: times 8 questions about each scene, by who looks and by
# others, and dialogues.
LOOKED, READ, TALKED = 12, 8, 2 * dialogue.TALKED
TITLES = {
    "answer": "Questions about scenes",
    "usual": "Questions about scenes, other answers than were usual",
    "dialogue": "Dialogues about scenes",
}
BARS = {
    "answer": "Bars: 95 % right, the question alone under 70 %. 400 scenes, each with a thing of a "
    "look that was never seen, 8 questions about each; 3,000 to learn from, "
    f"{LOOKED} times 8 questions about each by who looks, {READ} times by others. "
    "“Of four” has four answers to choose from.",
    "usual": "Learned where half of all answers are four times as frequent as the others; asked "
    "where they are, too, and where the others are.",
    "dialogue": "Bars: 95 % right; without what was said under 70 %. 400 dialogues of "
    f"{dialogue.talks.ROUNDS} rounds about scenes of four things, one of a look that was never "
    f"seen; 3,000 to learn from, {dialogue.ALONE} times 8 questions that stand alone and "
    f"{TALKED} dialogues about each. Answers are given in view of the right ones before.",
}
WAYS = {"answer": answer.WAYS, "dialogue": dialogue.WAYS, "usual": answer.WAYS}


class Seed:
    """What all runs of a seed share: scenes, and what eyes see in them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed

    def how(self, name: str, seconds: float) -> dict:
        """For ``Trainer.fit``: to go on with a run, for so long."""
        checkpoints = training.Checkpoints(self.folder / f"{name}-{self.seed}", every=50, keep=1)
        return {"resume": True, "callbacks": [checkpoints, Until(seconds)]}

    def eyes(self, part: str, seconds: float) -> dict | None:
        """Learn to see the scenes of a part, and keep what is seen."""
        tg.seed(self.seed)
        things = dialogue.talks.THINGS if part == "dialogue" else answer.asked.THINGS
        learned, others = answer.asked.asked_scenes(answer.LEARNED, answer.ASKED, self.seed, things)
        pictures = answer.shown(learned)
        eyes, history = answer.see(pictures, learned, **self.how(f"{part} eyes", seconds))
        if history.stopped or history.interrupted:
            return None
        seen, unseen = (answer.features(eyes, p) for p in (pictures, answer.shown(others)))
        np.savez(self.folder / f"{part} seen-{self.seed}.npz", seen=seen, others=unseen)
        return {"seconds": answer.seconds(history)}

    def features(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        with np.load(self.folder / f"{part} seen-{self.seed}.npz") as found:
            return found["seen"], found["others"]

    def answer(self, way: str, seconds: float) -> dict | None:
        """Questions, answered in one of the ways."""
        if way == "eyes":
            return self.eyes("answer", seconds)
        seen, others = self.features("answer")
        scenes = scenes_of(self.seed)
        tg.seed(self.seed)
        model, history = answer.learned(
            scenes.words, scenes.known(seen, LOOKED if answer.WAYS[way].get("attend") else READ),
            answer.WAYS[way],
            **self.how(f"answer {way}", seconds),
        )  # fmt: skip
        if history.stopped or history.interrupted:
            return None
        tests = answer.told(others, scenes.tests)
        choices = [one.choices() for own in scenes.tests for one in own]
        found = answer.by_kind(scenes, tests.right(model))
        found["of four"] = float(tests.right(model, choices).mean())
        if model.attend:
            found["last look"] = answer.pointed(scenes, model, others)
        return found | {"minutes": answer.seconds(history) / 60}

    def usual(self, way: str, seconds: float) -> dict | None:
        """The same where some answers are usual in what is learned."""
        seen, others = self.features("answer")
        scenes = scenes_of(self.seed)
        tg.seed(self.seed)
        known = scenes.known(seen, READ, usual=True)
        model, history = answer.learned(
            scenes.words, known, answer.WAYS[way], **self.how(f"usual {way}", seconds)
        )
        if history.stopped or history.interrupted:
            return None
        tests = {"as usual": True, "others are": False}
        return {
            what: float(
                answer.told(others, scenes.of(scenes.asked, usual, self.seed + 1))
                .right(model)
                .mean()
            )
            for what, usual in tests.items()
        }

    def dialogue(self, way: str, seconds: float) -> dict | None:
        """Dialogues, with something hidden."""
        if way == "eyes":
            return self.eyes("dialogue", seconds)
        seen, others = self.features("dialogue")
        given, kept = talks_of(self.seed), self.folder / f"dialogue alone-{self.seed}" / "model"
        tg.seed(self.seed)
        how = self.how(f"dialogue {way}", seconds)
        if way == "alone":
            model, history = dialogue.learned_alone(given, seen, **how)
        else:
            settings, alone = dialogue.WAYS[way], models.load(kept)
            model, history = dialogue.learned(given, seen, settings, alone, TALKED, **how)
        if history.stopped or history.interrupted:
            return None
        if way == "alone":
            model.save(kept)
            return {"minutes": answer.seconds(history) / 60}
        captions, told = given.asked_of()
        true = np.array([one for own in told for _, one in own])
        said = np.concatenate(model.answers(others, captions, told))
        found = dialogue.by_reference(given, said == true)
        own = model.talk(others, captions, [[question for question, _ in own] for own in told])
        found["by its own answers"] = float((np.concatenate(own) == true).mean())
        return found | {"minutes": answer.seconds(history) / 60}


@cache
def scenes_of(seed: int) -> answer.Scenes:
    return answer.Scenes(seed, drawn=False)


@cache
def talks_of(seed: int) -> dialogue.Talks:
    return dialogue.Talks(seed, drawn=False, times=TALKED)


def runs() -> list[tuple[str, str]]:
    """What is run of a seed, in this order."""
    first = {"answer": ["eyes"], "dialogue": ["eyes", "alone"], "usual": []}
    return [(part, way) for part, own in WAYS.items() for way in [*first[part], *own]]


def train(folder: Path, seeds: list[int], seconds: float, only: str) -> None:
    """Run what is not there yet, for so long; what others need, first."""
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    for number in seeds:
        seed = Seed(folder, number)
        for part, way in runs():
            done = folder / f"{part} {way}-{number}.json"
            if done.exists() or only not in f"{part} {way}":
                continue
            left = end - time.monotonic()
            if left < 0:
                return
            found = getattr(seed, part)(way, left)
            print(f"{part} {way}, seed {number}: {found or 'goes on'}", flush=True)
            if found is None:
                return
            keep(found, done)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_QUESTIONS names."""
    folder = os.environ.get("TINYGRAD_QUESTIONS")
    if folder is None:
        print("questions: skipped, TINYGRAD_QUESTIONS names no folder of runs")
        return {}
    found: dict[str, list[str]] = {}
    for part, title in TITLES.items():
        rows, head = [], []
        for way in WAYS[part]:
            files = sorted(Path(folder).glob(f"{part} {way}-*.json"))
            columns = [json.loads(file.read_text()) for file in files]
            if not columns:
                continue
            names = [name for name in columns[0] if name not in ("last look", "minutes")]
            head = ["", "seeds", *names]
            cells = [spread([100 * one[name] for one in columns], "{:.1f}") for name in names]
            rows.append(f"| {way} | {len(columns)} | **{cells[0]}** | {' | '.join(cells[1:])} |")
            if "last look" in columns[0]:
                looks = spread([100 * one["last look"] for one in columns], "{:.1f}")
        if rows:
            found[title] = table(f"{BARS[part]} In percent.", head, rows)
            if part == "answer" and rows:
                asks = "The last look is at the thing that is asked for in"
                found[title] += ["", f"{asks} {looks} %, by chance in 25."]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", default=os.environ.get("TINYGRAD_QUESTIONS"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="which")
    parser.add_argument("--seconds", type=float, default=1e9, help="of this piece, about")
    parser.add_argument("--only", default="", help="runs whose name has this in it")
    given = parser.parse_args()
    if given.folder is None:
        parser.error("--folder or TINYGRAD_QUESTIONS has to say where runs are kept")
    train(Path(given.folder), given.seeds, given.seconds, given.only)
    os.environ["TINYGRAD_QUESTIONS"] = given.folder
    show(sections())


if __name__ == "__main__":
    main()
