"""Houses drawn from above, and the ways that were taken through them, for navigate.py.

A way is coloured from its beginning, blue, to its end, orange; each word of the instruction has the
colour of the moment at which it was looked at most. What was demonstrated is a dashed line.
"""

import random
import textwrap
from html import escape
from itertools import pairwise
from pathlib import Path

import command
from errands import errands
from house import DIRECTIONS, HEIGHT, WIDTH, beyond

from tinygrad_rnn import inspect

SIZE, MARGIN, LINE = 44, 18, 20  # pixels of a place, around a house, of a line of text
COLOURS = {
    "red": "#d6383c", "orange": "#f08a24", "yellow": "#e9c32c",
    "green": "#3a9d57", "blue": "#2f6fd6", "purple": "#8a4fb5",
}  # fmt: skip
FLOORS = "#f3e7d3", "#e6eef2", "#efe6ee", "#e8f0e2", "#f6e9dd", "#ece9e2"
COURSE = (
    (37, 99, 235),
    (147, 51, 234),
    (219, 39, 119),
    (234, 88, 12),
)  # of a way, from its beginning to its end
STYLE = (
    ".wall{stroke:#4a444b;stroke-width:5;stroke-linecap:round}.seam{stroke:#00000012}"
    ".door{stroke-width:7;stroke-linecap:butt}.gap{stroke:#fffaf2;stroke-width:7}"
    ".told{stroke:#1d2228;stroke-width:2;stroke-dasharray:2 5;fill:none;stroke-linecap:round}"
    ".way{stroke-width:5;stroke-linecap:round;fill:none}.goal{fill:none;stroke:#ea580c;"
    "stroke-width:2.5}.says{font-size:14px;font-weight:600}.who{font-size:13px}"
    ".right{fill:#15803d}.wrong{fill:#c2410c}"
    "@media(prefers-color-scheme:dark){.right{fill:#5fd38a}.wrong{fill:#ff8a5c}}"
)
LEAF = '<ellipse cx=".5" cy=".24" rx=".11" ry=".22" transform="rotate({} .5 .5)" fill="{}"/>'
SEAT = '<rect x=".39" y=".06" width=".22" height=".2" rx=".07" transform="rotate({} .5 .5)"/>'
RING = '<circle cx="{}" cy="{}" r=".13" fill="#3b4046"/><circle cx="{}" cy="{}" r=".07" fill="{}"/>'
THINGS = {  # in a square of side 1
    "bed": '<rect x=".14" y=".05" width=".72" height=".9" rx=".08" fill="#a87b50"/>'
    '<rect x=".19" y=".11" width=".62" height=".79" rx=".06" fill="#fdfaf4"/>'
    '<rect x=".24" y=".15" width=".23" height=".17" rx=".06" fill="#dfe6ee"/>'
    '<rect x=".53" y=".15" width=".23" height=".17" rx=".06" fill="#dfe6ee"/>'
    '<path d="M.19 .42h.62v.42q0 .06-.06 .06h-.5q-.06 0-.06-.06z" fill="#6f93c4"/>'
    '<path d="M.19 .42h.62v.09h-.62z" fill="#8fb0da"/>',
    "sofa": '<rect x=".06" y=".2" width=".88" height=".62" rx=".12" fill="#b5574a"/>'
    '<rect x=".17" y=".38" width=".32" height=".38" rx=".07" fill="#d9806f"/>'
    '<rect x=".51" y=".38" width=".32" height=".38" rx=".07" fill="#d9806f"/>'
    '<rect x=".15" y=".23" width=".7" height=".12" rx=".06" fill="#9c473c"/>',
    "table": f'<g fill="#8b6341">{"".join(SEAT.format(90 * n) for n in range(4))}</g>'
    '<circle cx=".5" cy=".5" r=".3" fill="#b98555"/><circle cx=".5" cy=".5" r=".23" '
    'fill="none" stroke="#d3a476" stroke-width=".03"/>',
    "piano": '<path d="M.12 .6V.25Q.12 .08 .3 .08Q.5 .08 .55 .25Q.6 .38 .76 .4Q.88 .42 .88 .6z" '
    'fill="#2b2a31"/><rect x=".12" y=".6" width=".76" height=".15" fill="#fff" stroke="#2b2a31" '
    'stroke-width=".025"/><path d="M.2 .6v.09M.29 .6v.09M.42 .6v.09M.51 .6v.09M.6 .6v.09M.73 '
    '.6v.09M.81 .6v.09" stroke="#2b2a31" stroke-width=".045"/>'
    '<rect x=".34" y=".82" width=".32" height=".12" rx=".04" fill="#7b5a3c"/>',
    "plant": "".join(
        LEAF.format(45 * n + 20, "#4c9a58" if n % 2 else "#72b774") for n in range(8)
    ) + '<circle cx=".5" cy=".5" r=".1" fill="#35733f"/>',
    "lamp": '<circle cx=".5" cy=".5" r=".47" fill="#ffdf7e" opacity=".35"/>'
    '<circle cx=".5" cy=".5" r=".34" fill="#ffdf7e" opacity=".6"/>'
    '<circle cx=".5" cy=".5" r=".22" fill="#f1b93c"/><circle cx=".5" cy=".5" r=".1" '
    'fill="#fff7dc"/>',
    "bath": '<rect x=".06" y=".2" width=".88" height=".6" rx=".24" fill="#fff" stroke="#93a7b3" '
    'stroke-width=".03"/><rect x=".15" y=".28" width=".7" height=".44" rx=".2" fill="#9fd4ea"/>'
    '<circle cx=".75" cy=".5" r=".05" fill="#5f7683"/>'
    '<path d="M.24 .42q.08-.06 .16 0t.16 0" fill="none" stroke="#fff" stroke-width=".03"/>',
    "stove": '<rect x=".1" y=".1" width=".8" height=".8" rx=".08" fill="#cfd4da" '
    'stroke="#8d969f" stroke-width=".03"/>' + "".join(
        RING.format(x, y, x, y, "#e2572b" if x == y == 0.32 else "#6a7178")
        for x in (0.32, 0.68) for y in (0.32, 0.68)
    ),
}  # fmt: skip


