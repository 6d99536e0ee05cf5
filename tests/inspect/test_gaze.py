"""Where a captioner looks: maps, tiles that are lit there, a page of them."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import inspect, models, text
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.gaze import _veil

pytestmark = pytest.mark.usefixtures("reference")
WORDS = text.Words.of("a red circle")


def gaze(**more):
    weights = np.array([[[0.0, 0.5], [0.25, 0.25]], [[1.0, 0.0], [0.0, 0.0]]])
    picture = np.full((6, 8, 3), 200, np.uint8)
    return inspect.Gaze(picture, ["a", "<circle>"], weights, **more)


def test_a_map_for_a_terminal():
    assert gaze().text().splitlines() == ["a   <circle>", "·█  █·", "▒▒  ··"]


def test_a_tile_for_each_word_is_lit_where_it_looks():
    drawn = gaze(right=False).svg()
    tree = ElementTree.fromstring(drawn)
    kinds = [node.tag.rpartition("}")[2] for node in tree.iter()]
    assert kinds.count("image") == 1 + 2  # itself, and a veil for each word
    assert kinds.count("use") == 2
    assert "✗ a &lt;circle&gt;" in drawn
    assert [node.text for node in tree.iter() if node.get("class") == "word"] == ["a", "<circle>"]
    veil = _veil(np.array([[1.0, 0.0], [0.0, 0.0]]))[..., 3]
    assert veil[0, 0] < 10
    assert veil[-1, -1] > 200
    assert (np.diff(veil[0].astype(int)) >= 0).all()


def test_what_is_said_fits_above_its_tiles():
    picture = np.full((6, 8, 3), 200, np.uint8)
    said = ["word"] * 48
    drawn = inspect.Gaze(picture, said, np.ones((48, 2, 2))).svg()
    shown = re.search(r'class="said"[^>]*>([^<]*)<', drawn)[1]
    assert shown == " ".join(said)[:107] + "…"
    places = re.findall(r"<use [^>]*translate\((\d+) (\d+)\)", drawn)
    assert len(set(places)) == 48
    assert len({y for _, y in places}) == 7  # rows of seven tiles
    assert "nothing is said" in inspect.Gaze(picture, [], np.ones((0, 2, 2))).svg()


def test_pages_and_pictures_hold_all_of_them():
    page = inspect.page_of_gazes([gaze(), gaze()], note="<3", figures={"one": "<svg/>"})
    assert len(re.findall("<section>", page)) == 2
    assert "&lt;3" in page
    both = inspect.picture_of_gazes([gaze(), gaze(right=True)])
    ElementTree.fromstring(both)
    assert both.count("translate(0 ") == 2


def test_a_model_is_asked_where_it_looks():
    tg.seed(0)
    model = models.Captioner(WORDS, None, 4, 6, features=(3, 2, 2), image="soft")
    image = np.random.default_rng(0).random((3, 2, 2)).astype(np.float32)
    found = inspect.gaze(model, image, "a red circle", right=True)
    assert found.words == ["a", "red", "circle"]
    (weights,) = model.attention(image[None], [WORDS.encode("a red circle")])
    np.testing.assert_array_equal(found.weights, weights[:3])
    np.testing.assert_array_equal(found.picture, np.rint(image * 255).transpose(1, 2, 0))
    said = inspect.gaze(model, image, max_length=2)
    assert " ".join(said.words) == model.caption(image[None], max_length=2)[0]


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ArgumentError, match="gaze: model is 3, expected one that describes images"):
        inspect.gaze(3, None)
    with pytest.raises(ShapeError, match=r"Gaze: picture holds float64 of shape \(2, 2\), expec"):
        inspect.Gaze(np.zeros((2, 2)), [], np.zeros((0, 1, 1)))
    with pytest.raises(ShapeError, match=r"weights have shape \(1, 1, 1\), expected \(2, h, w\)"):
        inspect.Gaze(np.zeros((2, 2, 3), np.uint8), ["a", "b"], np.zeros((1, 1, 1)))
    seen = models.Captioner(WORDS, None, 4, 6, features=(5, 2, 2))
    with pytest.raises(
        ShapeError, match=r"gaze: image has shape \(5, 2, 2\), .* expected one as pic"
    ):
        inspect.gaze(seen, np.zeros((5, 2, 2), np.float32), "a red circle")


@pytest.mark.parametrize("weight", [0.0, np.nan])
def test_words_that_looked_nowhere_are_dark(weight):
    weights = np.array([np.full((2, 2), weight), [[1.0, weight], [0.0, 0.0]]])
    found = inspect.Gaze(np.full((6, 8, 3), 200, np.uint8), ["a", "b"], weights)
    ElementTree.fromstring(found.svg())
    assert found.text().splitlines() == ["a   b", "··  █·", "··  ··"]
    assert (_veil(weights[0])[..., 3] == _veil(weights[1])[-1, -1, 3]).all()
