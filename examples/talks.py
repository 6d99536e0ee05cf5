"""Dialogues about the scenes of asked.py, for dialogue.py: "it" and "the other one".

    there is a triangle.
    what shape is the thing above it?           moon
    what colour is the other one?               blue       (the triangle)
    is the other one small or large?            large      (the moon)
    what colour is the thing below the square?  green
    what shape is it?                           star

"It" is the thing that the last answer was about, first that of the caption; "the other one" is the
last other thing that an answer was about. A question tells neither, so whoever forgets what was
said has to guess: nothing is asked that was said, nor what is the same of all that may be meant.
"""

import random
from dataclasses import dataclass
from itertools import islice

import asked
import command
from asked import FORMS

ROUNDS = 5
THINGS = (4,)  # in a scene: of fewer it is soon known which is meant


@dataclass(frozen=True)
class Round:
    """A question, its answer, and what it takes to know of whom it speaks.

    of  "name", "it", or "other"
    """

    question: str
    answer: str
    of: str


@dataclass(frozen=True)
class Talk:
    """A scene, what is said of it first, and rounds of questions and answers."""

    scene: asked.Scene
    caption: str
    rounds: tuple[Round, ...]

    def told(self):
        """Rounds as (question, answer)."""
        return [(one.question, one.answer) for one in self.rounds]


class Talker:
    """Speaks about a scene.

    it, other  the numbers of the thing that the last answer was about, and of the last other one
    known      what was said of things: (number, "colour") ...
    """

    def __init__(self, scene, draw):
        self.scene, self.draw = scene, draw
        self.known, self.other = set(), None
        self.it = draw.randrange(len(scene.things))
        self.caption = f"there is {asked.a(self.named(self.it).removeprefix('the '))}."

    def named(self, number):
        """What a thing is called; what that tells of it is known from then on."""
        name = self.draw.choice(self.scene.names[number])
        thing = self.scene.things[number]
        self.known |= {(number, kind) for kind in FORMS if getattr(thing, kind) in name.split()}
        return name

    def round(self):
        """A question about one of the things that were spoken of, or about any by its name."""
        # Of the other one little can be asked, so it has to be tried often.
        of = self.draw.choice(("it", "it", "other", "other", "other", "other", "name"))
        if of == "other" and self.other is None:
            return None
        number = {"it": self.it, "other": self.other}.get(of)
        if number is None:
            number = self.draw.randrange(len(self.scene.things))
        said = {"it": "it", "other": "the other one"}.get(of) or self.named(number)
        ask = self.has if of == "other" else self.draw.choice((self.has, self.beside))
        about, kind, question = ask(number, said)
        if question is None:
            return None
        self.known.add((about, kind))
        if about != self.it:
            self.it, self.other = about, self.it
        return Round(question, getattr(self.scene.things[about], kind), of)

    def has(self, number, said):
        """What it has: the thing, what of it, and the question."""
        kinds = [kind for kind in FORMS if self.tells(kind, number, range(len(self.scene.things)))]
        kind = self.draw.choice(kinds) if kinds else None
        return number, kind, kind and FORMS[kind].format(said)

    def beside(self, number, said):
        """What the thing beside it has: that thing, what of it, and the question."""
        found = []
        for one, relation, other in self.scene.beside:
            if other == number:
                others = [n for n, same, _ in self.scene.beside if same == relation]
                kinds = [kind for kind in ("colour", "shape") if self.tells(kind, one, others)]
                found += [(one, kind, relation) for kind in kinds]
        one, kind, relation = self.draw.choice(found) if found else (None, None, None)
        return one, kind, kind and f"what {kind} is the thing {relation} {said}?"

    def tells(self, kind, number, others):
        """Whether it is not known yet what it has, and not the same of all that may be meant."""
        if (number, kind) in self.known:
            return False
        return len({getattr(self.scene.things[other], kind) for other in others}) > 1


def talk(scene, draw):
    """A dialogue about a scene; a short one where things are so alike that little can be asked."""
    longest = ()
    for _ in range(20):
        talker = Talker(scene, draw)
        tried = (talker.round() for _ in range(60))
        rounds = tuple(islice((one for one in tried if one is not None), ROUNDS))
        if len(rounds) > len(longest):
            caption, longest = talker.caption, rounds
        if len(longest) == ROUNDS:
            break
    return Talk(scene, caption, longest)


def talks(learned, asked_of, seed=0, times=1):
    """Dialogues about so many scenes to learn from, so many about each, and about so many others.

    All scenes come once before one comes again.
    """
    draw = random.Random(seed)
    parts = asked.asked_scenes(learned, asked_of, seed, THINGS)
    return [
        [talk(scene, draw) for scene in part * number]
        for part, number in zip(parts, (times, 1), strict=True)
    ]


if __name__ == "__main__":
    with command.ended():
        for one in talks(3, 0)[0]:
            print("", one.caption, *(f"{r.question} {r.answer}" for r in one.rounds), sep="\n")
