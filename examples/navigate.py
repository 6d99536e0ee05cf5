"""Learn to walk through houses by instructions in words: imitation, then reward, then practice.

    imitation   -log P(a_t | words, views so far)   of walks that are demonstrated
    reward      -(r - b) log P(a_t | ...)           of its own walks; r = P(words and walk agree)
    practice    -log P(a_t | ...)                   of the best of its own walks, by r

Without arguments it learns in two to three minutes, in houses (house.py) by errands (errands.py)
such as "go through the red door on your left, then stop at the piano", seeing only what is before
it; r is what a matcher says that has learned from pairs of path and instruction. Practice is in
houses never seen, where nobody demonstrates anything and nobody says what was right. Asked are
other errands there, each with a last door and a thing that were never learned together; beside it
stand walkers from whom the words or the view are hidden. With arguments one can say the way:

    navigate.py --resume                        go on with a run that was interrupted
    navigate.py --say "go through the blue door, then stop at the lamp" --house 3

The folder of --out gets the model of each stage, by its name, and ``walks.html`` and ``walks.svg``:
houses from above, with what was demonstrated and what was walked.
"""

import argparse
import os
import random
import shutil
import time
from itertools import chain, groupby
from pathlib import Path

import command
import errands
import floor_plan
import house
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, models, nn, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# Houses with demonstrations and houses that are new, errands in each; times that they are read.
HOUSES, OTHERS, EACH = (4, 2, 3) if SHORT else (1_500, 125, 4)
IMITATED, HIDDEN, MATCHED, PRACTISED = (1, 1, 1, 1) if SHORT else (5, 1, 2, 2)
ENOUGH = 0.02  # the score by the matcher that has half of the reward
REWARDED = 1 if SHORT else 60  # steps, each with DRAWN walks of each of so many errands
DRAWN, AT_ONCE = 4, 24
EMBEDDING, WIDTH, DROPPED = (8, 16, 0.1) if SHORT else (48, 128, 0.15)


class Blindfolded:
    """Somebody in a house who sees nothing."""

    def __init__(self, walker):
        self.walker = walker

    def view(self):
        """Nothing is to be seen."""
        return np.zeros_like(self.walker.view())

    def act(self, action):
        """Do it."""
        self.walker.act(action)


def walked(model, asked, hide="", **how):
    """Walks by a model, and which of these errands were done."""
    walkers = [errand.walker() for errand in asked]
    worlds = [Blindfolded(walker) for walker in walkers] if hide == "view" else walkers
    words = ["go" if hide == "words" else errand.instruction for errand in asked]
    walks = model.walk(worlds, words, limit=errands.LIMIT, **how)
    ends = zip(asked, walkers, walks, strict=True)
    return walks, np.array([errand.done(walker, walk.stopped) for errand, walker, walk in ends])


def demonstrated(shown, hide=""):
    """Instructions, views and actions of demonstrations."""
    rows = []
    for errand in shown:
        views = np.stack(errand.walked(errand.demonstration)[1])
        views = np.zeros_like(views) if hide == "view" else views
        words = "go" if hide == "words" else errand.instruction
        rows.append((words, views, errand.demonstration))
    return rows


def batches(rows, size=24):
    """Rows, those of like lengths side by side, as what losses take."""
    return data.Batches(
        rows, size, shuffle=True, lengths=[len(row[1]) for row in rows],
        collate=lambda rows: tuple(zip(*rows, strict=True)),
    )  # fmt: skip


