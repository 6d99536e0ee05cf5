"""Houses to walk through, for errands.py and navigate.py: rooms, coloured doors, things.

A house is a grid of places, cut into rooms with closed doors of six colours between them, and
things of eight kinds on some places. A room has no two doors of one colour and no two things of one
kind. Who walks there goes forward, turns left or right, opens the door ahead, and stops; sees five
places ahead and four to either side, as far as no wall and no closed door is in the way, and
nothing behind; and does not know where they are.

Houses are made anew for each seed; there are far more of them than anybody can learn by heart.
"""

import random
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property

import command
import numpy as np

WIDTH, HEIGHT = 12, 9  # of a house, in places
LEAST = 3  # places of a room's side; it has fewer than twice as many
COLOURS = "red", "orange", "yellow", "green", "blue", "purple"  # of doors
THINGS = "bed", "sofa", "table", "piano", "plant", "lamp", "bath", "stove"
ACTIONS = "forward", "left", "right", "open", "stop"
DIRECTIONS = (0, -1), (1, 0), (0, 1), (-1, 0)  # north, east, south, west
AHEAD, ASIDE = 5, 4  # places that are in view, that of who looks being the first one ahead

OPEN = "", "doorway"  # sides that one sees and goes through
SIDES = ("wall", *COLOURS, "doorway")  # what a side of a place can be
PLANES = 1 + len(THINGS) + 3 * len(SIDES)  # of a place in view: there, what is on it, its sides
VIEW = PLANES, AHEAD, 2 * ASIDE + 1
NAMES = ["floor", *THINGS, *SIDES * 3]  # of the planes: sides are ahead, left and right
PLANE = dict(zip([*THINGS, *((turn, side) for turn in (0, 3, 1) for side in SIDES)],
                 range(1, PLANES), strict=True))  # fmt: skip
# Places in view, how far ahead and to the right, from near to far, each with the nearer ones beside
# it and the way from there.
FIELD = [
    (
        (ahead, right),
        [((ahead, right - sign), sign) for sign in (-1, 1) if sign * right > 0]
        + [((ahead - 1, right), 0)] * bool(ahead),
    )
    for ahead in range(AHEAD)
    for right in sorted(range(-ASIDE, ASIDE + 1), key=abs)
]


def beyond(place, heading):
    """The next place that way."""
    return place[0] + DIRECTIONS[heading][0], place[1] + DIRECTIONS[heading][1]


@dataclass(eq=False)
class House:
    """Rooms by place, things by place, and the colours of doors by place and heading."""

    rooms: dict
    things: dict = field(default_factory=dict)
    doors: dict = field(default_factory=dict)
    known: dict = field(default_factory=dict)  # what has been worked out before

    def side(self, place, heading, opened=()):
        """What is there: nothing, "wall", the colour of a closed door, or "doorway"."""
        way = place, heading
        if way in self.doors:
            return "doorway" if way in opened else self.doors[way]
        return "wall" if way in self.walls else ""

    @cached_property
    def walls(self):
        """The sides, places with headings, at which rooms end, doors with them."""
        return {(place, way) for place, room in self.rooms.items() for way in range(4)
                if self.rooms.get(beyond(place, way)) != room}  # fmt: skip

    def leads(self, place, heading, opened=()):
        """Whether one can go on that way."""
        open_there = self.side(place, heading, opened) in OPEN
        return open_there and beyond(place, heading) not in self.things

    def free(self, room):
        """The places of a room with nothing on them."""
        return [place for place in self.rooms if self.rooms[place] == room
                and place not in self.things]  # fmt: skip

    def ways(self, room):
        """The doors of a room, as seen from there: place, heading and colour."""
        return [(*way, colour) for way, colour in self.doors.items() if self.rooms[way[0]] == room]

    # ----- what is in view -----

    def seen(self, place, heading, opened=()):
        """Places in view, by how far ahead and how far to the right they are.

        One is, where a nearer one beside it is, and neither wall nor closed door is between.
        """
        found = {(0, 0): place}
        for at, nearer in FIELD:
            for before, turn in nearer:
                if before in found:
                    way = (heading + turn) % 4
                    if self.side(found[before], way, opened) in OPEN:
                        found[at] = beyond(found[before], way)
                        break
        return found

    def view(self, place, heading, opened=()):
        """All that is in view as an image of bytes, VIEW: 255 for what is there."""
        key = place, heading, frozenset(opened)
        if key not in self.known:
            marks = []
            for (ahead, right), at in self.seen(place, heading, opened).items():
                planes = [0, PLANE[self.things[at]]] if at in self.things else [0]
                for turn in (0, 3, 1):
                    if side := self.side(at, (heading + turn) % 4, opened):
                        planes.append(PLANE[turn, side])
                marks += [(plane, ahead, right + ASIDE) for plane in planes]
            self.known[key] = np.zeros(VIEW, np.uint8)
            self.known[key][tuple(zip(*marks, strict=True))] = 255
        return self.known[key]

    # ----- the shortest way -----

    def distances(self, ends):
        """How many actions it takes to one of some poses, by pose, without opening a door."""
        if ends not in self.known:
            found, waiting = dict.fromkeys(ends, 0), deque(ends)
            while waiting:
                place, heading = pose = waiting.popleft()
                before = [(place, (heading + 1) % 4), (place, (heading + 3) % 4)]
                behind = beyond(place, (heading + 2) % 4)
                if behind in self.rooms and behind not in self.things:
                    before += [(behind, heading)] if self.leads(behind, heading) else []
                for one in before:
                    if one not in found:
                        found[one] = found[pose] + 1
                        waiting.append(one)
            self.known[ends] = found
        return self.known[ends]


