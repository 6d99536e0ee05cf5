"""Drawn scenes and what is true of them, for caption.py: two shapes, and where they are.

    a small red circle left of a large blue square       a large blue square with a small red
    there is a large blue square right of a small ...    circle on its left              ...

Each scene has eight captions, of which five are told. Some combinations are held out: of size,
colour, shape and place, such as a small red circle that is left of something. A scene that has one
is never learned from, so who learns captions by heart, or guesses from what is usual, fails on it.
Pictures are drawn by formulas, sharp at any size, and it is known where everything is.
"""

import random
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import command
import numpy as np

PIXELS = 48  # that captioners see, on each side
SIZES = {"small": (0.125, 0.14), "large": (0.2, 0.215)}  # radii, in shares of the picture
COLOURS = {
    "red": (222, 51, 56), "orange": (245, 139, 32), "yellow": (246, 210, 51),
    "green": (56, 161, 83), "blue": (45, 111, 214), "purple": (136, 75, 178),
}  # fmt: skip
# For each relation its converse, and how it is said of what is there.
RELATIONS = {
    "left of": ("right of", "on its left"), "right of": ("left of", "on its right"),
    "above": ("below", "above it"), "below": ("above", "below it"),
}  # fmt: skip
PAPERS = (247, 242, 230), (236, 243, 246), (243, 238, 245), (238, 244, 234), (248, 238, 234)
SHADOW = np.array((62, 56, 72), np.float32)
FORMS = (
    "{a} {relation} {b}",
    "there is {a} {relation} {b}",
    "{relation} {b} is {a}",
    "{b} with {a} {place}",
)
TOLD = 5  # captions of a scene that are told, of all that are true


# ----- shapes: how far each point lies outside one of radius 1 at the origin -----


def circle(x, y):
    return np.hypot(x, y) - 0.92


def square(x, y):
    x, y = np.abs(x) - 0.68, np.abs(y) - 0.68
    return np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0) - 0.12


def triangle(x, y):
    return polygon(x, y, [(0, -0.98), (0.94, 0.72), (-0.94, 0.72)]) - 0.04


def star(x, y):
    angles = np.pi * (np.arange(10) / 5 - 0.5)
    radii = np.where(np.arange(10) % 2, 0.44, 1.02)
    corners = np.stack([radii * np.cos(angles), radii * np.sin(angles) + 0.06], axis=1)
    return polygon(x, y, corners) - 0.03


def heart(x, y):
    t = np.arange(30) * np.pi / 15
    across = 0.98 * np.sin(t) ** 3
    down = 0.32 * np.cos(2 * t) + 0.12 * np.cos(3 * t) + 0.06 * np.cos(4 * t) - 0.8 * np.cos(t)
    return polygon(x, y, np.stack([across, down - 0.1], axis=1))


def moon(x, y):
    return np.maximum(np.hypot(x + 0.05, y) - 0.95, 0.72 - np.hypot(x - 0.42, y + 0.1))


def polygon(x, y, corners):
    """Below 0 within."""
    ax, ay = np.asarray(corners, np.float32).T[:, :, None, None]
    bx, by = np.roll(ax, -1, axis=0), np.roll(ay, -1, axis=0)
    dx, dy, px, py = bx - ax, by - ay, x - ax, y - ay  # (edges, rows, columns)
    along = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
    distance = np.hypot(px - along * dx, py - along * dy).min(axis=0)
    level = np.where(dy == 0, 1, dy)  # which no line from a point to its right crosses
    crossed = ((ay > y) != (by > y)) & (px < py * dx / level)
    return np.where(crossed.sum(axis=0) % 2, -distance, distance)


SHAPES = {
    "circle": circle, "square": square, "triangle": triangle,
    "star": star, "heart": heart, "moon": moon,
}  # fmt: skip


# ----- scenes -----


@dataclass(frozen=True)
class Thing:
    """A shape in a picture; place and radius are shares of it, the turn is in radians."""

    size: str
    colour: str
    shape: str
    x: float
    y: float
    radius: float
    turn: float

    def __str__(self):
        return f"a {self.size} {self.colour} {self.shape}"

    @property
    def box(self):
        """Left, top, right and bottom, in shares of the picture."""
        r = self.radius
        return self.x - r, self.y - r, self.x + r, self.y + r


@dataclass(frozen=True)
class Scene:
    """Two things, the first of which is in some relation to the second, on paper."""

    things: tuple[Thing, Thing]
    relation: str
    paper: int

    def captions(self):
        """All that the grammar can truly say of it: each form, from both sides."""
        (one, other), converse = self.things, RELATIONS[self.relation][0]
        ways = (one, self.relation, other), (other, converse, one)
        return [
            form.format(a=a, relation=relation, b=b, place=RELATIONS[relation][1])
            for form in FORMS
            for a, relation, b in ways
        ]

    def told(self, caption):
        """For each word of a caption which thing it describes, 0 or 1; None for other words."""
        words = caption.split()
        found = [None] * len(words)
        for number, thing in enumerate(self.things):
            own = str(thing).split()
            for begin in range(len(words) - 3):
                if words[begin : begin + 4] == own:
                    found[begin + 1 : begin + 4] = [number] * 3
        return found

    def combinations(self):
        """What may be held out: what each thing is, and where."""
        relations = self.relation, RELATIONS[self.relation][0]
        return [f"{t} {relation}" for t, relation in zip(self.things, relations, strict=True)]

    def is_held_out(self):
        """Whether one of its combinations is; a tenth of all are."""
        return any(crc32(one.encode()) % 10 == 0 for one in self.combinations())

    def picture(self, pixels=PIXELS):
        """Red, green and blue (pixels, pixels, 3), from 0 to 255."""
        found = blank(self.paper, pixels)
        for thing in self.things:
            draw(thing, found)
        return np.clip(found + 0.5, 0, 255).astype(np.uint8)


