"""Curves as SVG: well-formed, points where they belong, names that do not overlap."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tinygrad_rnn import inspect
from tinygrad_rnn.errors import ArgumentError

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(curves, **options):
    root = ElementTree.fromstring(inspect.line_chart(curves, **options))
    lines = [
        [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
        for line in root.iter(f"{SPACE}polyline")
    ]
    return root, lines


def number(text):
    """What a label beside an axis says: 0.25, 10⁻⁶ or 2·10⁶."""
    found = re.fullmatch(r"(?:([\d.]+)·)?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text)
    if not found:
        return float(text)
    exponent = found[2].translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(found[1] or 1) * 10.0 ** int(exponent)


def test_points_stand_where_their_numbers_are():
    _, ((a, b, c),) = drawn({"line": [(0, 0), (1, 10), (2, 20)]})
    assert a[0] < b[0] < c[0]
    assert a[1] > b[1] > c[1]  # up is less in an SVG
    assert b == pytest.approx(((a[0] + c[0]) / 2, (a[1] + c[1]) / 2), abs=0.1)


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors():
    _, ((a, b, c),) = drawn({"line": [(1, 1), (10, 1e-3), (100, 1e-6)]}, log_x=True, log_y=True)
    assert b == pytest.approx(((a[0] + c[0]) / 2, (a[1] + c[1]) / 2), abs=0.1)


def test_what_cannot_be_drawn_is_left_out():
    points = [(0, 1), (1, math.nan), (2, math.inf), (3, 2), (4, 0)]
    assert len(drawn({"line": points})[1][0]) == 3
    assert len(drawn({"line": points}, log_y=True)[1][0]) == 2
    assert len(drawn({"line": points}, log_x=True, log_y=True)[1][0]) == 1
    with pytest.raises(ArgumentError, match="no point that can be drawn"):
        inspect.line_chart({"line": [(0, math.nan)]})


def test_names_do_not_overlap_and_stay_within():
    root, _ = drawn({f"<{n}>": [(0, 0), (1, n / 1000)] for n in range(12)}, title="a < b")
    names = [text for text in root.iter(f"{SPACE}text") if "name" in text.get("class", "")]
    places = sorted(float(name.get("y")) for name in names)
    assert len(places) == 12
    assert all(b - a >= 15.9 for a, b in pairwise(places))
    assert places[0] > 0
    assert places[-1] < float(root.get("height"))
    assert names[0].text.startswith("<")


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_some_round_numbers_stand_beside_the_axes(scale, log):
    root, _ = drawn({"line": [(scale, 1), (40 * scale, 2)]}, log_x=log)
    texts = [text.text for text in root.iter(f"{SPACE}text") if text.get("text-anchor") == "middle"]
    ticks = [number(text) for text in texts if re.match(r"\d", text or "")]
    assert 3 <= len(ticks) <= 8
    room = 0.03 * 39  # the axes are a little longer than the curves
    assert all((1 - room) * scale <= tick <= (40.001 + room) * scale for tick in ticks)


def test_one_point_is_a_chart():
    assert drawn({"a": [(3, 3)]})[1] == drawn({"a": [(4, 4)]})[1]


def test_dashes_mark_what_is_no_measurement():
    root, _ = drawn({"a": [(0, 1), (1, 2)], "bound": [(0, 2), (1, 2)]}, dashed=["bound"])
    kinds = [line.get("class") for line in root.iter(f"{SPACE}polyline")]
    assert ["dashed" in kind for kind in kinds] == [False, True]
