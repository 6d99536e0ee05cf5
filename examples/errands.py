"""Errands in houses, and the way of each in words, for navigate.py.

    go through the red door on your left, then take the blue door and stop at the piano

An errand begins somewhere in a house and leads through one to three doors to a thing. A grammar
says the way; where a door or the thing is not in view as its part of the way begins, it says the
side. Who demonstrates it looks there, then takes the shortest way. It is done by who stops right
beside the thing that is meant.

Combinations of the last door's colour and the thing are held out, a seventh of the 48: an errand
that ends with one is never demonstrated, and only such errands are asked, in other houses.
"""

import random
import re
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import command
from house import COLOURS, DIRECTIONS, THINGS, House, Walker, beyond, built

LIMIT = 50  # actions after which one who has not stopped gives up
DOOR = (
    "go through the {what} door{where}", "take the {what} door{where}",
    "leave by the {what} door{where}", "open the {what} door{where} and go in",
)  # fmt: skip
THING = "walk up to the {what}{where}", "stop at the {what}{where}", "wait by the {what}{where}"
WHERE = {
    "ahead": (" ahead of you", " in front of you"),
    "left": (" on your left", " to the left"), "right": (" on your right", " to the right"),
    "behind": (" behind you", " at your back"),
    "behind left": (" behind you on the left",), "behind right": (" behind you on the right",),
}  # fmt: skip
NEXT = ", then ", " and then ", ", after that "
NUMBERS = "first", "second", "third", "fourth", "fifth", "sixth"


@dataclass(eq=False)
class Errand:
    """Where it begins, its doors, each a place and a heading, and the place of the thing."""

    house: House
    start: tuple
    doors: tuple
    thing: tuple
    instruction: str = ""

    def walker(self):
        """Somebody who is about to begin."""
        return Walker(self.house, *self.start)

    def combination(self):
        """What may be held out."""
        return f"{self.house.doors[self.doors[-1]]} {self.house.things[self.thing]}"

    def is_held_out(self):
        """Whether it ends with a combination that is never demonstrated."""
        return crc32(self.combination().encode()) % 7 == 0

    def done(self, walker, stopped=True):
        """Whether somebody has stopped right beside the thing, in its room."""
        rooms = self.house.rooms
        beside = walker.place in {beyond(self.thing, heading) for heading in range(4)}
        return stopped and beside and rooms[walker.place] == rooms[self.thing]

    # ----- the way -----

    @cached_property
    def ends(self):
        """For each door, and for the thing, the poses that one has to come to."""
        facing = [(beyond(self.thing, (heading + 2) % 4), heading) for heading in range(4)]
        free = self.house.free(self.house.rooms[self.thing])
        return [*((door,) for door in self.doors), tuple(p for p in facing if p[0] in free)]

    def leg(self, walker):
        """How many doors of the way are behind somebody; None where they left it."""
        rooms = [self.house.rooms[place] for place, _ in self.doors]
        rooms.append(self.house.rooms[self.thing])
        here = self.house.rooms[walker.place]
        return rooms.index(here) if here in rooms else None

    def in_view(self, pose, leg):
        """Whether the door, or the thing, that one goes to is in view."""
        at, heading = pose
        place, way = (*self.doors, (self.thing, None))[leg]
        return place in self.house.seen(at, heading).values() and way != (heading + 2) % 4

    def noticed(self, walker, leg):
        """Whether it has been since somebody came into the room."""
        rooms = self.house.rooms
        for pose in reversed(walker.poses):
            if rooms[pose[0]] != rooms[walker.place]:
                return False
            if self.in_view(pose, leg):
                return True
        return False

    def next(self, walker):
        """What to do next, in a room on the way: look to the side, then take the shortest way."""
        leg, here = self.leg(walker), (walker.place, walker.heading)
        if not self.noticed(walker, leg):
            return "left" if "left" in side_of(walker, self, leg) else "right"
        distances = self.house.distances(self.ends[leg])
        if distances[here]:
            after = {
                "left": (walker.place, (walker.heading + 3) % 4),
                "right": (walker.place, (walker.heading + 1) % 4),
            }
            if self.house.leads(*here):
                after = {"forward": (beyond(*here), walker.heading), **after}
            return next(act for act, pose in after.items() if distances[pose] < distances[here])
        if leg == len(self.doors):
            return "stop"
        return "forward" if here in walker.opened else "open"

    @cached_property
    def demonstration(self):
        """What is to be done, from the begin to the end."""
        walker, actions = self.walker(), []
        while "stop" not in actions:
            actions.append(self.next(walker))
            walker.act(actions[-1])
        return actions

    def walked(self, actions):
        """Somebody after some actions, and what they saw before each."""
        walker, views = self.walker(), []
        for action in actions:
            views.append(walker.view())
            walker.act(action)
        return walker, views


# ----- the way in words -----


def told(draw, errand):
    """An instruction for an errand."""
    walker, parts, leg = errand.walker(), [], -1
    for action in errand.demonstration:
        if errand.leg(walker) != leg:
            leg = errand.leg(walker)
            forms = DOOR if leg < len(errand.doors) else THING
            parts.append(draw.choice(forms).format(**described(draw, errand, walker, leg)))
        walker.act(action)
    for part in parts[1:]:
        parts[0] += draw.choice(NEXT) + part
    return parts[0]


