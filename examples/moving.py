"""Films of moving shapes and what is true of them, for video.py: one thing, and what it does.

    the red ball bounces and then stops          first the red ball bounces then it stops
    a blue star that shakes and blinks at once   the green heart grows                     ...

What matters is known: of half of the films each caption is as true when they are played backwards;
of the other half it is not, and only who sees the frames in their order can tell what happens.
Some combinations of colour, shape and motion are held out: a film that has one is never learned
from. Films are drawn by formulas, with the shapes of scenes.py, sharp at any size.
"""

import random
from dataclasses import dataclass, replace
from zlib import crc32

import command
import numpy as np
from scenes import COLOURS, PAPERS, SHADOW, SHAPES

PIXELS = 32  # that models see, on each side
FRAMES = 12, 16  # of a film, from the shortest to the longest
FLOOR = 0.8  # where things stand, in shares of the picture from above
NAMES = {"ball" if name == "circle" else name: draw for name, draw in SHAPES.items()}
# What looks the same backwards, as it is said alone or first, and as it is said second.
THERE_AND_BACK = {
    "bounces": "bounces", "shakes": "shakes", "swells": "swells", "blinks": "blinks",
    "waits": "stops",
}  # fmt: skip
# What does not, and what it is backwards.
ONE_WAY = {"grows": "shrinks", "shrinks": "grows", "goes left": "goes right",
           "goes right": "goes left"}  # fmt: skip
MOTIONS = (*THERE_AND_BACK, *ONE_WAY)
FORMS = {  # of one motion; of two, one after the other, and together
    "alone": ("the {thing} {a}", "{one} that {a}", "there is {one} that {a}"),
    "then": (
        "the {thing} {a} and then {b}",
        "first the {thing} {a} then it {b}",
        "{one} that {a} before it {b}",
    ),
    "together": (
        "the {thing} {a} and {b} at once",
        "{one} that {a} while it {b}",
        "there is {one} that {a} and {b}",
    ),
}
WHERE = "in the air on the left", "on the floor in the middle", "on the floor on the right"
STILLS = "the {thing} {where}", "{one} {where}", "there is {one} {where}"


