"""Drawings are whole SVG images, and hold the numbers that they were given."""

import base64
import re
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import inspect, nn
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect import Chart, Line
from tinygrad_rnn.inspect.chart import _ticks

SVG = "{http://www.w3.org/2000/svg}"
C, F = (inspect.Row(0, "forward", name) for name in "cf")


def activations(steps=30):
    rng = np.random.default_rng(0)
    rows = {C: np.cumsum(rng.standard_normal((steps, 5)), axis=0), F: rng.random((steps, 5))}
    return inspect.Activations(rows, [C], list('say "a" & <b>\n\t' * 2)[:steps])


def pixels(svg):
    """The pictures within an image, each (rows, columns, 4)."""
    found = []
    for coded in re.findall(r"base64,([^\"]*)", svg):
        data = base64.b64decode(coded)
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        place, chunks = 8, {}
        while place < len(data):
            length = int.from_bytes(data[place : place + 4])
            name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
            check = data[place + 8 + length : place + 12 + length]
            assert zlib.crc32(name + body) == int.from_bytes(check)
            chunks[name] = body
            place += 12 + length
        columns, rows = (int.from_bytes(chunks[b"IHDR"][n : n + 4]) for n in (0, 4))
        lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(rows, -1)
        assert not lines[:, 0].any()
        found.append(lines[:, 1:].reshape(rows, columns, 4))
    return found


def test_pixels_are_the_table():
    (picture,) = pixels(inspect.image(np.array([[0.0, 1.0, -1.0], [0.5, -2.0, np.nan]])))
    np.testing.assert_array_equal(picture[..., 3], [[0, 255, 255], [128, 255, 0]])
    warm, cold = picture[0, 1, :3], picture[0, 2, :3]
    assert warm[0] > warm[2]
    assert cold[0] < cold[2]


def test_states_and_gates_by_step():
    found = activations()
    svg = inspect.draw_steps(found, units=[3, 1], start=2, limit=20)
    root = ElementTree.fromstring(svg)
    assert [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "row"] == ["c", "f"]
    letters = [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "letter"]
    assert "".join(letters) == 'y·"a"·&·<b>↵→say·"a"'
    cells, gates = pixels(svg)
    part = found[C][2:22, [3, 1]].T
    want = np.round(np.abs(part) / np.abs(part).max(axis=1, keepdims=True) * 255)
    np.testing.assert_array_equal(cells[..., 3], want)
    np.testing.assert_array_equal(gates[..., 3], np.round(found[F][2:22, [3, 1]].T * 255))
    one = inspect.draw_steps(found, units=[2], rows=["f"])
    assert not pixels(one)
    bars = re.search(r'class="warm" d="([^"]*)"', one)[1]
    heights = [float(h) for h in re.findall(r"v([\d.]+)", bars)]
    np.testing.assert_allclose(heights, found[F][:, 2] * 62, atol=0.06)
    ElementTree.fromstring(inspect.draw_steps(found))
    with pytest.raises(ArgumentError, match=r"units are \[9\], expected some of the 5"):
        inspect.draw_steps(found, units=[9])
    with pytest.raises(ArgumentError, match="start is 99, expected less than 30"):
        inspect.draw_steps(found, start=99)
    with pytest.raises(ArgumentError, match="there is no layer 3"):
        inspect.draw_steps(found, 3)


def test_lines_go_through_their_points():
    x, y = np.array([1.0, 10.0, 100.0]), np.array([1.0, 0.0, 4.0])
    chart = Chart("A < B", "x", "y", [Line("l & m", x, y)], log_x=True, ends={"y": (0.0, 5.0)})
    root = ElementTree.fromstring(chart.svg())
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert {"A < B", "l & m", "x", "y", "1", "2", "10", "100"} <= set(texts)
    (line,) = root.iter(f"{SVG}polyline")
    points = np.array([p.split(",") for p in line.get("points").split()], float)
    assert np.ptp(np.diff(points[:, 0])) < 0.2  # the scale is logarithmic
    top, foot = 44, 380 - 48
    np.testing.assert_allclose(points[:, 1], foot - y / 5 * (foot - top), atol=0.06)
    hidden = Chart("t", "x", "y", [Line("", [0, 1, 2], [0, 1, np.inf], dots=True)], log_y=True)
    assert len(list(ElementTree.fromstring(hidden.svg()).iter(f"{SVG}circle"))) == 1
    with pytest.raises(ArgumentError, match="no point that can be drawn"):
        Chart("empty", "x", "y", []).svg()


def test_names_do_not_stand_on_each_other():
    lines = [Line(f"line {n}", [0, 1], [0, 1 + n / 1000]) for n in range(8)]
    root = ElementTree.fromstring(Chart("t", "x", "y", lines).svg())
    places = [float(t.get("y")) for t in root.iter(f"{SVG}text") if "name" in t.get("class", "")]
    assert len(places) == 8
    assert min(np.diff(sorted(places))) >= 14.9