@cache
def grid(pixels):
    """The middles of all pixels: x and y, in shares of the picture."""
    middles = ((np.arange(pixels) + 0.5) / pixels).astype(np.float32)
    return np.meshgrid(middles, middles)


def blank(paper, pixels):
    """A picture with nothing on it, as numbers (pixels, pixels, 3)."""
    x, y = grid(pixels)
    light = 1.03 - 0.07 * y - 0.10 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    return light[..., None] * np.array(PAPERS[paper], np.float32)


def draw(thing, picture):
    """Add a thing to a picture, with its shadow, and light from above."""
    pixels = len(picture)
    reach = 1.3 * thing.radius
    rows, columns = (
        slice(max(0, int((at - reach) * pixels)), int((at + reach) * pixels) + 2)
        for at in (thing.y, thing.x)
    )
    x, y = (axis[rows, columns] for axis in grid(pixels))
    place, cos, sin = picture[rows, columns], np.cos(thing.turn), np.sin(thing.turn)

    def outside(dx, dy):  # in shares of the picture
        u, v = (x - thing.x - dx) / thing.radius, (y - thing.y - dy) / thing.radius
        return SHAPES[thing.shape](cos * u + sin * v, cos * v - sin * u) * thing.radius

    def cover(colour, share):
        place[...] += share[..., None] * (colour - place)

    shadow = np.clip(0.5 - outside(0.008, 0.022) / 0.05, 0, 1) ** 2
    cover(SHADOW, 0.38 * shadow)
    away = outside(0, 0)
    shade = 1.08 - 0.08 * ((y - thing.y) / thing.radius + 1)
    rim = np.clip(0.5 + (away + 0.012) * 48, 0, 1)  # a little darker along the edge
    body = np.array(COLOURS[thing.colour]) * (shade * (1 - 0.16 * rim))[..., None]
    cover(body, np.clip(0.5 - away * pixels, 0, 1))


class Painter:
    """Makes scenes, one after the other."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def scene(self):
        """Any scene in which the two differ, and are clearly in the relation."""
        draw, relation = self.random, self.random.choice(list(RELATIONS))
        looks = [self.look(), self.look()]
        while looks[0] == looks[1]:
            looks[1] = self.look()
        radii = [draw.uniform(*SIZES[size]) for size, _, _ in looks]
        places = self.places(radii)
        if relation in ("above", "below"):
            places = [(across, along) for along, across in places]
        if relation in ("right of", "below"):
            places = [(1 - x, 1 - y) for x, y in places]
        things = [
            Thing(*look, *place, radius, draw.uniform(-0.25, 0.25))
            for look, place, radius in zip(looks, places, radii, strict=True)
        ]
        return Scene(tuple(things), relation, draw.randrange(len(PAPERS)))

    def look(self):
        """Any size, colour and shape."""
        return tuple(self.random.choice(list(kinds)) for kinds in (SIZES, COLOURS, SHAPES))

    def places(self, radii):
        """(along, across) of both, the first one nearer to 0 along the axis of the relation."""
        draw, margin = self.random, 0.035
        low, high = (radius + margin for radius in radii)
        apart = draw.uniform(sum(radii) + margin, 1 - low - high)
        begin = draw.uniform(low, 1 - high - apart)
        first = draw.uniform(low, 1 - low)
        most = apart / 2  # so that nobody doubts which relation it is
        second = draw.uniform(max(high, first - most), min(1 - high, first + most))
        return [(begin, first), (begin + apart, second)]


def scenes(learned, asked, seed=0):
    """So many to learn from, and so many others, each with a combination that is held out."""
    return apart(Painter(seed).scene, learned, asked)


def apart(make, learned, asked):
    """Of what is made one by one, so many that are not held out, and so many that are."""
    found = [], []
    while len(found[0]) < learned or len(found[1]) < asked:
        one = make()
        of = found[one.is_held_out()]
        if len(of) < (learned, asked)[one.is_held_out()]:
            of.append(one)
    return found


def pointed(scene, caption, weights):
    """For each word about a thing whether the place that is looked at most is on it.

    And, beside it, what chance would give: the share of all places that are. A place (of h x w,
    as weights (T, h, w) has them) is on a thing where it meets its box.
    """
    h, w = weights.shape[1:]
    x, y = np.meshgrid((np.arange(w) + 0.5) / w, (np.arange(h) + 0.5) / h)
    found = []
    for thing, looks in zip(scene.told(caption), weights, strict=False):
        if thing is not None:
            left, top, right, bottom = scene.things[thing].box
            on = (np.abs(2 * x - left - right) < right - left + 1 / w) & (
                np.abs(2 * y - top - bottom) < bottom - top + 1 / h
            )
            found.append((on.ravel()[looks.argmax()], on.mean()))
    return np.array(found, float).reshape(-1, 2)


def told(scene, seed):
    """The captions of a scene that are told."""
    return random.Random(seed).sample(scene.captions(), TOLD)


if __name__ == "__main__":
    with command.ended():
        for scene in scenes(4, 0)[0]:
            print("", *scene.captions(), sep="\n")
