"""Alignments: what a translator looks at, as letters, as images, on a page."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import inspect, models, text
from tinygrad_rnn.errors import ArgumentError, ShapeError

SPACE = "{http://www.w3.org/2000/svg}"
CROSSED = inspect.Alignment(
    ["black", "<cats>", "⏎"], ["chats", "noirs", "⏎"],
    np.array([[0.05, 0.9, 0.05], [1.0, 0.0, 0.0], [0.0, 0.4, 0.6]]),
)  # fmt: skip


def test_the_map_in_letters():
    assert CROSSED.text().split("\n") == [
        "       black <cats> ⏎",
        "chats  ·     ██████ ·",
        "noirs  █████ ·      ·",
        "    ⏎  ·     ▒▒▒▒▒▒ ▒",
    ]


def test_the_map_as_an_image():
    root = ElementTree.fromstring(CROSSED.svg())
    cells = [cell for cell in root.iter(f"{SPACE}rect") if "hot" in cell.get("class")]
    shown = np.array([float(cell.get("fill-opacity")) for cell in cells]).reshape(3, 3)
    np.testing.assert_allclose(shown, CROSSED.weights)
    places = np.array([[float(cell.get(axis)) for axis in "xy"] for cell in cells]).reshape(3, 3, 2)
    assert (np.diff(places[..., 0], axis=1) > 0).all()
    assert (np.diff(places[..., 1], axis=0) > 0).all()
    assert cells[1].find(f"{SPACE}title").text == "chats · <cats>: 90%"


def test_links_cross_where_words_do():
    root = ElementTree.fromstring(CROSSED.links())
    links = [
        list(map(float, re.findall(r"[\d.]+", path.get("d")))) for path in root.iter(f"{SPACE}path")
    ]
    assert len(links) == 4  # what is looked at too little is left out
    (a, *_, b, _), (c, *_, d, _) = links[:2]
    assert (a - c) * (b - d) < 0
    words = [word.text for word in root.iter(f"{SPACE}text")]
    assert words == CROSSED.source + CROSSED.target


def test_a_page_holds_all_and_escapes_it():
    page = inspect.page_of_alignments([CROSSED], title="a < b", figures={"x & y": "<svg/>"})
    assert page.count("<svg") == 3
    assert "a &lt; b" in page
    assert "x &amp; y" in page
    assert "<cats>" not in page


def test_what_a_model_looks_at():
    tg.seed(0)
    english, french = text.Words(["black", "cats"]), text.Words(["chats", "noirs"])
    model = models.Seq2Seq(english, french, 4, 6)
    found = inspect.alignment(model, "black cats dogs", "chats noirs")
    assert found.source == ["black", "cats", "<unk>", "⏎"]
    assert found.target == ["chats", "noirs", "⏎"]
    ids = [english.encode("black cats dogs")], [french.encode("chats noirs")]
    np.testing.assert_array_equal(found.weights, model.alignment(*ids)[0])
    said = inspect.alignment(model, "cats", beam=2, max_length=3)
    spoken = model.translated([english.encode("cats")], beam=2, max_length=3)[0]
    assert said.target == [*(french.piece(int(token)) for token in spoken), "⏎"]


def test_what_is_no_alignment():
    with pytest.raises(ShapeError, match=r"weights have shape \(3, 3\), expected 1 words"):
        inspect.Alignment(["a"], ["b"], CROSSED.weights)
    for model in (3, models.Seq2Seq(3, 3, 4, 6)):
        with pytest.raises(ArgumentError, match="expected one that translates texts"):
            inspect.alignment(model, "a")


def test_no_words_at_all():
    empty = inspect.Alignment([], [], np.zeros((0, 0)))
    assert empty.text().strip() == ""
    for image in (empty.svg(), empty.links()):
        ElementTree.fromstring(image)


def test_the_course_of_a_run(tmp_path):
    steps, epochs = tmp_path / "steps.csv", tmp_path / "epochs.csv"
    steps.write_text("step,loss\n1,4\n2,2\n3,3\n")
    epochs.write_text("epoch,step,val_loss\n1,3,2.5\n2,6,\n")
    with pytest.raises(tg.errors.FileFormatError, match=r"epochs.csv' is no table with numbers in"):
        inspect.draw_learning(steps, epochs)
    epochs.write_text("epoch,step,val_loss\n1,3,2.5\n")
    root = ElementTree.fromstring(inspect.draw_learning(steps, epochs, y="nats"))
    points = [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in root.iter(f"{SPACE}polyline")
    ]
    assert [len(line) for line in points] == [3, 1]
    heights = [y for _, y in points[0]]
    assert heights[0] < heights[1] == heights[2]  # 4, then the mean of 4 and 2, then of all three


def test_weights_that_are_no_numbers_are_not_drawn():
    found = inspect.Alignment(["a", "b"], ["c"], np.array([[np.nan, 1.0]]))
    assert 'fill-opacity="0.000"' in found.svg()
    assert "nan" not in re.sub("<title>[^<]*</title>", "", found.svg() + found.links())
    assert found.text().splitlines()[1] == "c  · █"