class Walker:
    """Somebody in a house: where, which way they look, and which doors they have opened."""

    def __init__(self, house, place, heading):
        self.house, self.place, self.heading = house, place, heading
        self.opened = set()
        self.poses = [(place, heading)]

    def view(self):
        """What they see, an image of bytes, VIEW."""
        return self.house.view(self.place, self.heading, self.opened)

    def act(self, action):
        """Do it, if it can be done: nobody goes through walls, and a wall is not opened."""
        if action == "forward" and self.house.leads(self.place, self.heading, self.opened):
            self.place = beyond(self.place, self.heading)
        elif action in ("left", "right"):
            self.heading = (self.heading + (1 if action == "right" else 3)) % 4
        elif action == "open" and (self.place, self.heading) in self.house.doors:
            other = beyond(self.place, self.heading), (self.heading + 2) % 4
            self.opened |= {(self.place, self.heading), other}
        self.poses.append((self.place, self.heading))


# ----- building -----


def built(draw, width=WIDTH, height=HEIGHT):
    """A house, by a ``random.Random``."""
    while True:
        house = House({})
        for number, (x, y, w, h) in enumerate(cut(draw, 0, 0, width, height)):
            house.rooms |= {(x + i, y + j): number for i in range(w) for j in range(h)}
        if hang_doors(draw, house):
            furnish(draw, house)
            return house


def cut(draw, x, y, width, height):
    """A rectangle as smaller ones, by cuts across its longer side."""
    if max(width, height) < 2 * LEAST:
        return [(x, y, width, height)]
    if width >= height:
        at = draw.randint(LEAST, width - LEAST)
        return cut(draw, x, y, at, height) + cut(draw, x + at, y, width - at, height)
    at = draw.randint(LEAST, height - LEAST)
    return cut(draw, x, y, width, at) + cut(draw, x, y + at, width, height - at)


def hang_doors(draw, house):
    """Doors until every room can be reached, and a few more; False where colours ran out."""
    walls = {}
    for place, room in house.rooms.items():
        for heading in (1, 2):
            other = house.rooms.get(beyond(place, heading), room)
            if other != room:
                walls.setdefault((room, other), []).append((place, heading))
    reached = {0}
    for pair in draw.sample(sorted(walls), len(walls)) * 9:
        new = len(reached & set(pair)) == 1
        if not new and (len(reached) < len(set(house.rooms.values())) or draw.random() < 0.9):
            continue
        used = {colour for room in pair for *_, colour in house.ways(room)}
        between = any((place, heading) in house.doors for place, heading in walls[pair])
        left = [colour for colour in COLOURS if colour not in used]
        if left and not between:
            place, heading = draw.choice(walls[pair])
            colour = draw.choice(left)
            house.doors[place, heading] = colour
            house.doors[beyond(place, heading), (heading + 2) % 4] = colour
            reached |= set(pair)
    return len(reached) == len(set(house.rooms.values()))


def furnish(draw, house):
    """Two or three things in each room, none before a door, around which one can walk."""
    before_doors = {place for place, _ in house.doors}
    for room in sorted(set(house.rooms.values())):
        for thing in draw.sample(THINGS, draw.choice((2, 3, 3))):
            spots = [place for place in house.free(room) if place not in before_doors]
            for spot in draw.sample(spots, len(spots)):
                house.things[spot] = thing
                if walkable(house, room):
                    break
                del house.things[spot]


def walkable(house, room):
    """Whether one can walk from any free place of a room to any other, and up to each thing."""
    free = house.free(room)
    waiting, found, beside = [free[0]], {free[0]}, set()
    while waiting:
        place = waiting.pop()
        for heading in range(4):
            there = beyond(place, heading)
            if not house.side(place, heading):
                beside.add(there)
                if there not in found and there not in house.things:
                    found.add(there)
                    waiting.append(there)
    things = {place for place in house.things if house.rooms[place] == room}
    return len(found) == len(free) and things <= beside


if __name__ == "__main__":
    with command.ended():
        house = built(random.Random(0))
        print(f"{1 + max(house.rooms.values())} rooms, {len(house.doors) // 2} doors")
