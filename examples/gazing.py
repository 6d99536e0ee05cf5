"""Simulated faces that look around, for motion.py: points of a face, and where it looks.

Eyes jump to something new, stay, and jump again; the head follows, slowly and not all of the way,
while the eyes turn back in it; now and then they blink. What is seen are eleven points of the face
as a camera finds them, each a little off, pupils not at all while lids are closed. Nobody who is
asked has been learned from: proportions of faces are drawn by chance. One frame alone says where
the head points, and, as well as pupils were found, where the eyes do; frames before and after say
where it looked while it blinked, and that eyes that rest have not moved.
"""

from dataclasses import dataclass

import command
import numpy as np

POINTS = (
    "left outer corner", "left inner corner", "left pupil", "right outer corner",
    "right inner corner", "right pupil", "tip of the nose", "left of the mouth",
    "right of the mouth", "chin", "brow",
)  # fmt: skip
PUPILS = [2, 5]
# Points of a face that looks ahead, in centimetres: to the right of who sees it, up, towards them.
FACE = np.array([
    (4.7, 0, 0.2), (1.7, 0, 0.6), (3.2, 0, 0), (-4.7, 0, 0.2), (-1.7, 0, 0.6), (-3.2, 0, 0),
    (0, -3.6, 3.0), (2.6, -6.4, 1.2), (-2.6, -6.4, 1.2), (0, -10.4, 0.6), (0, 3.0, 1.2),
])  # fmt: skip
EYE, FOUND = 1.2, 0.10  # radius of an eye; by how much points are missed, in centimetres
FRAMES = 16, 24
WIDE, HIGH = np.radians(45), np.radians(25)  # how far to the side, and up, is looked at most


@dataclass(frozen=True)
class Look:
    """A face for some frames: points (T, 11, 2), directions (T, 3), the same of the head."""

    points: np.ndarray
    directions: np.ndarray
    head: np.ndarray

    def blinks(self):
        """In which frames no pupil is seen."""
        return np.isnan(self.points[:, PUPILS, 0]).all(axis=1)


def direction(across, up):
    """A direction (..., 3) by its angles."""
    return np.stack([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)], axis=-1)


def look(random):
    """Somebody who looks around."""
    T = random.integers(FRAMES[0], FRAMES[1] + 1)
    aims, t = np.empty((T, 2)), -random.integers(6)
    while t < T:
        stays = random.integers(6, 15)
        aims[max(t, 0) : t + stays] = random.uniform(-1, 1, 2) * (WIDE, HIGH)
        t += stays
    head = np.empty_like(aims)
    at = random.uniform(0.4, 0.9) * aims[0]
    slow, part = random.uniform(0.1, 0.3), random.uniform(0.5, 0.9)
    for t, aim in enumerate(aims):
        at = at + slow * (part * aim - at)
        head[t] = at
    face = FACE * random.uniform(0.9, 1.1, (1, 3))
    across, up = head.T[..., None]
    rotated = turned(np.broadcast_to(face, (T, *face.shape)), across, up)
    rotated[:, PUPILS] += EYE * direction(*aims.T)[:, None]
    points = rotated[..., :2] + random.normal(0, FOUND, (T, len(FACE), 2))
    for begin in random.integers(T, size=2):
        points[begin : begin + random.integers(2, 5), PUPILS] = np.nan
    return Look((points / 2).astype(np.float32), direction(*aims.T), direction(*head.T))


def turned(places, across, up):
    """Places (T, P, 3) of a head that is turned across and up."""
    x, y, z = np.moveaxis(places, -1, 0)
    y, z = np.cos(up) * y + np.sin(up) * z, np.cos(up) * z - np.sin(up) * y
    x, z = np.cos(across) * x + np.sin(across) * z, np.cos(across) * z - np.sin(across) * x
    return np.stack([x, y, z], axis=-1)


def looks(count, seed=0):
    """So many of them, each by somebody else."""
    random = np.random.default_rng(seed)
    return [look(random) for _ in range(count)]


def degrees(one, other):
    """Angles between directions (..., 3) of length 1."""
    return np.degrees(np.arccos(np.clip((one * other).sum(axis=-1), -1, 1)))


if __name__ == "__main__":
    with command.ended():
        eyes = [degrees(one.directions, one.head).mean() for one in looks(100)]
        print(f"eyes are turned by {np.mean(eyes):.0f} degrees in the head")