@dataclass(frozen=True)
class Film:
    """A thing, what it does, and how; sizes and places are in shares of the picture.

    motions  one; or two, one after the other from frame ``cut`` on, or both at once
    turn     which side it sways to first, 1 or -1
    """

    colour: str
    shape: str
    how: str
    motions: tuple[str, ...]
    frames: int
    cut: int
    x: float
    radius: float
    lean: float
    turn: int
    paper: int

    # ----- what is true of it -----

    def captions(self):
        """All that the grammar can truly say of it."""
        first, *second = self.motions
        if self.how == "alone":
            ways = [(first, "")]
        elif self.how == "then":
            ways = [(first, THERE_AND_BACK[second[0]])]
        else:
            ways = [(first, second[0]), (second[0], first)]
        return [form.format(a=a, b=b, **self.named()) for form in FORMS[self.how] for a, b in ways]

    def stills(self, frame):
        """What is true of one of its frames as a picture: what is there, and where."""
        x, height, _, _ = self.course()[:, frame]
        above = "in the air" if height > 0.1 else "on the floor"
        side = "on the left" if x < 0.4 else "on the right" if x > 0.6 else "in the middle"
        return [form.format(where=f"{above} {side}", **self.named()) for form in STILLS]

    def named(self):
        """What the thing is called, and this with an article."""
        thing = f"{self.colour} {self.shape}"
        return {"thing": thing, "one": f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"}

    def action(self):
        """What happens, whoever does it."""
        if self.how == "together":
            return " + ".join(sorted(self.motions))
        return " then ".join(self.motions)

    def labels(self):
        """What is going on in each frame."""
        if self.how != "then":
            return [self.action()] * self.frames
        first, second = self.motions
        return [first] * self.cut + [second] * (self.frames - self.cut)

    def backwards(self):
        """The film of the same frames from the last to the first."""
        motions = tuple(ONE_WAY.get(motion, motion) for motion in self.motions)
        if self.how == "then":
            motions = motions[::-1]
        return replace(self, motions=motions, cut=self.frames - self.cut, turn=-self.turn)

    def order_matters(self):
        """Whether something else is true of it when it is played backwards."""
        return set(self.captions()) != set(self.backwards().captions())

    def is_held_out(self):
        """Whether a combination of thing and motion is; a tenth of all are."""
        ways = (f"{self.colour} {self.shape} {motion}" for motion in self.motions)
        return any(crc32(way.encode()) % 10 == 0 for way in ways)

    # ----- how it looks -----

    def course(self):
        """Where the thing is in each frame: x, height, radius and how much of it is to be seen."""
        state = np.tile([self.x, 0.0, self.radius, 1.0], (self.frames, 1))
        begin = 0
        for number, motion in enumerate(self.motions):
            end = self.cut if self.how == "then" and not number else self.frames
            along = (np.arange(end - begin) + 0.5) / (end - begin)
            state[begin:end] = moved(motion, along, state[begin:end], self.turn)
            begin = end if self.how == "then" else 0
        return state.T

    def picture(self, pixels=PIXELS):
        """Red, green and blue (frames, pixels, pixels, 3), from 0 to 255."""
        x, y = np.meshgrid(*[(np.arange(pixels) + 0.5) / pixels] * 2)
        light = 1.03 - 0.07 * y - 0.07 * np.clip((y - FLOOR - 0.06) * pixels + 0.5, 0, 1)
        ground = light[..., None] * np.array(PAPERS[self.paper])
        found = np.tile(ground.astype(np.float32), (self.frames, 1, 1, 1))
        across, height, radius, seen = (each[:, None, None] for each in self.course())
        middle = FLOOR - radius - height
        on_floor = np.hypot((x - across) / radius, (y - FLOOR - 0.01) / (0.3 * radius))
        shadow = np.clip(1.25 - on_floor, 0, 1) * 0.34 * seen / (1 + 5 * height)
        found += shadow[..., None] * (SHADOW - found)
        cos, sin = np.cos(self.lean), np.sin(self.lean)
        u, v = (x - across) / radius, (y - middle) / radius
        near = (np.abs(u) < 1.3) & (np.abs(v) < 1.3)  # all else is paper
        u, v, wide = u[near], v[near], np.broadcast_to(radius, near.shape)[near]
        away = NAMES[self.shape]((cos * u + sin * v)[None], (cos * v - sin * u)[None])[0] * wide
        shade = 1.08 - 0.08 * (v + 1)
        rim = np.clip(0.5 + (away + 0.012) * 48, 0, 1)  # a little darker along the edge
        body = np.array(COLOURS[self.colour]) * (shade * (1 - 0.16 * rim))[:, None]
        cover = np.clip(0.5 - away * pixels, 0, 1) * np.broadcast_to(seen, near.shape)[near]
        found[near] += (cover[:, None] * (body - found[near])).astype(np.float32)
        return np.clip(found + 0.5, 0, 255).astype(np.uint8)


def moved(motion, along, state, turn):
    """What a motion makes of the state of some frames; ``along`` goes from 0 to 1 over them."""
    x, height, radius, seen = state.T.copy()
    wave = np.sin(2 * np.pi * along)
    if motion == "bounces":
        height += 0.34 * np.abs(wave)
    elif motion == "shakes":
        x += 0.16 * turn * np.sin(4 * np.pi * along)
    elif motion == "swells":
        radius *= 1 + 0.6 * wave**2
    elif motion == "blinks":
        seen *= 1 - 0.95 * wave**2
    elif motion in ("grows", "shrinks"):
        radius *= 1 + (1 if motion == "grows" else -1) * 1.1 * (along - 0.5)
    elif motion in ("goes left", "goes right"):
        x += (1 if motion == "goes right" else -1) * 0.5 * (along - 0.5)
    return np.stack([x, height, radius, seen], axis=1)


class Camera:
    """Makes films, one after the other."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def film(self):
        """Any film; of half of them the order matters."""
        draw = self.random
        if draw.random() < 0.5:
            one_way = draw.random() < 0.25
            how = "alone" if one_way else "then"
            motions = [draw.choice(list(ONE_WAY))] if one_way else self.two(THERE_AND_BACK)
        else:
            how = draw.choice(["alone", "together"])
            alone = how == "alone"
            moving = [motion for motion in THERE_AND_BACK if motion != "waits"]
            motions = [draw.choice(list(THERE_AND_BACK))] if alone else self.two(moving)
        frames = draw.randint(*FRAMES)
        return Film(
            draw.choice(list(COLOURS)), draw.choice(list(NAMES)), how, tuple(motions), frames,
            frames // 2 + draw.randint(-1, 1), draw.uniform(0.36, 0.64), draw.uniform(0.13, 0.19),
            draw.uniform(-0.2, 0.2), draw.choice([-1, 1]), draw.randrange(len(PAPERS)),
        )  # fmt: skip

    def two(self, motions):
        """Two different ones."""
        return self.random.sample(list(motions), 2)


def films(learned, asked, seed=0):
    """So many to learn from, and so many others, each with a combination that is held out.

    Of half of either the order matters, one after the other.
    """
    camera = Camera(seed)
    found = {(held_out, order): [] for held_out in (False, True) for order in (False, True)}
    most = {False: learned // 2, True: asked // 2}
    while any(len(some) < most[held_out] for (held_out, _), some in found.items()):
        film = camera.film()
        some = found[film.is_held_out(), film.order_matters()]
        if len(some) < most[film.is_held_out()]:
            some.append(film)
    return tuple(
        [film for two in zip(found[part, True], found[part, False], strict=True) for film in two]
        for part in (False, True)
    )


if __name__ == "__main__":
    with command.ended():
        for film in films(6, 0)[0]:
            print("\n".join(film.captions()), end="\n\n")
