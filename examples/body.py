"""A simulated body in motion, for motion.py: who moves, what is done, and how it looks on film.

    a tall one waves quickly      a child turns left slowly and then gets up      ...

A pose is sixteen numbers, mostly angles of joints; a gesture is what they do in time. Limbs follow
from them by rotations, joint after joint, and stand on the floor. Of twelve gestures eight are
another one backwards: walking, crouching, turning and lifting arms. In no frame, and not in all of
them in any order, is there a sign of which it is: only who sees frames in their order can tell.
Each of six bodies has, for each of three speeds, two gestures that it is never seen to make so
fast: of 216 combinations 36 are held out. Sizes, views, phases, reach, clothes are drawn by chance.
"""

import random
from dataclasses import dataclass

import command
import numpy as np
from scenes import PAPERS, SHADOW, apart

PIXELS, METRES, FLOOR = 32, 2.4, 0.2  # of a picture's side; of what it shows; of it below the feet
RATE = 12  # frames in a second
FRAMES = 10, 14  # of a gesture, from the shortest to the longest
# How high they are in metres; the share of legs, width of shoulders, thickness, size of the head.
BODIES = {
    "child": (1.15, 0.43, 0.20, 0.060, 1.35), "teenager": (1.55, 0.49, 0.20, 0.048, 1.05),
    "tall one": (1.92, 0.51, 0.22, 0.046, 0.92), "stout one": (1.66, 0.46, 0.25, 0.068, 1.00),
    "long-legged one": (1.78, 0.55, 0.20, 0.045, 0.95),
    "broad one": (1.80, 0.48, 0.28, 0.056, 0.98),
}  # fmt: skip
SPEEDS = {"slowly": 0.75, "calmly": 1.0, "quickly": 1.3}
# What a gesture is backwards; four are the same.
BACKWARDS = {
    "walks": "walks backwards", "crouches": "gets up", "turns left": "turns right",
    "raises arms": "lowers arms",
}  # fmt: skip
BACKWARDS |= {other: one for one, other in BACKWARDS.items()}
BACKWARDS |= {one: one for one in ("waves", "claps", "jumps", "bows")}
GESTURES = tuple(BACKWARDS)

JOINTS = (
    "head", "neck", "pelvis", "left shoulder", "left elbow", "left hand", "right shoulder",
    "right elbow", "right hand", "left hip", "left knee", "left foot", "right hip", "right knee",
    "right foot", "left toes", "right toes",
)  # fmt: skip
BONES = [
    (0, 1), (1, 2), (1, 3), (3, 4), (4, 5), (1, 6), (6, 7), (7, 8),
    (2, 9), (9, 10), (10, 11), (11, 15), (2, 12), (12, 13), (13, 14), (14, 16),
]  # fmt: skip
SIDES = {"left": 1, "right": -1}
# Of a pose: what turns all of the body, then each arm, then each leg.
ARM, LEG = ("lift", "spread", "bend", "out"), ("hip", "knee")
ANGLES = [
    "turn", "lean", "height", "way",
    *(f"{side} {part}" for parts in (ARM, LEG) for side in SIDES for part in parts),
]  # fmt: skip
REST = {f"{side} {part}": 0.12 for side in SIDES for part in ("spread", "bend", "knee")}
REST |= {f"{side} hip": 0.06 for side in SIDES}


# ----- gestures: what angles (radians) and places (metres) do in time -----


def walks(phase, reach, side):
    pose = {"lean": 0.08, "way": 0.21 * phase / np.pi * reach}
    for name, sign in SIDES.items():
        swing = np.sin(phase) * sign
        bent = np.maximum(0, np.cos(phase) * sign)
        pose[f"{name} hip"] = 0.05 + reach * (0.5 * swing + 0.1 * bent)
        pose[f"{name} knee"] = 0.15 + 0.8 * reach * bent
        pose[f"{name} lift"] = -0.5 * reach * swing
        pose[f"{name} bend"] = 0.35
    return pose