@pytest.mark.parametrize(
    ("low", "high", "log", "want"),
    [
        (0, 1, False, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (-0.31, 0.22, False, ["−0.3", "−0.2", "−0.1", "0", "0.1", "0.2"]),
        (-12.0, 0.1, True, ["10⁻¹²", "10⁻¹⁰", "10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"]),
        (0.0, 1.0, True, ["1", "2", "5", "10"]),
        (0.0, 2.1e-6, False, ["0", "5·10⁻⁷", "10⁻⁶", "1.5·10⁻⁶", "2·10⁻⁶"]),
    ],
)
def test_ticks_are_round(low, high, log, want):
    assert [label for _, label in _ticks(low, high, log, 6)] == want


def test_charts_of_gates():
    for draw in (inspect.draw_saturation, inspect.draw_memory):
        root = ElementTree.fromstring(draw(activations()))
        assert len(list(root.iter(f"{SVG}circle"))) == 5
        with pytest.raises(ArgumentError, match="expected activations of a cell with gates"):
            draw(inspect.Activations({C: np.array([[1.0], [-1]])}, [C]))


def test_each_row_has_units_of_its_own_width():
    tg.seed(0)
    layer = nn.LSTM(3, 6, proj_size=2)
    found = inspect.activations(layer, tg.randn(7, 3))
    drawn = inspect.draw_steps(found)
    ElementTree.fromstring(drawn)
    heights = [len(picture) for picture in pixels(drawn)]
    assert heights == [2 if row.name == "h" else 6 for row in (*found.states, *found.gates)]
    with pytest.raises(ArgumentError, match=r"units are \[5\], expected some of the 2 of layer 0"):
        inspect.draw_steps(found, units=[5])


def test_a_memory_without_gates_of_its_width_is_told():
    rows = {C: np.random.default_rng(0).standard_normal((9, 3)), F: np.full((9, 2), 0.5)}
    with pytest.raises(ArgumentError, match="draw_memory: no gate is as wide as a state"):
        inspect.draw_memory(inspect.Activations(rows, [C]))


def test_pages_of_no_charts_and_no_columns_are_told():
    chart = Chart("a", "x", "y", [Line("", [0, 1], [0, 1])])
    with pytest.raises(ArgumentError, match="charts is empty, expected one at least"):
        inspect.page_of_charts([])
    with pytest.raises(ArgumentError, match="columns is 0, expected a whole number from 1 up"):
        inspect.page_of_charts([chart], columns=0)


def test_charts_of_one_title_are_clipped_each_by_its_own_rectangle():
    line = Line("", [0, 1], [0, 1])
    page = inspect.page_of_charts(Chart("a", "x", "y", [line], width=w) for w in (300, 600))
    ids = re.findall('<clipPath id="([^"]*)"', page)
    assert len(set(ids)) == 2
    assert re.findall(r'clip-path="url\(#([^)]*)\)"', page) == ids


def test_long_names_leave_room_for_lines():
    root = ElementTree.fromstring(inspect.line_chart({"n" * 90: [(0, 0), (1, 1)]}))
    (name,) = (text.text for text in root.iter(f"{SVG}text") if "name" in text.get("class", ""))
    assert name.startswith("nnn")
    assert name.endswith("…")
    (clip,) = root.iter(f"{SVG}clipPath")
    assert float(clip[0].get("width")) > 200


def test_what_an_image_cannot_hold_is_replaced():
    drawn = inspect.line_chart({"a\x00b": [(0, 0), (1, 1)]}, title="\x0c\ud800<\n😀")
    texts = [text.text for text in ElementTree.fromstring(drawn).iter(f"{SVG}text")]
    assert "\ufffd\ufffd<\n😀" in texts
    assert "a\ufffdb" in texts
    found = inspect.Activations({C: np.ones((2, 1)), F: np.ones((2, 1))}, [C], ["\x01", "\x02"])
    ElementTree.fromstring(inspect.draw_steps(found))


@pytest.mark.parametrize("size", [1e20, -1e20, 0.0, 3.0])
def test_a_constant_of_any_size_is_drawn(size):
    root = ElementTree.fromstring(inspect.line_chart({"a": [(0, size), (1, size)]}))
    (line,) = root.iter(f"{SVG}polyline")
    heights = {float(place.split(",")[1]) for place in line.get("points").split()}
    assert len(heights) == 1
    assert 0 < heights.pop() < float(root.get("height"))


def test_a_line_has_as_many_numbers_across_as_down():
    with pytest.raises(ShapeError, match=r"Line: 'a' has x of shape \(2,\) and y of \(3,\)"):
        Line("a", [0, 1], [0, 1, 2])


def test_a_line_of_one_point_is_seen():
    root = ElementTree.fromstring(inspect.line_chart({"loss": [(1, 4.6), (2, np.nan)]}))
    (dot,) = root.iter(f"{SVG}circle")
    assert 0 < float(dot.get("cx")) < float(root.get("width"))
