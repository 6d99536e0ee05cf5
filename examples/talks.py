"""Dialogues about the scenes of asked.py, for dialogue.py: "it" and "the other one".

    there is a yellow star.
    is it small or large?                       small
    what shape is the thing below it?           moon
    what colour is it?                          green
    is there a thing above the other one?       no
    what shape is the thing left of the other one?      circle

"It" is the thing that was spoken of last: that of the caption, or the one that the last question
asked for; "the other one" is that which was spoken of before it. A question tells neither, so
whoever forgets what was said has to guess; and nothing is asked twice that was said.
"""

import random
from dataclasses import dataclass
from itertools import islice

import asked
from asked import FORMS

ROUNDS = 5


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

    it, other  the numbers of the things that were spoken of last, and before
    known      what was said of things: (number, "colour") ...
    """

    def __init__(self, scene, draw):
        self.scene, self.draw = scene, draw
        self.known, self.other = set(), None
        self.it = draw.randrange(len(scene.things))
        self.caption = f"there is {asked.a(self.named(self.it).removeprefix('the '))}."

    def named(self, number):
        """What a thing is called; what that tells of it is known from then on."""
        name = self.draw.choice(asked.names_of(self.scene, number) or ["the thing"])
        thing = self.scene.things[number]
        self.known |= {(number, kind) for kind in FORMS if getattr(thing, kind) in name.split()}
        return name

    def speak_of(self, number):
        """It is spoken of from now on."""
        if number != self.it:
            self.it, self.other = number, self.it

    def round(self):
        """A question about one of the things that were spoken of, or about any by its name."""
        of = self.draw.choice(("it", "it", "other", "other", "name"))
        if of == "other" and self.other is None:
            return None
        number = {"it": self.it, "other": self.other}.get(of)
        if number is None:
            number = self.draw.randrange(len(self.scene.things))
        said = {"it": "it", "other": "the other one"}.get(of) or self.named(number)
        ask = self.draw.choice((self.has, self.has, self.beside, self.alone))
        return ask(of, number, said)

    def has(self, of, number, said):
        """What it has."""
        kinds = [kind for kind in FORMS if (number, kind) not in self.known]
        if not kinds:
            return None
        kind = self.draw.choice(kinds)
        self.known.add((number, kind))
        self.speak_of(number)
        return Round(FORMS[kind].format(said), getattr(self.scene.things[number], kind), of)

    def beside(self, of, number, said):
        """What the thing beside it has, of which is spoken next."""
        found = [(one, relation) for one, relation, other in self.scene.beside() if other == number]
        if not found:
            return None
        one, relation = self.draw.choice(found)
        self.known.add((number, relation))
        kinds = [kind for kind in ("colour", "shape") if (one, kind) not in self.known]
        if not kinds:
            return None
        kind = self.draw.choice(kinds)
        self.known.add((one, kind))
        self.speak_of(number)
        self.speak_of(one)
        answer = getattr(self.scene.things[one], kind)
        return Round(f"what {kind} is the thing {relation} {said}?", answer, of)

    def alone(self, of, number, said):
        """Whether there is a thing beside it."""
        relation = self.draw.choice([side for n, side in self.scene.sides() if n == number])
        if (number, relation) in self.known:
            return None
        self.known.add((number, relation))
        self.speak_of(number)
        yes = any(found[1:] == (relation, number) for found in self.scene.beside())
        answer = "yes" if yes else "no"
        return Round(f"is there a thing {relation} {said}?", answer, of)


def talk(scene, draw):
    """A dialogue about a scene."""
    while True:  # until there is enough to be asked
        talker = Talker(scene, draw)
        tried = (talker.round() for _ in range(60))
        rounds = tuple(islice((one for one in tried if one is not None), ROUNDS))
        if len(rounds) == ROUNDS:
            return Talk(scene, talker.caption, rounds)


def talks(learned, asked_of, seed=0, times=1):
    """Dialogues about so many scenes to learn from, so many about each, and about so many others.

    All scenes come once before one comes again.
    """
    draw = random.Random(seed)
    parts = asked.asked_scenes(learned, asked_of, seed)
    return [
        [talk(scene, draw) for scene in part * number]
        for part, number in zip(parts, (times, 1), strict=True)
    ]


if __name__ == "__main__":
    for one in talks(3, 0)[0]:
        print("", one.caption, *(f"{r.question} {r.answer}" for r in one.rounds), sep="\n")