def middle(place):
    """Where the middle of a place is drawn."""
    return (place[0] + 0.5) * SIZE, (place[1] + 0.5) * SIZE


def drawn(house, opened=()):
    """A house from above: floors, things, walls and doors."""
    parts = []
    for place, room in sorted(house.rooms.items()):
        x, y = place[0] * SIZE, place[1] * SIZE
        parts.append(
            f'<rect x="{x}" y="{y}" width="{SIZE + 0.5}" height="{SIZE + 0.5}" '
            f'fill="{FLOORS[room % len(FLOORS)]}"/>'
            f'<path class="seam" d="M{x} {y + SIZE}h{SIZE}v-{SIZE}" fill="none"/>'
        )
    for (x, y), thing in house.things.items():
        parts.append(
            f'<g transform="translate({x * SIZE} {y * SIZE}) scale({SIZE})">'
            f"<title>{thing}</title>{THINGS[thing]}</g>"
        )
    walls, doors = [], []
    for place in house.rooms:
        for heading in range(4):
            side = house.side(place, heading)
            last = beyond(place, heading) not in house.rooms
            if side and (heading in (1, 2) or last):
                (walls if side == "wall" else doors).append((*line(place, heading), side))
    parts += [f'<path class="wall" d="M{a} {b}L{c} {d}"/>' for a, b, c, d, _ in walls]
    for a, b, c, d, colour in doors:
        e, f, g, h = (a * 7 + c) / 8, (b * 7 + d) / 8, (c * 7 + a) / 8, (d * 7 + b) / 8
        parts.append(
            f'<path class="wall" d="M{a} {b}L{c} {d}"/><path class="gap" d="M{e} {f}L{g} {h}"/>'
            f'<path class="door" stroke="{COLOURS[colour]}" d="M{e} {f}L{g} {h}">'
            f"<title>{colour} door</title></path>"
        )
    return "".join(parts)