def described(draw, errand, walker, leg):
    """What the next door or the thing is called, and where it is, if this has to be said."""
    what = (*map(errand.house.doors.get, errand.doors), errand.house.things[errand.thing])[leg]
    said = not errand.in_view((walker.place, walker.heading), leg) or draw.random() < 0.3
    where = draw.choice(WHERE[side_of(walker, errand, leg)]) if said else ""
    return {"what": what, "where": where}


def side_of(walker, errand, leg):
    """Where the next door, or the thing, is for somebody, in a word or two."""
    place, way = (*errand.doors, (errand.thing, None))[leg]
    (x, y), (u, v) = walker.place, DIRECTIONS[walker.heading]
    dx, dy = place[0] - x, place[1] - y
    if way is not None:
        dx, dy = dx + DIRECTIONS[way][0] / 2, dy + DIRECTIONS[way][1] / 2
    ahead, right = dx * u + dy * v, dy * u - dx * v
    side = "left" if right < 0 else "right"
    if abs(right) > 2 * abs(ahead):
        return side
    if ahead < 0:
        return "behind" if not right else f"behind {side}"
    return "ahead" if ahead > 2 * abs(right) else side


# ----- making them -----


def errand(draw, house):
    """Any errand in a house."""
    place = draw.choice([place for place in house.rooms if place not in house.things])
    doors = led_on(draw, house, house.rooms[place], (), draw.randint(1, 3))
    room = house.rooms[beyond(*doors[-1])]
    thing = draw.choice([place for place in house.things if house.rooms[place] == room])
    return Errand(house, (place, draw.randrange(4)), doors, thing)


def led_on(draw, house, room, doors, count):
    """Doors, and up to so many more behind them, to rooms where one has not been."""
    been = {room, *(house.rooms[beyond(*door)] for door in doors)}
    for _ in range(count):
        room = house.rooms[beyond(*doors[-1])] if doors else room
        ways = [(place, way) for place, way, _ in house.ways(room)
                if house.rooms[beyond(place, way)] not in been]  # fmt: skip
        if not ways:
            break
        doors = (*doors, draw.choice(ways))
        been.add(house.rooms[beyond(*doors[-1])])
    return doors


def errands(houses, each, seed=0, held_out=False):
    """In each of so many houses so many errands, either all or none of them held out."""
    found = []
    for number in range(houses):
        draw = random.Random(f"{seed} {number}")
        house, own = built(draw), []
        for _ in range(60 * each):
            one = errand(draw, house)
            if one.is_held_out() == held_out:
                one.instruction = told(draw, one)
                own.append(one)
                if len(own) == each:
                    break
        found += own
    return found


def astray(draw, errand):
    """Another errand that begins as this one, and leads elsewhere; None where none was found."""
    house, first = errand.house, errand.house.rooms[errand.start[0]]
    for _ in range(9):
        shared = errand.doors[: draw.randint(0, len(errand.doors))]
        doors = led_on(draw, house, first, shared, len(errand.doors) - len(shared))
        room = house.rooms[beyond(*doors[-1])] if doors else first
        things = [at for at in house.things if house.rooms[at] == room and at != errand.thing]
        if things:
            other = Errand(house, errand.start, doors, draw.choice(things))
            if not errand.done(other.walked(other.demonstration)[0]):
                return other
    return None


def strolled(draw, errand, share):
    """Its demonstration with detours: a share of actions goes or turns anywhere."""
    walker, actions = errand.walker(), []
    while "stop" not in actions:
        lost = len(actions) < LIMIT // 2 and draw.random() < share
        act = draw.choice(("forward", "left", "right")) if lost else errand.next(walker)
        actions.append(act)
        walker.act(act)
    return actions


def trouble(house, place, instruction):
    """Why an instruction cannot be followed from a place, in words; empty where it can be."""
    words = [word for word in re.findall(r"\w+", instruction.lower()) if word in COLOURS + THINGS]
    if not words:
        return f"it names no door and no thing; expected {COLOURS[0]} door, {THINGS[0]}, ..."
    room = house.rooms[place]
    for number, word in enumerate(words):
        ways = {colour: (at, way) for at, way, colour in house.ways(room)}
        things = [thing for at, thing in house.things.items() if house.rooms[at] == room]
        where = f"the {NUMBERS[number]} room" if number < len(NUMBERS) else "a later room"
        if word in COLOURS and word not in ways:
            return f"{where} has no {word} door; it has {listed(f'a {one} one' for one in ways)}"
        if word in THINGS and word not in things:
            return f"{where} has no {word}; it has {listed(f'a {one}' for one in things)}"
        if word in COLOURS:
            room = house.rooms[beyond(*ways[word])]
    return ""


def listed(names):
    """Names as one says them."""
    *names, last = sorted(names)
    return f"{', '.join(names)} and {last}" if names else last


if __name__ == "__main__":
    with command.ended():
        for one in errands(3, 2):
            print(one.instruction)
