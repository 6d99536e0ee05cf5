"""The example of walks: its houses and errands, and the command."""

import random
import re
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from tests.loaded_example import EXAMPLES, command, loaded


@pytest.fixture
def house(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("house")


@pytest.fixture
def errands(house):
    return loaded("errands")


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path, reference):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = loaded("navigate")
    small = {"HOUSES": 2, "OTHERS": 1, "EACH": 3, "IMITATED": 1, "HIDDEN": 1, "MATCHED": 1,
             "PRACTISED": 1, "REWARDED": 1, "AT_ONCE": 2, "EMBEDDING": 4, "WIDTH": 6,
             "SHORT": True}  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module.errands, "LIMIT", 6)
    monkeypatch.chdir(tmp_path)
    return command(module, "navigate", monkeypatch, capsys)


# ----- houses -----


def test_houses_can_be_walked_through_and_nothing_in_a_room_is_there_twice(house):
    seen = set()
    for seed in range(20):
        one = house.built(random.Random(seed))
        assert len(one.rooms) == house.WIDTH * house.HEIGHT
        links = {room: set() for room in one.rooms.values()}
        for (place, way), colour in one.doors.items():
            there = house.beyond(place, way)
            assert one.doors[there, (way + 2) % 4] == colour
            assert one.rooms[there] != one.rooms[place]
            assert place not in one.things
            links[one.rooms[place]].add(one.rooms[there])
        reached, waiting = {0}, [0]
        while waiting:
            new = links[waiting.pop()] - reached
            reached |= new
            waiting += new
        assert reached == set(links)
        for room in links:
            colours = [colour for *_, colour in one.ways(room)]
            things = [thing for place, thing in one.things.items() if one.rooms[place] == room]
            assert len(colours) == len(set(colours))
            assert len(things) == len(set(things)) > 0
            assert house.walkable(one, room)
        seen.add(tuple(sorted(one.things.items())))
    assert len(seen) == 20


def test_no_wall_and_no_closed_door_is_seen_through(house):
    """Against paths: a place is in view where steps ahead and outwards lead there."""
    for seed in range(4):
        one = house.built(random.Random(seed))
        draw = random.Random(seed)
        for place in draw.sample(sorted(one.rooms), 8):
            heading = draw.randrange(4)
            opened = {way for way in one.doors if draw.random() < 0.5}
            opened |= {(house.beyond(*way), (way[1] + 2) % 4) for way in opened}

            def reached(ahead, right, place=place, heading=heading, one=one, opened=opened):
                """The place, if it is in view, by the definition, from there to who looks."""
                if not (ahead or right):
                    return place
                found = []
                if ahead:
                    found.append((reached(ahead - 1, right), heading))
                if right:
                    sign = 1 if right > 0 else -1
                    found.append((reached(ahead, right - sign), (heading + sign) % 4))
                for before, way in found:
                    if before and one.side(before, way, opened) in ("", "doorway"):
                        return house.beyond(before, way)
                return None

            places = [(a, r) for a in range(house.AHEAD) for r in range(-4, 5)]
            expected = {at: reached(*at) for at in places if reached(*at)}
            assert one.seen(place, heading, opened) == expected
            view = one.view(place, heading, opened).transpose(1, 2, 0)
            assert set(np.unique(view)) <= {0, 255}
            in_view = {(a, r) for a, r in places if view[a, r + 4, 0]}
            assert in_view == set(expected)
            for (ahead, right), at in expected.items():
                planes = np.flatnonzero(view[ahead, right + 4, 1 : 1 + len(house.THINGS)])
                shown = [house.THINGS[k] for k in planes]
                assert shown == [one.things[at] for _ in [0] if at in one.things]