def crouches(along, reach, side):
    down = reach * along
    both = {"hip": 1.25 * down, "knee": 2.1 * down, "lift": 0.9 * down, "bend": 0.3 + 0.3 * down}
    return {"lean": 0.55 * down, **of_both(both)}


def turns_left(along, reach, side):
    steps = 0.5 * np.sin(3 * np.pi * along)
    pose = {"turn": 1.9 * reach * (along - 0.5)}
    for name, sign in SIDES.items():
        raised = np.maximum(0, steps * sign)
        pose |= {f"{name} hip": raised, f"{name} knee": 2 * raised}
    return pose


def raises_arms(along, reach, side):
    return of_both({"spread": 0.12 + 2.6 * reach * along, "bend": 0.1 + 0 * along})


def waves(phase, reach, side):
    return {f"{side} spread": 1.75 * reach, f"{side} out": 0.85 + 0.6 * reach * np.sin(2 * phase)}


def claps(phase, reach, side):
    apart = 0.5 + 0.5 * np.sin(2 * phase)
    return of_both({"lift": 1.15 * reach, "spread": -0.25 + 0.75 * apart, "bend": 0.35})


def jumps(phase, reach, side):
    height = np.sin(phase)
    low = np.maximum(0, -height) * reach
    both = {"hip": 0.9 * low, "knee": 1.6 * low, "lift": 1.2 * reach * height, "bend": 0.4}
    return {
        "height": 0.3 * reach * np.maximum(0, height), "lean": 0.4 * low, **of_both(both)
    }  # fmt: skip


def bows(phase, reach, side):
    down = reach * (0.5 - 0.5 * np.cos(phase))
    return {"lean": 1.35 * down, **of_both({"hip": 0.15 * down, "lift": -0.2 * down})}


def of_both(parts):
    """The same for the left and the right."""
    return {f"{side} {part}": value for part, value in parts.items() for side in SIDES}


REPEATED = {"walks": walks, "waves": waves, "claps": claps, "jumps": jumps, "bows": bows}
ONCE = {"crouches": crouches, "turns left": turns_left, "raises arms": raises_arms}


def angles(gesture, frames, speed, phase, reach, side):
    """A gesture as angles (frames, 16)."""
    forwards = gesture in REPEATED or gesture in ONCE
    known = gesture if forwards else BACKWARDS[gesture]
    beat = (np.arange(frames) - (frames - 1) / 2) / RATE * speed  # 0 in the middle
    if known in REPEATED:
        along = 2 * np.pi * 0.9 * beat + phase
    else:  # eased: it begins and ends at rest
        along = np.clip(0.5 + 1.1 * beat, 0, 1)
        along = along**2 * (3 - 2 * along)
    pose = REST | {**REPEATED, **ONCE}[known](along, reach, side)
    pose.setdefault("way", 0.0)
    columns = [np.broadcast_to(pose.get(name, 0.0), (frames,)) for name in ANGLES]
    found = np.stack(columns, axis=1)
    return found if forwards else found[::-1]


# ----- bodies: from angles to joints -----


