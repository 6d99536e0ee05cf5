"""Films as strips: all frames, all that is said, and what is going on."""

import base64
import re
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest

from tinygrad_rnn import inspect
from tinygrad_rnn.errors import ShapeError

FRAMES = np.random.default_rng(0).integers(256, size=(4, 3, 5, 3)).astype(np.uint8)
SAID = {"true": "a <red> ball", "S2VT": "a red ball", "mean": "a blue ball"}


def strip(**how):
    given = {"right": {"S2VT": True, "mean": False}, "labels": ["bounces"] * 3 + ["stops"]} | how
    return inspect.FilmStrip(FRAMES, SAID, **given)


def pixels_of(source):
    """The picture in a source of an image, decoded by hand."""
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    columns, rows = struct.unpack(">2I", data[16:24])
    begin = data.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", data[begin - 8 : begin - 4])
    lines = np.frombuffer(zlib.decompress(data[begin : begin + length]), np.uint8)
    return lines.reshape(rows, -1)[:, 1:].reshape(rows, columns, -1)


def test_a_strip_shows_every_frame_and_what_is_said():
    svg = strip().svg()
    ElementTree.fromstring(svg)
    sources = re.findall(r'href="([^"]+)"', svg)
    for frame, source in zip(FRAMES, sources, strict=True):
        np.testing.assert_array_equal(pixels_of(source), frame)
    assert "a &lt;red&gt; ball" in svg
    assert "✓ a red ball" in svg
    assert "✗ a blue ball" in svg
    assert re.findall(r"<title>(\w+)</title>", svg) == ["bounces", "stops"]
    wide, narrow = (float(w) for w in re.findall(r'class="part"[^>]* width="([\d.]+)"', svg))
    assert wide > 2.9 * narrow
    first, second = (float(x) for x in re.findall(r'class="part" x="([\d.]+)"', svg))
    assert second >= first + wide
    bare = strip(labels=(), right={}).svg()
    assert "part" not in bare.partition("</style>")[2]
    assert "✓" not in bare


def test_no_caption_makes_a_strip_small():
    film = inspect.FilmStrip(FRAMES, {"S2VT": "word " * 90 + "end"})
    ElementTree.fromstring(film.svg())
    width = re.search(r'width="(\d+)"', film.svg())[1]
    assert int(width) < 800
    shown = re.search(r'class="said"[^>]*>([^<]*)<', film.svg())[1]
    assert shown == ("word " * 90)[:89] + "…"
    assert "word end" in film.label()


def test_several_strips_are_a_page_and_a_picture():
    two = [strip(), strip()]
    page = inspect.page_of_films(two, title="Films & more", note="what < happens")
    assert page.count("<svg") == 2
    assert "svg { max-width: 100%; height: auto }" in page  # else what is too wide has gaps around
    assert "Films &amp; more" in page
    assert "what &lt; happens" in page
    picture = inspect.picture_of_films(two)
    root = ElementTree.fromstring(picture)
    one = ElementTree.fromstring(two[0].svg())
    assert int(root.get("height")) == 2 * int(one.get("height"))
    assert len(re.findall("<image", picture)) == 8


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: inspect.FilmStrip(FRAMES[0]), r"frames hold uint8 of shape \(3, 5, 3\), expected"),
        (lambda: inspect.FilmStrip(FRAMES / 255), "frames hold float64"),
        (lambda: inspect.FilmStrip(FRAMES[:0]), "one frame or more"),
        (lambda: strip(labels=["a"]), "1 labels of 4 frames, expected none, or one for each"),
    ],
)
def test_errors_say_what_was_expected(make, told):
    with pytest.raises(ShapeError, match=told):
        make()