def test_what_cannot_be_done_changes_nothing(house):
    one = house.built(random.Random(0))
    (place, way), colour = next(iter(one.doors.items()))
    walker = house.Walker(one, place, way)
    walker.act("forward")
    assert (walker.place, walker.heading) == (place, way)
    assert one.side(place, way, walker.opened) == colour
    walker.act("open")
    assert one.side(place, way, walker.opened) == "doorway"
    walker.act("forward")
    assert walker.place == house.beyond(place, way)
    walker.act("left")
    assert walker.heading == (way + 3) % 4
    walker.act("right")
    assert walker.heading == way
    blind = house.Walker(one, (0, 0), 0)
    for action in ("forward", "open", "stop"):
        blind.act(action)
    assert (blind.place, blind.opened) == ((0, 0), set())


# ----- errands -----


def test_demonstrations_look_around_and_then_take_the_shortest_way(house, errands):
    """By breadth first search from the pose in which the door, or the thing, came into view."""
    for errand in errands.errands(4, 4):
        walker, views = errand.walked(errand.demonstration)
        assert errand.done(walker)
        assert not errand.done(walker, stopped=False)
        for place, heading in walker.poses:
            away = abs(place[0] - errand.thing[0]) + abs(place[1] - errand.thing[1])
            inside = errand.house.rooms[place] == errand.house.rooms[errand.thing]
            here = house.Walker(errand.house, place, heading)
            assert errand.done(here) == (away == 1 and inside)
        assert len(views) == len(errand.demonstration) < errands.LIMIT
        begin, count = errand.start, 0
        for leg, ends in enumerate(errand.ends):
            while not errand.in_view(begin, leg):
                walker = house.Walker(errand.house, *begin)
                turn = -1 if "left" in errands.side_of(walker, errand, leg) else 1
                begin, count = (begin[0], (begin[1] + turn) % 4), count + 1
            reached = {begin}
            while not reached & set(ends):
                count += 1
                for place, heading in list(reached):
                    reached |= {(place, (heading + 1) % 4), (place, (heading + 3) % 4)}
                    if errand.house.leads(place, heading):
                        reached.add((house.beyond(place, heading), heading))
            if leg < len(errand.doors):  # to open it and to go through
                begin, count = (house.beyond(*ends[0]), ends[0][1]), count + 2
        assert len(errand.demonstration) == count + 1


def test_what_is_asked_was_never_demonstrated(errands):
    shown, asked = errands.errands(6, 5, "shown"), errands.errands(3, 5, "other", True)
    again = errands.errands(6, 5, "shown")
    assert [one.instruction for one in shown] == [one.instruction for one in again]
    assert not {one.combination() for one in shown} & {one.combination() for one in asked}
    assert all(one.is_held_out() for one in asked)
    words = {word for one in shown for word in re.findall(r"\w+", one.instruction)}
    assert {word for one in asked for word in re.findall(r"\w+", one.instruction)} <= words
    all_of_them = [f"{c} {t}" for c in errands.COLOURS for t in errands.THINGS]
    assert sum(errands.crc32(one.encode()) % 7 == 0 for one in all_of_them) == 7


def test_instructions_tell_the_doors_and_the_thing_in_their_order(errands):
    for errand in errands.errands(5, 5):
        names = [errand.house.doors[door] for door in errand.doors]
        names.append(errand.house.things[errand.thing])
        told = re.findall(r"\w+", errand.instruction)
        assert [word for word in told if word in errands.COLOURS + errands.THINGS] == names
        assert not errands.trouble(errand.house, errand.start[0], errand.instruction)


def test_sides_are_those_of_who_walks(house, errands):
    def side(heading, place, *doors):
        errand = errands.Errand(None, None, doors, place)
        return errands.side_of(house.Walker(None, (5, 5), heading), errand, 0)

    north = {(5, 2): "ahead", (2, 5): "left", (8, 5): "right", (5, 8): "behind",
             (3, 7): "behind left", (7, 7): "behind right", (3, 4): "left"}  # fmt: skip
    for place, expected in north.items():
        assert side(0, place) == expected
    assert side(1, (5, 2)) == "left"
    assert side(1, None, ((5, 5), 3)) == "behind"  # the door in the wall at one's back
    assert side(0, None, ((5, 5), 3)) == "left"


