"""Bodies in motion as animations and strips: every frame, and gaps left out."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from tinygrad_rnn import inspect
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.skeleton import PAUSE

BONES = [(0, 1), (1, 2)]
SVG = "{http://www.w3.org/2000/svg}"


def poses(frames=4):
    """A body of three joints that stands and goes to the right."""
    found = np.zeros((frames, 3, 2))
    found[..., 1] = [1.8, 1.0, 0.0]
    found[..., 0] = 0.3 * np.arange(frames)[:, None]
    return found


def late(begin=2):
    """What is forecast from a frame on."""
    found = poses() + 0.05
    found[:begin] = np.nan
    return found


def skeleton(**more):
    given = {"poses": {"true": poses(), "fore<cast": late()}, "title": "a tall one & more"} | more
    return inspect.Skeleton(given.pop("poses"), BONES, **given)


def moving(figure, name):
    """The values of an attribute, one for each frame."""
    (found,) = [a for a in figure.iter(f"{SVG}animate") if a.get("attributeName") == name]
    return found.get("values").split(";"), found.get("calcMode"), found.get("dur")


def places(path):
    return np.array(re.findall(r"-?[\d.]+", path), float).reshape(-1, 2)


def test_an_animation_goes_through_all_frames():
    tree = ElementTree.fromstring(skeleton(rate=8).svg())
    body, bones = (g for g in tree.iter(f"{SVG}g") if g.get("class"))
    assert (body.get("class"), bones.get("class")) == ("body", "bones b1")
    paths, mode, seconds = moving(body, "d")
    assert (len(paths), mode, seconds) == (4 + PAUSE, "linear", f"{(3 + PAUSE) / 8:.2f}s")
    unit = (places(paths[3]) - places(paths[0]))[:, 0] / 0.9
    assert (unit > 20).all()  # pixels for each metre, to the right
    np.testing.assert_allclose(unit, unit[0], rtol=0.01)
    head, _, foot = places(paths[0])[[0, 1, 3]]
    assert foot[1] - head[1] == pytest.approx(1.8 * unit[0], rel=0.01)  # up is up
    paths, mode, same = moving(bones, "d")
    assert (mode, same) == ("linear", seconds)
    assert paths[0] == paths[2] != paths[3]  # it waits where it will be
    shown, mode, same = moving(bones, "opacity")
    assert (mode, same) == ("discrete", seconds)
    assert shown == ["0", "0", *["1"] * (2 + PAUSE)]
    (hidden,) = [a for a in bones.iter(f"{SVG}animate") if a.get("attributeName") == "opacity"]
    times = np.array(hidden.get("keyTimes").split(";"), float)
    np.testing.assert_allclose(times, np.linspace(0, 1, 4 + PAUSE), atol=1e-3)  # as of the body
    assert "fore&lt;cast" in skeleton().svg()
    assert "a tall one &amp; more" in skeleton().svg()


def test_a_joint_that_is_missing_takes_its_bones_with_it():
    own = poses()
    own[1, 2] = np.nan
    drawn = ElementTree.fromstring(skeleton(poses={"true": own}, head=None).svg())
    paths, mode, _ = moving(drawn, "d")
    assert mode == "discrete"
    assert [len(places(path)) for path in paths[:4]] == [4, 2, 4, 4]
    assert "circle" not in skeleton(head=None).svg()


def test_a_strip_has_frame_beside_frame_and_does_not_move():
    drawn = skeleton().strip(1)
    tree = ElementTree.fromstring(drawn)
    assert "animate" not in drawn
    bodies = [g for g in tree.iter(f"{SVG}g") if g.get("class") == "body"]
    at = [places(body.find(f"{SVG}path").get("d"))[0, 0] for body in bodies]
    assert len(at) == 4
    assert (np.diff(at) > 30).all()
    assert drawn.count('class="bones') == 2  # of four frames two are forecast
    assert skeleton().strip(2).count('class="body"') == 2


def test_several_are_a_page_and_a_picture():
    two = [skeleton(), skeleton()]
    page = inspect.page_of_skeletons(two, title="Bodies & more", figures={"a <chart>": "<svg/>"})
    assert page.count('role="img"') == 2
    assert "Bodies &amp; more" in page
    assert "a &lt;chart&gt;" in page
    one, row, column = (
        ElementTree.fromstring(svg)
        for svg in (
            two[0].svg(),
            inspect.picture_of_skeletons(two, columns=2),
            inspect.picture_of_skeletons(two, columns=1),
        )
    )
    size = lambda tree: (int(tree.get("width")), int(tree.get("height")))
    assert size(row) == (2 * size(one)[0], size(one)[1])
    assert size(column) == (size(one)[0], 2 * size(one)[1])
    strips = inspect.picture_of_skeletons(two, strips=True)
    assert "animate" not in strips
    assert strips.count('class="body"') == 4


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: inspect.Skeleton({}, BONES), "poses is empty"),
        (lambda: skeleton(poses={"a": poses()[0]}), r"poses\['a'\] has shape \(3, 2\), expected"),
        (lambda: skeleton(poses={"a": poses(), "b": poses(3)}), "one shape for all"),
        (lambda: skeleton(poses={"a": poses(0)}), "with a frame or more"),
        (lambda: inspect.Skeleton({"a": poses()}, [(0, 3)]), "bones name joints from 0 to 3"),
        (
            lambda: skeleton(poses={"a": np.full((2, 3, 2), np.nan)}),
            r"poses\['a'\] has no joint that is known",
        ),
        (lambda: skeleton(poses={"a": np.full((2, 3, 2), np.inf)}), "has infinities, expected num"),
        (lambda: skeleton(rate=0), "rate is 0, expected a number above 0"),
        (lambda: skeleton(head=9), "head is 9, expected None, or a joint from 0 to 2"),
        (lambda: skeleton().strip(0), "every is 0, expected a whole number from 1 up"),
    ],
)
def test_errors_say_what_was_expected(make, told):
    with pytest.raises((ArgumentError, ShapeError), match=told):
        make()