def fitted(model, learns, epochs, rate, place, steps=None, loss=None):
    """Train a model; the rate goes up a little, then down. Checkpoints are kept in a place."""
    optimizer = optim.AdamW(model.parameters(), lr=rate)
    total = max(steps or epochs * len(learns), 20)
    schedule = optim.schedules.OneCycleLR(optimizer, rate, total_steps=total, pct_start=0.15)
    trainer = training.Trainer(
        model, optimizer, loss or (lambda model, batch: model.loss(*batch)), schedule=schedule,
        clip_norm=1.0,
    )  # fmt: skip
    saves = training.Checkpoints(place / "checkpoints", every=50, keep=1)
    history = trainer.fit(
        learns, epochs, steps=steps, resume=True, callbacks=[saves], progress=not SHORT
    )
    if history.interrupted:
        raise KeyboardInterrupt
    tg.empty_cache()  # what comes next wants memory in other sizes
    return model


def of_houses(kind, words):
    """A walker or a matcher who sees of each place the sum of what is there.

    What is seen begins with the vector of the word for it, a sofa as well as the colour of a door.
    """
    eyes = nn.Conv2d(house.PLANES, EMBEDDING, 1, bias=False)
    features = EMBEDDING, *house.VIEW[1:]
    model = kind(words, house.ACTIONS, eyes, EMBEDDING, WIDTH, features=features, dropout=DROPPED)
    weight = np.array(eyes.weight.numpy())
    for plane, name in enumerate(house.NAMES):
        if name in words.pieces:
            weight[:, plane, 0, 0] = model.embedding.weight.numpy()[words.pieces.index(name)]
    eyes.weight.assign_(weight)
    return model


# ----- the matcher -----


def strolls(shown, seed):
    """Instructions, views and actions of pairs that agree; in half of the paths are detours."""
    draw, rows = random.Random(seed), []
    for errand in shown:
        actions = errands.strolled(draw, errand, draw.choice((0, 0.15)))
        rows.append((errand.instruction, np.stack(errand.walked(actions)[1]), actions))
    return rows


def matched(matcher, asked, seed):
    """How often a path that leads astray is found to agree less than one that does not."""
    draw = random.Random(seed)
    both = [(errand, errands.astray(draw, errand)) for errand in asked]
    scores = []
    for number in (0, 1):
        paths = [pair[number] for pair in both if pair[1]]
        words = [pair[0].instruction for pair in both if pair[1]]
        views = [np.stack(path.walked(path.demonstration)[1]) for path in paths]
        scores.append(matcher.scores(words, views, [path.demonstration for path in paths]))
    return float((scores[0] > scores[1]).mean())


# ----- reward, and practice -----


def several(model, asked, matcher):
    """Drawn walks of each errand as rows for ``reward_loss``.

    The baseline of a walk is the mean reward of the others of its errand.
    """
    asked = [errand for errand in asked for _ in range(DRAWN)]
    walks, _ = walked(model, asked, sample=True)
    words = [errand.instruction for errand in asked]
    views, actions = [walk.views for walk in walks], [walk.actions for walk in walks]
    scores = matcher.scores(words, views, actions).astype(np.float64)
    stopped = np.array([walk.stopped for walk in walks])  # who gives up has no reward
    rewards = stopped * scores / (scores + ENOUGH)
    each = rewards.reshape(-1, DRAWN)
    others = (each.sum(axis=1, keepdims=True) - each) / (DRAWN - 1)
    return words, views, actions, rewards, others.ravel()


def reward(model, matcher, asked, place, rate=4e-4):
    """REINFORCE, by the matcher alone."""
    drawn = data.Batches(
        asked, AT_ONCE, shuffle=True, collate=lambda some: several(model, some, matcher)
    )
    loss = lambda model, batch: model.reward_loss(*batch, entropy=0.0)
    return fitted(model, drawn, None, rate, place, steps=REWARDED, loss=loss)