def test_detours_arrive_and_who_is_led_astray_does_not(errands):
    draw = random.Random(0)
    for errand in errands.errands(5, 4):
        stroll = errands.strolled(draw, errand, 0.2)
        assert errand.done(errand.walked(stroll)[0])
        other = errands.astray(draw, errand)
        if other:
            assert other.start == errand.start
            assert not errand.done(other.walked(other.demonstration)[0])


def test_why_a_way_cannot_be_gone_is_said(errands):
    errand = errands.errands(1, 1)[0]
    one, place = errand.house, errand.start[0]
    room = one.rooms[place]
    missing = next(c for c in errands.COLOURS if c not in [w for *_, w in one.ways(room)])
    trouble = errands.trouble(one, place, f"take the {missing} door")
    assert trouble.startswith(f"the first room has no {missing} door; it has a ")
    inside = [thing for at, thing in one.things.items() if one.rooms[at] == room]
    missing = next(thing for thing in errands.THINGS if thing not in inside)
    assert f"the first room has no {missing}; it has " in errands.trouble(one, place, missing)
    assert "it names no door and no thing" in errands.trouble(one, place, "dance")


# ----- the command -----


def test_everything_is_learned_drawn_and_used(tool):
    said, died = tool()
    assert not died
    for told in ("6 errands demonstrated in 2 houses; 3 asked in 1 others", "no words: ",
                 "no view: ", "imitation: ", "the matcher tells", " reward: ",
                 r"practice: the best walks of \d of 3 errands", " practice: "):  # fmt: skip
        assert re.search(told, said)
    assert said.endswith("wrote out/navigate/walks.svg\n")
    page = Path("out/navigate/walks.html").read_text()
    assert page.count("<section>") == 2
    assert page.count('class="goal"') == 3
    said, died = tool("--say", "take the pink door", "", "Stop")
    assert not died
    assert "unknown words: pink" in said
    assert said.count("cannot be followed: it names no door and no thing") == 3
    assert Path("out/navigate/said.html").read_text().count("<section>") == 2


def test_a_run_anew_leaves_nothing_of_another_one_to_resume(tool, monkeypatch):
    assert tool("--seed", 1)[1] == ""
    assert Path("out/navigate/practice/model.json").exists()
    monkeypatch.setattr(tool.module, "reward", Mock(side_effect=KeyboardInterrupt))
    _, died = tool("--seed", 2)
    assert "interrupted" in died
    left = {place.name for place in Path("out/navigate").iterdir() if place.is_dir()}
    assert left == {"imitation", "matcher"}
    assert '"seed": 2' in Path("out/navigate/settings.json").read_text()


def test_what_cannot_be_done_is_said(tool):
    _, died = tool("--resume", "--out", "none")
    assert "there is no run in 'none' to resume" in died
    _, died = tool("--say", "stop", "--out", "none")
    assert "'none/practice' holds no model.json" in died
    said, died = tool("--help")
    assert died == "0"
    assert 'navigate.py --say "go through the blue door' in said


def test_a_walk_is_drawn_from_its_begin_to_its_end(tool):
    drawing, errands = tool.module.floor_plan, tool.module.errands
    errand = errands.errands(1, 1)[0]
    poses = errand.walked(errand.demonstration)[0].poses
    moves = sum(a[0] != b[0] for a, b in pairwise(poses))
    count = len(errand.instruction.split())
    image = drawing.framed(drawing.picture(errand, poses, [0.0] * count, True))
    assert image.count('class="way"') == moves
    assert image.count(f"fill:{drawing.colour_at(0)}") == count
    assert image.count("door</title>") == len(errand.house.doors) // 2
    assert drawing.colour_at(0) == "#2563eb"
    assert drawing.colour_at(1) == "#ea580c"