def line(place, heading):
    """The ends of a side of a place."""
    (x, y), (u, v) = middle(place), DIRECTIONS[heading]
    x, y, half = x + u * SIZE / 2, y + v * SIZE / 2, SIZE / 2
    return x - abs(v) * half, y - abs(u) * half, x + abs(v) * half, y + abs(u) * half


def colour_at(share):
    """The colour of a way from its begin, 0, to its end, 1."""
    at = min(max(share, 0), 1) * (len(COURSE) - 1)
    low = min(int(at), len(COURSE) - 2)
    mixed = [a + (b - a) * (at - low) for a, b in zip(*COURSE[low : low + 2], strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*map(round, mixed))


def way(poses):
    """A way as coloured pieces, an arrow where it begins, a dot where it ends."""
    places = [middle(place) for place, _ in poses]
    last = max(1, len(poses) - 1)
    parts = [
        f'<path class="way" stroke="{colour_at(n / last)}" d="M{a[0]} {a[1]}L{b[0]} {b[1]}"/>'
        for n, (a, b) in enumerate(pairwise(places)) if a != b
    ]  # fmt: skip
    (x, y), heading = places[0], poses[0][1]
    parts.append(
        f'<g transform="translate({x} {y}) rotate({90 * heading})">'
        f'<circle r="11" fill="{colour_at(0)}"/>'
        '<path d="M0 -7L5 5L0 2L-5 5z" fill="#fff"/></g>'
    )
    x, y = places[-1]
    parts.append(f'<circle cx="{x}" cy="{y}" r="7" fill="{colour_at(1)}" stroke="#fff"/>')
    return "".join(parts)


def picture(errand, poses=(), times=None, done=None):
    """An errand as an image: the house, what was demonstrated, and the way that was taken.

    poses  of the way that was taken
    times  for each word of the instruction when it was looked at most, in shares of the way
    done   whether the errand was done
    """
    parts = [drawn(errand.house)]
    if errand.thing:
        told = " ".join(
            "{} {}".format(*middle(place))
            for place, _ in errand.walked(errand.demonstration)[0].poses
        )
        x, y = middle(errand.thing)
        parts += [
            f'<circle class="goal" cx="{x}" cy="{y}" r="{SIZE * 0.54}"/>',
            f'<g transform="translate(5 5)"><polyline class="told" points="{told}"/></g>',
        ]
    parts.append(way(poses or [errand.start]))
    below = HEIGHT * SIZE + 28
    for number, words in enumerate(lines(errand.instruction, times)):
        mark = ""
        if done is not None and not number:
            mark = f'<tspan class="{"right" if done else "wrong"}">{"✓" if done else "✗"}</tspan> '
        parts.append(f'<text class="says" x="0" y="{below + LINE * number}">{mark}{words}</text>')
    body = f'<g transform="translate({MARGIN} {MARGIN})">{"".join(parts)}</g>'
    return body, WIDTH * SIZE + 2 * MARGIN, below + LINE * (number + 1) + MARGIN


def lines(instruction, times=None):
    """An instruction in lines, each word in the colour of its time."""
    times = iter(times or [])
    for line in textwrap.wrap(instruction, 66):
        words = []
        for word in line.split():
            time = next(times, None)
            colour = "" if time is None else f' style="fill:{colour_at(time)}"'
            words.append(f"<tspan{colour}>{escape(word)}</tspan>")
        yield " ".join(words)


def framed(*pictures):
    """Pictures side by side, as one image."""
    across, parts = 0, []
    for body, width, _ in pictures:
        parts.append(f'<g transform="translate({across} 0)">{body}</g>')
        across += width
    high = max(height for *_, height in pictures)
    return inspect.framed("".join(parts), across, round(high), STYLE, "Houses from above")


if __name__ == "__main__":
    with command.ended():
        shown = random.Random(0).sample(errands(4, 2), 2)
        Path("house.svg").write_text(framed(*map(picture, shown)), "utf-8")
        print("wrote house.svg")