def practise(model, matcher, asked, place, rate=5e-4):
    """Learn from the best of its own walks, by the matcher, of those that agree well enough."""
    parts = [  # a few at a time: thousands of walks side by side fill the memory
        several(model, asked[k : k + AT_ONCE], matcher) for k in range(0, len(asked), AT_ONCE)
    ]
    words, views, actions, rewards, _ = (
        list(chain(*column)) for column in zip(*parts, strict=True)
    )
    rewards = np.array(rewards)
    best = rewards.reshape(-1, DRAWN).argmax(axis=1) + DRAWN * np.arange(len(asked))
    kept = [n for n in best if rewards[n] >= 0.5]
    right = sum(asked[n // DRAWN].done(asked[n // DRAWN].walked(actions[n])[0]) for n in kept)
    print(
        f"practice: the best walks of {len(kept)} of {len(asked)} errands agree well enough, "
        f"{right} of them rightly"
    )
    if kept:
        rows = [(words[n], views[n], actions[n]) for n in kept]
        fitted(model, batches(rows), PRACTISED, rate, place)
    return model


# ----- all of it -----

STAGES = "imitation", "matcher", "reward", "practice", "no words", "no view"


class Errands:
    """Errands that are demonstrated, and others, each by its instruction alone.

    roamed  in houses where nobody demonstrates, for reward
    known   in the houses in which is asked, to practise
    asked   each with a combination that is held out
    """

    def __init__(self, seed):
        self.shown = errands.errands(HOUSES, EACH, f"shown {seed}")
        self.roamed = errands.errands(max(1, HOUSES // 4), EACH, f"roamed {seed}")
        self.known = errands.errands(OTHERS, EACH, f"other {seed}")
        self.asked = errands.errands(OTHERS, EACH, f"other {seed}", held_out=True)
        self.words = text.Words.of("\n".join(one.instruction for one in self.shown), lower=True)

    def imitator(self, place, epochs=IMITATED, hide=""):
        """One who has learned from demonstrations; if something is hidden, from every other one."""
        model = of_houses(models.Navigator, self.words)
        shown = demonstrated(self.shown[:: 2 if hide else 1], hide)
        return fitted(model, batches(shown), epochs, 4e-3, place)

    def matcher(self, place, seed):
        """A matcher that has learned from pairs."""
        model = of_houses(models.PathMatcher, self.words)
        return fitted(model, batches(strolls(self.shown, seed)), MATCHED, 4e-3, place)


def learn(seed, folder, resume=False):
    """Imitation, reward and practice: the share of errands done after each; drawn into a folder.

    With ``resume`` what a run before has learned is taken from the folder.
    """
    began, given, found = time.perf_counter(), Errands(seed), {}
    print(
        f"{len(given.shown):,} errands demonstrated in {HOUSES:,} houses; {len(given.asked)} asked "
        f"in {OTHERS} others, each with what was never seen together; {len(given.words)} words"
    )

    for name in () if resume else STAGES:  # all of them, or a later one would be resumed with this
        shutil.rmtree(folder / name, ignore_errors=True)

    def stage(name, make):
        place = folder / name
        if resume and (place / "model.json").exists():
            return models.load(place)
        tg.seed(seed)
        model = make(place)
        model.save(place)
        return model

    def walker(name, make, hide=""):
        model = stage(name, make)
        walks, done = walked(model, given.asked, hide)
        found[name] = float(done.mean())
        seconds = time.perf_counter() - began
        print(f"{name:>14}: {found[name]:6.1%} of what is asked is done; {seconds:.0f} s")
        return model, walks, done

    model, *_ = walker("imitation", given.imitator)
    matcher = stage("matcher", lambda place: given.matcher(place, seed))
    found["matcher"] = matched(matcher, given.asked, seed)
    print(f"the matcher tells {found['matcher']:.1%} of paths from others that lead astray")
    model, *_ = walker("reward", lambda place: reward(model, matcher, given.roamed, place))
    model, walks, done = walker(
        "practice", lambda place: practise(model, matcher, given.known, place)
    )
    for hide in ("words", "view"):
        walker(f"no {hide}", lambda place, hide=hide: given.imitator(place, HIDDEN, hide), hide)
    draw(model, given.asked, walks, done, folder)
    return found


# ----- pictures, and a way that one says -----


def picture(model, errand, walk, done=None):
    """A walk from above: each word has the colour of the moment when it was looked at most."""
    words, last = model.vocabulary.cut(errand.instruction), max(1, len(walk.actions) - 1)
    looks = walk.attention.argmax(axis=0) / last
    times = [looks[n] for n, word in enumerate(words) if word.isalnum()]  # marks stand at words
    return floor_plan.picture(errand, errand.walked(walk.actions)[0].poses, times, done)


def draw(model, asked, walks, done, folder):
    """Walks that were asked, most of them right, some wrong, on a page and as a picture."""
    right, wrong = (np.flatnonzero(done == is_so) for is_so in (True, False))
    numbers = [*right[:: max(1, len(right) // 8)][:8], *wrong[:4]]  # in several houses
    shown = [picture(model, asked[n], walks[n], bool(done[n])) for n in numbers]
    pairs = [shown[n : n + 2] for n in range(0, len(shown), 2)]
    note = (
        "Houses that were never learned from. Dotted is the way that would have been "
        "demonstrated; coloured from blue to orange the way that was walked; a circle is around "
        "the thing that is meant. A word has the colour of the moment at which it was looked at "
        "most."
    )
    drawn = [floor_plan.framed(*pair) for pair in pairs]
    page = inspect.gallery(drawn, "Walks by instructions", note)
    (folder / "walks.html").write_text(page, "utf-8")
    (folder / "walks.svg").write_text(drawn[0], "utf-8")


def follow(says, number, folder):
    """Walk by what somebody says, in a house of a number; what is odd about it is told."""
    model = command.model_of(folder / "practice", models.Navigator)
    draws = random.Random(f"said {number}")
    begin = errands.errand(draws, house.built(draws))
    pictures = []
    for says_so in says:
        errand = errands.Errand(begin.house, begin.start, (), None, says_so)
        words, ids = model.vocabulary.cut(says_so), model.vocabulary.encode(says_so)
        unknown = [word for word, token in zip(words, ids, strict=True) if not token]
        trouble = errands.trouble(errand.house, errand.start[0], says_so)
        print(f'"{says_so}"')
        if unknown:
            print(f"  unknown words: {', '.join(unknown)}")
        if trouble:
            print(f"  cannot be followed: {trouble}")
        if not words:
            continue
        (walk,) = model.walk([errand.walker()], [says_so], limit=errands.LIMIT)
        runs = [(action, len(list(same))) for action, same in groupby(walk.actions)]
        said = " ".join(f"{action} ×{n}" if n > 2 else f"{action} " * n for action, n in runs)
        print(f"  {' '.join(said.split())}{'' if walk.stopped else ': it gave up'}")
        pictures.append(picture(model, errand, walk))
    if pictures:
        page = inspect.gallery(map(floor_plan.framed, pictures), "Walks by what was said", "")
        (folder / "said.html").write_text(page, "utf-8")
        print(f"wrote {folder / 'said.html'}")


# ----- the command -----


@command.ended()
def main():
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("--out", default="out/navigate", help="the folder for everything that is written")
    add("--seed", type=int, default=0, help="of all random numbers")
    add("--say", nargs="+", metavar="WORDS", help="instructions for the model in --out")
    add("--house", type=int, default=0, help="the number of the house in which to follow them")
    add("--resume", action="store_true", help="go on with the run in --out")
    args = command.parsed(parser)
    if args.resume:
        command.refuse(parser, args, "out resume", "is nothing for --resume: a run has its own")
    folder = Path(args.out)
    if args.say:
        follow(args.say, args.house, folder)
    else:
        run = training.RunFolder(
            folder, {"seed": args.seed}, resume=args.resume, anew=not args.resume
        )
        run.begin()
        learn(run.settings["seed"], folder, run.resumes)
        run.finish()
        for name in ("practice", "matcher", "walks.html", "walks.svg"):
            print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
