"""Drawn scenes and questions about them, for answer.py and dialogue.py: things in four quarters.

    what colour is the small star?  purple       is there a red heart?  no
    what shape is the thing left of the green moon?  circle       is the star small or large?  small

Two to four things, no two alike, stand in the quarters of a picture: 26 million scenes, whatever
the paper and how things are turned and moved. A sixth of the looks that things may have is held
out: of each colour two shapes in one size, as a small red circle or a large red star. A scene with
such a thing is never learned from, and each one that is asked has one. So nobody can know an
answer by heart; and as every kind of question has all of its answers, about as often, the question
alone tells little.

Whoever has learned what is usual in place of what is to be seen is found out by other answer
frequencies: of each kind of question half of the answers are ``USUAL``, four times as often as the
others where ``usual=True``, a quarter as often where it is False (after VQA-CP).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import command
import numpy as np
import scenes
from scenes import COLOURS, SHAPES, SIZES, Thing

THINGS = (2, 3, 3, 4, 4)  # how many stand in a scene: any of these
QUARTERS = [(x, y) for y in (0.26, 0.74) for x in (0.26, 0.74)]  # as one reads
CORNERS = "top left", "top right", "bottom left", "bottom right"
# For each relation where the other quarter is, from one that is at the left or at the top.
BESIDE = {"left of": (0, 1), "right of": (1, 0), "above": (0, 2), "below": (2, 0)}
HELD_OUT = {
    (("small", "large")[(i + j) % 6 == 3], colour, shape)
    for i, colour in enumerate(COLOURS)
    for j, shape in enumerate(SHAPES)
    if (i + j) % 3 == 0
}
ANSWERS = [*COLOURS, *SHAPES, *SIZES, "yes", "no"]
USUAL = {*list(COLOURS)[::2], *list(SHAPES)[::2], "small", "yes"}
CHOICES = 4


@dataclass(frozen=True)
class Question:
    """What is asked of a scene, and which of its things the answer is about, if it is one."""

    kind: str
    text: str
    answer: str
    about: int | None = None

    def choices(self):
        """Four answers, of which one is right; the others are of the same kind where it has more.

        They are the same whenever they are asked for.
        """
        draw = random.Random(self.text + self.answer)
        own = next(group for group in KINDS_OF_ANSWERS if self.answer in group)
        others = [one for one in own if one != self.answer]
        rest = [one for one in ANSWERS if one not in own]
        found = draw.sample(others, min(CHOICES - 1, len(others)))
        found += draw.sample(rest, CHOICES - 1 - len(found))
        return draw.sample([self.answer, *found], CHOICES)


KINDS_OF_ANSWERS = list(COLOURS), list(SHAPES), list(SIZES), ["yes", "no"]


@dataclass(frozen=True)
class Scene:
    """Things in quarters of a picture, each (quarter, thing), on paper."""

    placed: tuple[tuple[int, Thing], ...]
    paper: int

    @cached_property
    def things(self):
        """What stands in its quarters, as one reads."""
        return [thing for _, thing in self.placed]

    @cached_property
    def names(self):
        """For each thing all that it may be called."""
        return [names_of(self, number) for number in range(len(self.things))]

    def is_held_out(self):
        """Whether it has a thing whose look is never learned."""
        return any((one.size, one.colour, one.shape) in HELD_OUT for one in self.things)

    @cached_property
    def beside(self):
        """All (number of one, relation, number of the other) of neighbours in a row or column."""
        quarters = [quarter for quarter, _ in self.placed]
        found = []
        for relation, (one, other) in BESIDE.items():
            for step in (0, 2 if relation.endswith("of") else 1):
                if {one + step, other + step} <= set(quarters):
                    pair = quarters.index(one + step), quarters.index(other + step)
                    found.append((pair[0], relation, pair[1]))
        return found

    def sides(self):
        """Where each could have a neighbour: all (number, relation) that lead to a quarter."""
        return [
            (number, relation)
            for number, (quarter, _) in enumerate(self.placed)
            for relation in (
                "left of" if quarter % 2 else "right of", "above" if quarter > 1 else "below",
            )
        ]  # fmt: skip

    def picture(self, pixels=scenes.PIXELS):
        """Red, green and blue (pixels, pixels, 3), from 0 to 255."""
        found = scenes.blank(self.paper, pixels)
        for thing in self.things:
            scenes.draw(thing, found)
        return np.clip(found + 0.5, 0, 255).astype(np.uint8)


class Painter:
    """Makes scenes, one after the other, each with as many things as one of ``things`` says."""

    def __init__(self, seed, things=THINGS):
        self.random, self.things = random.Random(seed), things

    def scene(self):
        """Any scene."""
        draw = self.random
        quarters = draw.sample(range(4), draw.choice(self.things))
        looks = set()
        while len(looks) < len(quarters):
            looks.add(tuple(draw.choice(list(kinds)) for kinds in (SIZES, COLOURS, SHAPES)))
        looks = draw.sample(sorted(looks), len(looks))  # a set has no order of its own
        placed = []
        for quarter, (size, colour, shape) in zip(sorted(quarters), looks, strict=True):
            low, high = SIZES[size]
            x, y = (at + draw.uniform(-0.03, 0.03) for at in QUARTERS[quarter])
            radius, turn = draw.uniform(low, high), draw.uniform(-0.25, 0.25)
            placed.append((quarter, Thing(size, colour, shape, x, y, radius, turn)))
        return Scene(tuple(placed), draw.randrange(len(scenes.PAPERS)))


def asked_scenes(learned, asked, seed=0, things=THINGS):
    """So many to learn from, and so many others, each with a thing that is held out."""
    return scenes.apart(Painter(seed, things).scene, learned, asked)


# ----- what things are called -----


def fits(thing, said):
    """Whether a thing has all that is said of it: {"size": ..., "colour": ..., "shape": ...}."""
    return all(getattr(thing, name) == value for name, value in said.items())


def called(said):
    """How somebody calls what has it: "small red thing"."""
    kinds = [said[name] for name in ("size", "colour") if name in said]
    return " ".join([*kinds, said.get("shape", "thing")])


def a(name):
    """A name with its article."""
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def names_of(scene, number, without=()):
    """All that a thing may be called for which nothing else in the scene is meant."""
    thing = scene.things[number]
    found = []
    for names in (
        ("shape",), ("colour",), ("colour", "shape"), ("size", "shape"), ("size", "colour"),
        ("size", "colour", "shape"),
    ):  # fmt: skip
        said = {name: getattr(thing, name) for name in names}
        if not set(names) & set(without) and sum(fits(other, said) for other in scene.things) == 1:
            found.append(f"the {called(said)}")
    return found


# ----- questions -----


class Asker:
    """Asks questions about scenes.

    usual  None: all answers of a kind of question are as likely as scenes have it; else whether
           those that are ``USUAL`` are asked for four times as often as the others, or the others
    """

    def __init__(self, seed, usual=None):
        self.random, self.usual = random.Random(seed), usual

    def questions(self, scene, count):
        """So many, no two alike, of kinds by chance; fewer where there are hardly as many."""
        found = {}
        for _ in range(100 * count):
            if len(found) == count:
                break
            kind = self.random.choice(list(KINDS))
            question = KINDS[kind](self.random, scene)
            if question is not None and question.text not in found and self.takes(question):
                found[question.text] = question
        return list(found.values())

    def takes(self, question):
        """Whether a question is asked, by the frequency that its answer is to have."""
        if self.usual is None or (question.answer in USUAL) == self.usual:
            return True
        return self.random.random() < 0.25


FORMS = {
    "colour": "what colour is {}?", "shape": "what shape is {}?", "size": "is {} small or large?"
}  # fmt: skip


def of_attribute(name):
    """A kind of question: what a thing has."""

    def ask(draw, scene):
        number = draw.randrange(len(scene.things))
        if not (names := names_of(scene, number, without=[name])):
            return None
        answer = getattr(scene.things[number], name)
        return Question(name, FORMS[name].format(draw.choice(names)), answer, number)

    return ask


def of_corner(draw, scene):
    """What the thing in some quarter has."""
    number = draw.randrange(len(scene.things))
    name = draw.choice(list(FORMS))
    said = f"the thing at the {CORNERS[scene.placed[number][0]]}"
    answer = getattr(scene.things[number], name)
    return Question("corner", FORMS[name].format(said), answer, number)


def of_neighbour(draw, scene):
    """What the thing has that is beside one that is named."""
    if not (pairs := scene.beside):
        return None
    number, relation, other = draw.choice(pairs)
    if not (names := scene.names[other]):
        return None
    name = draw.choice(("colour", "shape"))
    text = f"what {name} is the thing {relation} {draw.choice(names)}?"
    return Question("neighbour", text, getattr(scene.things[number], name), number)


def is_there(draw, scene):
    """Whether there is a thing of some colour and shape; if not, of a colour that there is."""
    pairs = sorted({(thing.colour, thing.shape) for thing in scene.things})
    yes = draw.random() < 0.5
    if yes:
        known = pairs
    else:  # half of them of a shape that there is, in another colour
        shapes = {shape for _, shape in pairs} if draw.random() < 0.5 else SHAPES
        known = sorted({(colour, shape) for colour, _ in pairs for shape in shapes} - set(pairs))
        if not known:
            return None
    colour, shape = draw.choice(known)
    return Question("is there", f"is there {a(colour)} {shape}?", "yes" if yes else "no")


def is_beside(draw, scene):
    """Whether there is a thing beside one that is named."""
    there = {(other, relation) for _, relation, other in scene.beside}
    yes = draw.random() < 0.38  # so that half of them are: where there are four, nothing lacks
    found = [pair for pair in scene.sides() if (pair in there) == yes]
    if not found:
        return None
    number, relation = draw.choice(found)
    if not (names := scene.names[number]):
        return None
    text = f"is there a thing {relation} {draw.choice(names)}?"
    return Question("beside", text, "yes" if yes else "no", number)


KINDS = {
    "corner": of_corner,
    "colour": of_attribute("colour"),
    "shape": of_attribute("shape"),
    "size": of_attribute("size"),
    "is there": is_there,
    "beside": is_beside,
    "neighbour": of_neighbour,
}


# ----- pictures with questions, to learn from or to be asked -----


class Told(NamedTuple):
    """Images, and for each its questions and their answers."""

    images: Sequence
    questions: list[list[str]]
    answers: list[list[str]]

    def flat(self) -> tuple[list[str], list[str], np.ndarray]:
        """All questions, their answers, and which image each is about."""
        of = np.repeat(np.arange(len(self.images)), list(map(len, self.questions)))
        return list(chain(*self.questions)), list(chain(*self.answers)), of

    def right(self, model, choices=None) -> np.ndarray:
        """Which of all questions a model answers rightly."""
        questions, answers, of = self.flat()
        said = model.answers(self.images, questions, of, choices=choices)
        return np.array(said) == np.array(answers)


def told(pictures: Sequence, questions: list[list[Question]]) -> Told:
    """Pictures with questions about them."""
    return Told(
        pictures,
        [[one.text for one in own] for own in questions],
        [[one.answer for one in own] for own in questions],
    )


if __name__ == "__main__":
    with command.ended():
        asker = Asker(0)
        for scene in asked_scenes(3, 0)[0]:
            print(
                ", ".join(f"{thing} at the {CORNERS[quarter]}" for quarter, thing in scene.placed)
            )
            print(
                *(f"{q.text} {q.answer}" for q in asker.questions(scene, 8)), sep="\n", end="\n\n"
            )
