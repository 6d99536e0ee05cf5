"""Bodies in motion: what they did as a silhouette that moves, what a model says of it over that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import bounded, whole
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.chart import AT_NIGHT, COLOURS
from tinygrad_rnn.inspect.frame import escape, framed
from tinygrad_rnn.inspect.gallery import gallery

__all__ = ["Skeleton", "page_of_skeletons", "picture_of_skeletons"]

Array = NDArray[Any]

SIDE, MARGIN, LINE, LETTER = 150, 14, 19, 6.6  # pixels: of a figure, around it, of a line, a letter
PAUSE = 4  # frames that the last one stays
STYLE = (
    ".body{stroke:#c3c9cf;fill:#c3c9cf}.floor{stroke:#9aa3ab;stroke-width:1}"
    ".bones,.body{stroke-linecap:round;stroke-linejoin:round}.bones,.body path{fill:none}"
    ".who{font-size:12px;font-weight:600}.did{font-size:13px}.then{opacity:.3}"
    + "".join(f".b{n}{{stroke:{c}}}.w{n}{{fill:{c}}}" for n, c in enumerate(COLOURS))
    + "@media(prefers-color-scheme:dark){.body{stroke:#4a525c;fill:#4a525c}.floor{stroke:#5d6670}"
    + "".join(f".b{n}{{stroke:{c}}}.w{n}{{fill:{c}}}" for n, c in enumerate(AT_NIGHT))
    + "}"
)


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A body in motion, as it was and as models say.

        found = inspect.Skeleton({"true": poses, "forecast": next_ones}, bones)
        pathlib.Path("motion.svg").write_text(found.svg())      an animation
        pathlib.Path("strip.svg").write_text(found.strip())     frame beside frame

    poses   (T, J, 2) by name, to the right and up. The first are drawn as a silhouette, the others
            as lines over it. NaN: where nothing is said of a joint, or of a frame.
    bones   pairs of joints
    title   what is done
    head    the joint that is drawn as a head, if one is
    rate    frames in a second
    thick   how thick limbs are, in the unit of the poses
    """

    poses: Mapping[str, Array]
    bones: Sequence[tuple[int, int]]
    title: str = ""
    head: int | None = 0
    rate: float = 12.0
    thick: float = 0.13

    def __post_init__(self) -> None:
        if not self.poses:
            raise ShapeError("Skeleton: poses is empty, expected an array (T, J, 2) or more.")
        first = np.shape(next(iter(self.poses.values())))
        for name, poses in self.poses.items():
            shape = np.shape(poses)
            if len(shape) != 3 or shape[2] != 2 or not shape[0] or shape != first:
                raise ShapeError(
                    f"Skeleton: poses[{name!r}] has shape {shape}, expected (T, J, 2) with a frame "
                    "or more, and one shape for all."
                )
            if np.isinf(np.asarray(poses, float)).any():
                raise ArgumentError(
                    f"Skeleton: poses[{name!r}] has infinities, expected numbers, or NaN where "
                    "nothing is said."
                )
        bounded("Skeleton", "rate", self.rate, above=0.0, below=np.inf)
        if self.head is not None and not 0 <= whole("Skeleton", "head", self.head) < first[1]:
            raise ShapeError(
                f"Skeleton: head is {self.head}, expected None, or a joint from 0 to "
                f"{first[1] - 1}: poses have {first[1]}."
            )
        name, track = next(iter(self.poses.items()))
        if not np.isfinite(track).all(axis=-1).any():
            raise ShapeError(
                f"Skeleton: poses[{name!r}] has no joint that is known, expected one at least."
            )
        joints = {joint for bone in self.bones for joint in bone}
        if joints and not (min(joints) >= 0 and max(joints) < first[1]):
            raise ShapeError(
                f"Skeleton: bones name joints from {min(joints)} to {max(joints)}, expected 0 to "
                f"{first[1] - 1}: poses have {first[1]}."
            )

    def svg(self) -> str:
        """The animation as an image."""
        drawn, width, height = self.drawn()
        return framed(drawn, width, height, STYLE, self.title)

    def drawn(self) -> tuple[str, int, int]:
        """The parts of the animation, its width and its height."""
        left, low, unit = self._scale()
        wide = round(self._width() * unit)
        width = max(wide, round(LETTER * len(self.title)), 96) + 2 * MARGIN
        foot = MARGIN + SIDE
        shift = (width - wide) / 2
        parts = [f'<path class="floor" d="M{MARGIN} {foot + 4}H{width - MARGIN}"/>']
        for number, poses in enumerate(self._tracks()):
            x = shift + (poses[..., 0] - left) * unit
            y = foot - (poses[..., 1] - low) * unit
            parts.append(self._figure(number, np.stack([x, y], axis=-1), unit))
        return "".join(parts) + self._told(foot + 4, width), width, foot + self._below()

    def strip(self, every: int = 2) -> str:
        """Every second frame, or so, one beside the other."""
        drawn, width, height = self.drawn_strip(every)
        return framed(drawn, width, height, STYLE, self.title)

    def drawn_strip(self, every: int = 2) -> tuple[str, int, int]:
        """The parts of the strip, its width and its height."""
        every = whole("Skeleton.strip", "every", every, least=1, too_small=ArgumentError)
        left, low, unit = self._scale()
        step, foot, tracks = round(self._width() * unit) + 10, MARGIN + SIDE, self._tracks()
        frames = range(0, len(tracks[0]), every)
        width = max(step * len(frames), round(LETTER * len(self.title))) + 2 * MARGIN
        parts = [f'<path class="floor" d="M{MARGIN} {foot + 4}H{width - MARGIN}"/>']
        for place, t in enumerate(frames):
            for number, poses in enumerate(tracks):
                x = MARGIN + 5 + place * step + (poses[t : t + 1, :, 0] - left) * unit
                y = foot - (poses[t : t + 1, :, 1] - low) * unit
                parts.append(self._figure(number, np.stack([x, y], axis=-1), unit))
        return "".join(parts) + self._told(foot + 4, width), width, foot + self._below()

    # ----- what they are made of -----

    def _tracks(self) -> list[Array]:
        return [np.asarray(poses, float) for poses in self.poses.values()]

    def _below(self) -> int:
        return 10 + LINE * (1 + (len(self.poses) > 1)) + MARGIN

    def _scale(self) -> tuple[float, float, float]:
        """The left end, the floor, and how many pixels a unit has."""
        all_places = np.concatenate([track.reshape(-1, 2) for track in self._tracks()])
        low = np.nan_to_num(np.nanmin(all_places, axis=0))
        high = np.nan_to_num(np.nanmax(all_places, axis=0))
        tall = high[1] - low[1] + 2.5 * self.thick
        return float(low[0]) - self.thick, float(low[1]) - self.thick / 2, SIDE / float(tall)

    def _width(self) -> float:
        across = np.concatenate([track[..., 0].ravel() for track in self._tracks()])
        return float(np.nanmax(across) - np.nanmin(across)) + 2 * self.thick

    def _figure(self, number: int, places: Array, unit: float) -> str:
        """One track of places (T, J, 2) in pixels, which moves where T is above 1."""
        there = np.asarray(np.isfinite(places).any(axis=(1, 2)))
        if not there.any():
            return ""
        moves = len(places) > 1
        # where nothing is said it is not seen, and waits for the next frame of which something is
        steps = np.where(there, np.arange(len(places)), len(places))
        following = np.minimum.accumulate(steps[::-1])[::-1]
        places = places[np.where(following < len(places), following, steps[there][-1])]
        smooth = bool(np.isfinite(places).all())
        limb = self.thick * unit
        kind, width = ("body", limb) if number == 0 else (f"bones b{number}", max(0.3 * limb, 2.5))
        paths = [self._path(pose) for pose in places]
        parts = [f'<path stroke-width="{width:.1f}" d="{paths[0]}">']
        parts += [self._moving("d", paths, smooth)] if moves else []
        parts.append("</path>")
        if self.head is not None:
            x, y = np.nan_to_num(places[:, self.head], nan=-999.0).T
            radius = 0.85 * limb if number == 0 else 0.55 * limb
            parts.append(
                f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="{radius:.1f}" '
                f'stroke-width="{0 if number == 0 else width:.1f}">'
            )
            for name, values in (("cx", x), ("cy", y)):
                told = [f"{value:.1f}" for value in values]
                parts += [self._moving(name, told, smooth)] if moves else []
            parts.append("</circle>")
        if not there.all():
            parts.append(self._moving("opacity", [f"{int(seen)}" for seen in there], False))
        return f'<g class="{kind}">{"".join(parts)}</g>'

    def _path(self, pose: Array) -> str:
        """All bones of a pose whose ends are known."""
        known = np.asarray(np.isfinite(pose).all(axis=-1))
        ends = [(pose[a], pose[b]) for a, b in self.bones if known[a] and known[b]]
        return " ".join(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" for a, b in ends) or "M0 0"

    def _moving(self, name: str, values: Sequence[str], smooth: bool) -> str:
        """An attribute that goes through values, again and again."""
        held = [*values, *[values[-1]] * PAUSE]
        mode = 'calcMode="linear"'
        if not smooth:  # from frame to frame, at the times at which what is smooth is there
            times = ";".join(f"{k / (len(held) - 1):.4g}" for k in range(len(held)))
            mode = f'calcMode="discrete" keyTimes="{times}"'
        return (
            f'<animate attributeName="{name}" dur="{(len(held) - 1) / self.rate:.2f}s" {mode} '
            f'repeatCount="indefinite" values="{";".join(held)}"/>'
        )

    def _told(self, foot: float, width: float) -> str:
        """What is done, and whose lines have which colour."""
        parts = [
            f'<text class="did" x="{width / 2:.1f}" y="{foot + LINE}" text-anchor="middle">'
            f"{escape(self.title)}</text>"
        ]
        if len(self.poses) > 1:
            names = [
                f'<tspan class="{f"w{number}" if number else ""}">{escape(name)}</tspan>'
                for number, name in enumerate(self.poses)
            ]
            parts.append(
                f'<text class="who" x="{width / 2:.1f}" y="{foot + 2 * LINE}" '
                f'text-anchor="middle">{" · ".join(names)}</text>'
            )
        return "".join(parts)


def page_of_skeletons(
    skeletons: Iterable[Skeleton],
    *,
    title: str = "Bodies in motion",
    note: str = "",
    figures: Mapping[str, str] | None = None,
) -> str:
    """A page in HTML that holds all it needs: animations, then figures with their names."""
    drawn = "".join(one.svg() for one in skeletons)
    return gallery([drawn] if drawn else [], title, note, figures)


def picture_of_skeletons(
    skeletons: Iterable[Skeleton], *, columns: int = 6, strips: bool = False
) -> str:
    """Several of them as one image: animations in rows, or strips one below the other."""
    parts, labels, wide, high = [], [], 0, 0
    x = y = row = 0
    for number, one in enumerate(skeletons):
        drawn, width, height = one.drawn_strip() if strips else one.drawn()
        if number and (strips or number % columns == 0):
            x, y, row = 0, y + row, 0
        parts.append(f'<g transform="translate({x} {y})">{drawn}</g>')
        labels.append(one.title)
        x, row = x + width, max(row, height)
        wide, high = max(wide, x), y + row
    return framed("".join(parts), wide, high, STYLE, ". ".join(labels))