@dataclass(frozen=True)
class Motion:
    """Who makes one gesture or two, one after the other, and how.

    view   from where it is seen, in radians, 0 from before
    phases, reach  where gestures begin, and how large they are
    posts  what stands before it: (place, speed, width) in metres, in each frame elsewhere
    """

    body: str
    speed: str
    gestures: tuple[str, ...]
    frames: tuple[int, ...]
    size: float
    view: float
    phases: tuple[float, ...]
    reach: float
    side: str
    clothes: int
    paper: int
    posts: tuple[tuple[float, float, float], ...]
    seed: int

    def __str__(self):
        article = "an" if self.body[0] in "aeiou" else "a"
        return f"{article} {self.body} {' and then '.join(self.gestures)} {self.speed}"

    def labels(self):
        """What is being done in each frame."""
        return [name for name, n in zip(self.gestures, self.frames, strict=True) for _ in range(n)]

    def is_held_out(self):
        """Whether it is never seen to make one of the gestures so fast."""
        number = list(BODIES).index(self.body) + 2 * list(SPEEDS).index(self.speed)
        return any((GESTURES.index(one) + number) % len(BODIES) == 0 for one in self.gestures)

    def angles(self):
        """All of it as angles (T, 16); one gesture goes over into the next in five frames."""
        found = np.concatenate([
            angles(gesture, frames, SPEEDS[self.speed], phase, self.reach, self.side)
            for gesture, frames, phase in zip(self.gestures, self.frames, self.phases, strict=True)
        ])  # fmt: skip
        way = ANGLES.index("way")
        for cut in np.cumsum(self.frames)[:-1]:
            held = found[cut - 1].copy()
            found[cut:, way] += held[way] - found[cut, way]
            weights = np.array([0.8, 0.5, 0.2])[:, None]
            found[cut : cut + 3] += weights * (held - found[cut : cut + 3])
        found[:, way] -= (found[:, way].max() + found[:, way].min()) / 2  # around the middle
        return found

    def joints(self):
        """Where joints are, (T, 17, 3) in metres: to the right, up, and towards who looks."""
        height, legs, width, _, head = BODIES[self.body]
        pose = dict(zip(ANGLES, self.angles().T, strict=True))
        high = height * self.size
        leg, trunk, skull = legs * high / 2, (0.83 - legs) * high, 0.075 * high * head
        zero = np.zeros_like(pose["turn"])
        place = {"pelvis": np.stack([zero, zero, zero], axis=-1)}
        up = np.stack([zero, np.cos(pose["lean"]), np.sin(pose["lean"])], axis=-1)
        place["neck"] = place["pelvis"] + trunk * up
        forwards = np.stack([zero, -np.sin(pose["lean"]), np.cos(pose["lean"])], axis=-1)
        place["head"] = place["neck"] + 1.4 * skull * up + 0.4 * skull * forwards
        across = np.array([1.0, 0, 0])
        for side, sign in SIDES.items():
            lift, spread, bend, out = (pose[f"{side} {part}"] for part in ARM)
            shoulder = place["neck"] - 0.04 * trunk * up + 0.5 * width * high * sign * across
            elbow = shoulder + 0.18 * high * reached(lift, spread, sign, up, forwards)
            hand = elbow + 0.19 * high * reached(lift + bend, spread + out, sign, up, forwards)
            hip, knee = (pose[f"{side} {part}"] for part in LEG)
            socket = place["pelvis"] + 0.28 * width * high * sign * across
            straight = np.eye(3)[1], np.eye(3)[2]
            middle = socket + leg * reached(hip, zero + 0.03, sign, *straight)
            foot = middle + leg * reached(hip - knee, zero + 0.03, sign, *straight)
            toes = foot + 0.12 * high * reached(hip - knee + 1.35, zero + 0.15, sign, *straight)
            names = ("shoulder", "elbow", "hand", "hip", "knee", "foot", "toes")
            own = shoulder, elbow, hand, socket, middle, foot, toes
            place |= {f"{side} {name}": at for name, at in zip(names, own, strict=True)}
        found = np.stack([place[name] for name in JOINTS], axis=1)
        feet = [JOINTS.index(name) for name in JOINTS if name.split()[-1] in ("foot", "toes")]
        found[..., 1] -= found[:, feet, 1].min(axis=1, keepdims=True)  # the lowest one stands
        found[..., 1] += pose["height"][:, None] + 0.04 * high
        found[..., 2] += pose["way"][:, None] * high
        return turned(found, pose["turn"][:, None] + self.view)

    def poses(self):
        """Joints as they are seen, (T, 17, 2): to the right and up, in metres."""
        return self.joints()[..., :2].astype(np.float32)

    # ----- how it looks -----

    def hidden(self):
        """Which joints are behind a post, (T, 17)."""
        x = self.joints()[..., 0]
        return np.any([np.abs(x - at) < width / 2 for at, width in self.posted()], axis=0)

    def posted(self):
        """Where the posts are in each frame, (T, 1), and how wide."""
        seconds = np.arange(sum(self.frames))[:, None] / RATE
        return [(place + speed * seconds, width) for place, speed, width in self.posts]

    def picture(self, pixels=PIXELS, noise=9.0):
        """Red, green and blue (T, pixels, pixels, 3), from 0 to 255."""
        across, down = np.meshgrid(*[(np.arange(pixels, dtype=np.float32) + 0.5) / pixels] * 2)
        x, y = ((across - 0.5) * METRES).ravel(), ((1 - down) * METRES - FLOOR).ravel()
        light = 1.03 - 0.07 * down - 0.06 * np.clip((0.1 - FLOOR / METRES + down - 0.93) * 99, 0, 1)
        ground = (light[..., None] * np.array(PAPERS[self.paper], np.float32)).reshape(-1, 3)
        joints = self.joints().astype(np.float32)
        found = np.tile(ground.astype(np.float32), (len(joints), 1, 1))
        middle, wide = joints[:, 2, :1], 0.16 * self.size * BODIES[self.body][0]
        shade = np.clip(1.2 - np.hypot((x - middle) / wide, y / (0.3 * wide)), 0, 1)
        cover(found, 0.4 * shade, SHADOW)
        limbs = Limbs(self, joints)
        for rank in range(len(limbs.order)):
            away, colours = limbs.drawn(rank, x, y)
            cover(found, np.clip(0.5 - away * pixels / METRES, 0, 1), colours[:, None])
        for place, width in self.posted():
            place = place.astype(np.float32)
            away = np.abs(x - place) - width / 2
            light = 1.05 - 0.25 * (x - place) / width
            tone = light[..., None] * np.array((150, 140, 128), np.float32)
            cover(found, np.clip(0.5 - away * pixels / METRES, 0, 1), tone)
        random = np.random.default_rng(self.seed)
        found += noise * random.standard_normal(found.shape, np.float32)
        found = np.clip(found + 0.5, 0, 255).astype(np.uint8)
        return found.reshape(len(joints), pixels, pixels, 3)


