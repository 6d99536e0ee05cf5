"""The motion example as a tool, and the bodies and faces that it learns from."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.loaded_example import EXAMPLES, command, loaded

SMALL = "--hidden 8 --epochs 2 --ahead 2".split()


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path, reference):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))  # where body.py and gazing.py are
    module = loaded("motion")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    poses = {f"p{n}": rng.standard_normal((4 + n % 3, 3, 2)) for n in range(12)}
    poses["p2"][1:3, 1] = np.nan
    np.savez("poses.npz", **poses, flat=np.ones((4, 6)), short=np.ones((1, 3, 2)),
             gone=np.full((4, 3, 2), np.nan))  # fmt: skip
    np.savez("none.npz", flat=np.ones((4, 6)))
    Path("none.tsv").write_text("no tab\n")
    Path("labels.tsv").write_text(
        "".join(f"p{n}\t{'up' if n % 2 else 'down'}\n" for n in range(11))
    )
    Path("one.tsv").write_text("p0\tup\np1\tup\n")
    return command(module, "motion", monkeypatch, capsys)


def test_poses_of_ones_own_are_learned(tool):
    said, died = tool("poses.npz", *SMALL)
    assert not died
    assert (
        "left out, 3 of 15: flat (shape (4, 6)), gone (no joint is known), short (shape (1, 3, 2))"
    ) in said
    assert "11 sequences to learn from, 1 kept aside; 3 joints" in said
    assert re.search(r"next 2 poses: off by [\d.]+; repeat the last pose [\d.]+", said)
    assert Path("out/motion/forecast.safetensors").exists()
    said, _ = tool("poses.npz", *SMALL, "--ahead", 9)
    assert "none kept aside is longer than --ahead 9, with joints that are known in" in said


def test_labels_of_ones_own_are_learned(tool):
    said, died = tool("poses.npz", "labels.tsv", *SMALL)
    assert not died
    assert "p11 (has no label)" in said
    assert re.search(r"labels: [\d.]+% of 1 right; the most usual one has [\d.]+%", said)
    assert "wrote out/motion/labels.safetensors" in said


def test_what_cannot_be_used_of_poses_and_labels_is_left_out(tool):
    with np.load("poses.npz") as file:
        poses = {name: file[name] for name in file.files if name[0] == "p"}
    late = {f"late{n}": np.concatenate([poses["p0"] * np.nan, poses["p0"]]) for n in range(3)}
    early = np.concatenate([poses["p0"][:1], poses["p0"] * np.nan])
    np.savez("odd.npz", a=np.ones((4, 9, 2)), early=early, objects=np.array([None]),
             texts=np.full((4, 3, 2), "x"), complex=np.ones((4, 3, 2), complex), **poses, **late,
             )  # fmt: skip
    whole = Path("odd.npz").read_bytes()
    assert whole.count(poses["p3"].tobytes()) == 1
    Path("odd.npz").write_bytes(whole.replace(poses["p3"].tobytes(), poses["p4"][:4].tobytes()))
    said, died = tool("odd.npz", *SMALL, "--ahead", 6)
    assert not died, died
    assert "left out, 6 of 20: a (shape (4, 9, 2)), complex (holds complex128)" in said
    assert "early (no joint is known behind its first frame)" in said
    assert "objects (cannot be read: Object arrays" in said
    assert "p3 (cannot be read: Bad CRC-32" in said
    np.savez("late.npz", **late)
    said, died = tool("late.npz", *SMALL, "--ahead", 4)
    assert not died, died
    assert "in both parts: nothing to compare with" in said
    rows = [" p0\tup ", "p1\tdown", "p2\tup\textra", "", "p4", "p5\t ", "\tup"]
    Path("odd.tsv").write_text("\n".join(rows), "utf-8-sig")
    said, died = tool("poses.npz", "odd.tsv", *SMALL)
    assert not died, died
    assert "odd.tsv: left out, lines without name, tab, label: 3" in said
    assert "2 sequences to learn from, 1 kept aside" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("nowhere.npz", "No such file or directory: 'nowhere.npz'"),
        ("none.npz", "none.npz has 0 sequences that can be used, expected two or more"),
        ("poses.npz none.tsv", "of one shape but for T, each with a label."),
        ("labels.tsv", "labels.tsv is no .npz file of arrays"),
        ("poses.npz one.tsv", "one.tsv has one label for all sequences, expected two or more"),
        ("poses.npz poses.npz", "poses.npz is no text in UTF-8"),
        ("poses.npz --seed -1", "seed: value is -1, expected a whole number from 0 up"),
        ("poses.npz --ahead 0", "--ahead is 0, expected a whole number from 1 up"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(tool, arguments, told):
    _, died = tool(*arguments.split())
    assert told in died
    assert not Path("out").exists()


def test_help_shows_how_it_is_used(tool):
    said, died = tool("--help")
    assert died == "0"
    assert "motion.py poses.npz labels.tsv" in said


# ----- the bodies -----


@pytest.fixture
def body(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("body")


def test_what_is_asked_was_never_learned(body):
    learned, asked = body.motions(600, 100)
    assert (learned, asked) == body.motions(600, 100)
    assert (len(learned), len(asked)) == (600, 100)
    combinations = lambda motions: {(m.body, m.speed, g) for m in motions for g in m.gestures}
    assert not combinations(learned) & combinations(asked)
    stage = body.Stage(0)
    one = stage.motion(1)
    every = [
        replace(one, body=who, speed=speed, gestures=(gesture,))
        for who in body.BODIES
        for speed in body.SPEEDS
        for gesture in body.GESTURES
    ]
    held_out = [motion for motion in every if motion.is_held_out()]
    assert (len(every), len(held_out)) == (216, 36)
    assert set(Counter(motion.gestures for motion in held_out).values()) == {3}  # each as often
    pairs = {(m.body, m.gestures) for m in every if not m.is_held_out()}
    assert len(pairs) == 72  # every body makes every gesture, at some speed
    new = lambda motion: [replace(motion, gestures=(g,)).is_held_out() for g in motion.gestures]
    learned, asked = body.motions(100, 50, gestures=2)
    assert not any(any(new(motion)) for motion in learned)
    assert all(any(new(motion)) for motion in asked)


@pytest.mark.parametrize("phase", [0.3, 2.0])
def test_a_gesture_backwards_is_another_one(body, phase):
    """So no frame, and no mean of frames, tells which of the two it is."""
    settings = {"frames": 13, "speed": 1.0, "reach": 1.0, "side": "left"}
    mirrored = {"waves": np.pi / 2, "claps": np.pi / 2, "jumps": np.pi, "bows": 0}
    for one, other in body.BACKWARDS.items():  # four are the same, from another phase
        began = mirrored[one] - phase if one == other else phase
        forwards = body.angles(one, phase=phase, **settings)
        backwards = body.angles(other, phase=began, **settings)[::-1]
        np.testing.assert_allclose(forwards, backwards, atol=1e-12)
        assert one == other or np.abs(forwards - backwards[::-1]).max() > 0.1


def test_bodies_stand_on_the_floor_and_their_limbs_keep_their_lengths(body):
    for motion in body.motions(40, 0, gestures=2)[0]:
        joints = motion.joints()
        assert joints.shape == (sum(motion.frames), 17, 3) == (len(motion.labels()), 17, 3)
        lowest = joints[..., 1].min(axis=1)
        assert (lowest > 0).all()
        if "jumps" not in motion.gestures:
            np.testing.assert_allclose(lowest, lowest[0], atol=1e-9)
        for a, b in body.BONES:
            if {a, b} != {0, 1} and (a, b) not in ((1, 3), (1, 6), (2, 9), (2, 12)):
                lengths = np.linalg.norm(joints[:, a] - joints[:, b], axis=1)
                np.testing.assert_allclose(lengths, lengths[0], rtol=1e-6)
        steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
        assert steps.max() < 0.75  # nothing jumps from place to place within a twelfth of a second


def test_from_behind_left_is_right(body):
    motion = body.Stage(0).motion(2)
    joints = motion.joints()
    behind = replace(motion, view=motion.view + np.pi).joints()
    np.testing.assert_allclose(behind, joints * (-1, 1, -1), atol=1e-12)
    before = replace(motion, view=0.0, gestures=("waves", "bows")).joints()
    left, right = (before[:, body.JOINTS.index(f"{side} shoulder"), 0] for side in body.SIDES)
    assert (left > right).all()  # of one who is seen from before, left is to the right


def test_joints_are_where_a_body_is_drawn(body):
    motion = replace(body.Stage(2).motion(1), posts=(), paper=0, clothes=0)
    film = motion.picture(64, noise=0).astype(int)
    x, y = np.moveaxis(motion.poses(), -1, 0)
    columns = ((x / body.METRES + 0.5) * 64).astype(int)
    rows = ((1 - (y + body.FLOOR) / body.METRES) * 64).astype(int)
    paper = film[:, :, :3].mean(axis=(1, 2))
    for name in ("pelvis", "left elbow", "right knee", "head"):
        joint = body.JOINTS.index(name)
        drawn = film[np.arange(len(film)), rows[:, joint], columns[:, joint]]
        assert (np.abs(drawn - paper).sum(axis=1) > 60).all(), name
    behind = replace(motion, posts=((0.0, 0.0, 4.0),))
    assert behind.hidden().all()
    assert not motion.posts
    assert np.ptp(behind.picture(32, noise=0)[3], axis=0).max() < 12  # a post, and nothing else


def test_gaps_are_as_many_as_asked_for(body):
    poses = body.Stage(0).motion(1).poses()
    gaps = body.with_gaps(poses, np.random.default_rng(0), 0.2)
    assert 0.2 <= np.isnan(gaps[..., 0]).mean() < 0.35
    np.testing.assert_array_equal(np.isnan(gaps[..., 0]), np.isnan(gaps[..., 1]))
    assert np.array_equal(np.where(np.isnan(gaps), poses, gaps), poses)


# ----- the faces -----


def test_pupils_follow_the_gaze_and_are_gone_in_a_blink(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    gazing = loaded("gazing")
    some, again = gazing.looks(40), gazing.looks(40)
    for one, other in zip(some, again, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_allclose(np.linalg.norm(one.directions, axis=1), 1)
        lids = np.isnan(one.points[:, gazing.PUPILS]).any(axis=(1, 2))
        np.testing.assert_array_equal(one.blinks(), lids)
        assert 0 < lids.sum() < len(lids)
    right = np.concatenate([one.directions[~one.blinks(), 0] for one in some])
    pupils = np.concatenate([
        (one.points[:, 2] - one.points[:, :2].mean(axis=1))[~one.blinks(), 0] for one in some
    ])  # fmt: skip
    assert np.corrcoef(right, pupils)[0, 1] > 0.8