def reached(lift, spread, side, up, forwards):
    """A direction (T, 3) of a limb that hangs, is lifted forwards, and is spread to its side."""
    along = np.cos(lift)[:, None] * up - np.sin(lift)[:, None] * forwards
    found = -np.cos(spread)[:, None] * along
    found[:, 0] += side * np.sin(spread)
    return found


def turned(places, angle):
    """Places (..., 3) turned around what is upright."""
    x, y, z = np.moveaxis(places, -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)


def cover(picture, share, colours):
    """Lay colours over a picture (T, P, 3), by shares (T, P)."""
    on = share > 0
    colours = np.broadcast_to(colours, picture.shape)[on]
    picture[on] += share[on][:, None] * (colours - picture[on])


SKINS = (240, 200, 170), (205, 150, 110), (140, 95, 70), (95, 65, 50)
SHIRTS = (246, 210, 51), (92, 92, 104), (136, 75, 178), (250, 250, 250)
LEFT, RIGHT = np.array((232, 106, 51)), np.array((38, 104, 196))  # as anatomists colour them


class Limbs:
    """What is painted of a body in each frame, the farthest first."""

    def __init__(self, motion, joints):
        height, _, _, thick, head = BODIES[motion.body]
        high = height * motion.size
        thick, skull = thick * high, 0.075 * high * head
        skin, shirt = np.array(SKINS[motion.clothes % 4]), np.array(SHIRTS[motion.clothes // 4])
        width = np.abs(joints[:, 3, 0] - joints[:, 6, 0]) / 2
        trunk = np.maximum(1.5 * thick, width)
        ends = [
            (1, 2, trunk, 0.8 * trunk, shirt), (0, 0, skull, skull, skin),
            (0, 1, 0.8 * thick, 0.8 * thick, 0.9 * skin),
        ]  # fmt: skip
        for colour, first in ((LEFT, 3), (RIGHT, 6)):
            ends.append((first, first + 1, thick, 0.8 * thick, colour))
            lower = 0.25 * skin + 0.75 * colour
            ends.append((first + 1, first + 2, 0.8 * thick, 0.65 * thick, lower))
        for colour, first, toes in ((LEFT, 9, 15), (RIGHT, 12, 16)):
            ends.append((first, first + 1, 1.25 * thick, 1.05 * thick, 0.8 * colour))
            ends.append((first + 1, first + 2, 1.05 * thick, 0.75 * thick, 0.65 * colour))
            ends.append((first + 2, toes, 0.75 * thick, 0.6 * thick, 0.45 * colour))
        begin, end = ([e[k] for e in ends] for k in range(2))
        self.a, self.b = joints[:, begin], joints[:, end]  # (T, limbs, 3)
        self.a[:, 0] += 0.3 * (self.b - self.a)[:, 0]  # so that the shirt ends at the neck
        radii = [[np.broadcast_to(e[k], len(joints)) for e in ends] for k in (2, 3)]
        self.radii = np.array(radii, np.float32).T  # (T, limbs, 2)
        self.colours = np.stack([e[4] for e in ends])
        self.order = np.argsort((self.a + self.b)[..., 2], axis=1).T

    def drawn(self, rank, x, y):
        """How far each point (P,) is outside of one limb in each frame, and its colour (T, 3)."""
        frames, limb = np.arange(len(self.a)), self.order[rank]
        a, b, r = (each[frames, limb][..., None] for each in (self.a, self.b, self.radii))
        dx, dy = b[:, 0] - a[:, 0], b[:, 1] - a[:, 1]
        px, py = x - a[:, 0], y - a[:, 1]
        along = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0, 1)
        away = np.hypot(px - along * dx, py - along * dy) - (r[:, 0] + along * (r[:, 1] - r[:, 0]))
        return away, self.colours[limb]


# ----- many of them -----


class Stage:
    """Makes motions, one after the other."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def motion(self, gestures):
        """Any body with so many gestures, seen from one side or the other."""
        draw = self.random
        posts = [
            (draw.uniform(-0.9, 0.9), draw.choice([-1, 1]) * draw.uniform(0.3, 0.9),
             draw.uniform(0.28, 0.48))
            for _ in range(2)
        ]  # fmt: skip
        return Motion(
            draw.choice(list(BODIES)), draw.choice(list(SPEEDS)),
            tuple(draw.sample(GESTURES, gestures)),
            tuple(draw.randint(*FRAMES) for _ in range(gestures)),
            draw.uniform(0.94, 1.06), draw.choice([-1, 1]) * draw.uniform(0.3, 1.1),
            tuple(draw.uniform(0, 2 * np.pi) for _ in range(gestures)), draw.uniform(0.8, 1.1),
            draw.choice(list(SIDES)), draw.randrange(16), draw.randrange(len(PAPERS)),
            tuple(posts), draw.randrange(2**32),
        )  # fmt: skip


def motions(learned, asked, seed=0, gestures=1):
    """So many to learn from, and so many others, each with a combination that is held out."""
    stage = Stage(seed)
    return apart(lambda: stage.motion(gestures), learned, asked)


def with_gaps(poses, random, share=0.15):
    """Poses (T, 17, 2) of which joints are lost, NaN, for a few frames each."""
    found = poses.copy()
    T, J, _ = found.shape
    while np.isnan(found[..., 0]).mean() < share:
        begin, joint = random.integers(-3, T), random.integers(J)
        found[max(begin, 0) : begin + random.integers(2, 7), joint] = np.nan
    return found


if __name__ == "__main__":
    with command.ended():
        for motion in motions(6, 0, gestures=2)[0]:
            print(motion)
