"""A page shows the whole text, coloured; so does a terminal, with and without colours."""

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from tinygrad_rnn import inspect
from tinygrad_rnn.errors import ArgumentError, SaveError

pytestmark = pytest.mark.usefixtures("reference")
TEXT = 'if a < b:\n    say("</script> & ä€")  # not\n'
C, F = (inspect.Row(0, "forward", name) for name in "cf")


def activations(text=TEXT):
    rng = np.random.default_rng(0)
    c = rng.standard_normal((len(text), 4))
    c[:, 2] = np.where(inspect.text_features(text, "python")["in_quote"], -2.0, 0.5)
    return inspect.Activations({C: c, F: rng.random((len(text), 4))}, [C], list(text))


class Page(HTMLParser):
    """What a reader of the page finds: the text and its classes, the cells, the data."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.classes, self.data, self.titles = [], "", [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "input", "path"):
            self.open.append(tag)
        if tag == "i" and "pre" in self.open:
            self.classes.append(dict(attrs)["class"].split())

    def handle_endtag(self, tag):
        if tag not in ("meta", "input", "path"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "pre" in self.open:
            self.text += data
        elif self.open[-1:] == ["script"] and data.startswith("{"):
            self.data += data
        elif self.open[-1:] == ["b"]:
            self.titles.append(data)


def page(**options):
    found = activations()
    features = inspect.text_features(TEXT, "python")
    return inspect.text_page(found, features=features, **options)


def test_the_page_has_the_whole_text_and_its_colours():
    read = Page(page().html())
    assert read.open == []
    assert read.text == TEXT
    assert read.titles[0] == "in quote"  # the planted cell comes first
    quoted = inspect.text_features(TEXT, "python")["in_quote"]
    for names, inside in zip(read.classes, quoted, strict=True):
        assert ("true" in names) == inside
        assert ("n16" in names) == inside
        assert inside or any(re.fullmatch(r"p\d+", name) for name in names)


def test_the_data_of_the_page_are_the_values():
    made = page(cells=[(C, 1), ("f", 0)])
    data = json.loads(Page(made.html()).data)
    assert "".join(data["pieces"]) == TEXT
    first, second = data["cells"]
    levels = np.frombuffer(base64.b64decode(first["values"]), np.int8)
    values = activations()[C][:, 1]
    inside = np.abs(values) <= first["scale"]
    np.testing.assert_allclose(
        levels[inside] / 127 * first["scale"], values[inside], atol=first["scale"] / 200
    )
    assert set(np.abs(levels[~inside])) <= {127}
    assert (first["sequential"], second["sequential"]) == (False, True)
    assert first["truth"] is None
    assert "correlation" not in made.note  # of cells that were not found by a feature
    assert "r is their correlation, F1 how well a threshold" in page().note


def test_pieces_that_look_like_a_part_of_the_page():
    pieces = ["</script>", "<b>", "&amp;", "<!--", "\n"]
    found = inspect.Activations({C: np.arange(5.0)[:, None]}, [C], pieces)
    read = Page(inspect.text_page(found, [(C, 0)], features={}).html())
    assert read.open == []
    assert read.text == "".join(pieces)
    assert json.loads(read.data)["pieces"] == pieces


def test_a_part_of_the_text_several_cells_and_drawings():
    features = inspect.text_features(TEXT, "python")
    cells = inspect.find_cells(activations(), features, k=2)
    made = page(cells=cells, start=10, limit=20, figures={"A & B": "<svg id='drawn'></svg>"})
    html = made.html()
    read = Page(html)
    assert read.text == TEXT[10:30]
    assert "20 of 43 steps" in html
    assert "<figcaption>A &amp; B</figcaption><div><svg id='drawn'></svg></div>" in html
    first_of_each = {cell.feature for cell in [s.found for s in made.cells][: len(cells)]}
    assert first_of_each == set(cells)
    assert made._repr_html_() == html


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    page().save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == page().html()
    with pytest.raises(SaveError, match="no such folder"):
        page().save(tmp_path / "nowhere" / "page.html")


def test_a_terminal_shows_the_same(monkeypatch):
    made = page()
    monkeypatch.delenv("NO_COLOR", raising=False)
    painted = made.terminal(width=80)
    head, *lines = re.sub(r"\x1b\[[\d;]*m", "", painted).split("\n")
    assert head.startswith("in_quote: layer 0 · c[2], r = -1.00, F1 1.00")
    assert [line.rstrip() for line in lines] == TEXT.splitlines()
    assert '\x1b[38;5;16;48;5;75m"</script> & ä€\x1b' in painted
    assert all(line.endswith("\x1b[0m") for line in painted.split("\n")[1:])


def test_a_terminal_without_colours(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    plain = page().terminal(width=20)
    assert "\x1b" not in plain
    lines = plain.split("\n")[1:]
    text, bars = lines[::2], lines[1::2]
    assert "".join(text).replace(" ", "") == re.sub(r"\s", "", TEXT)
    assert all(len(a) == len(b) <= 20 for a, b in zip(text, bars, strict=True))
    at = text[1].index('"')
    assert set(bars[1][at : at + 9]) == {"▁"}
    assert page().terminal(colour=True) != page().terminal()
    with pytest.raises(ArgumentError, match="cell is 99, expected one of 10 cells"):
        page().terminal(99)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 99}, "start is 99, expected less than 43"),
        ({"cells": []}, "no cells to show"),
        ({"cells": 3}, "cells is 3, expected what find_cells gives"),
        ({"cells": [(C, 4)]}, "unit is 4, expected one of the 4"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ArgumentError, match=message):
        page(**options)


def test_activations_without_a_text():
    found = inspect.Activations({C: np.zeros((3, 2))}, [C])
    with pytest.raises(ArgumentError, match="the activations have no text"):
        inspect.text_page(found)


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser", "chrome"))),
    None,
)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_a_browser_shows_the_text_and_its_colours(tmp_path):
    """The script runs: it asks the browser for the colours, chooses another cell, walks a step."""
    probe = """<script>
      const colours = () => pieces.map(piece => getComputedStyle(piece).backgroundColor);
      const first = colours();
      [...document.querySelectorAll("fieldset input")].at(-1).click();
      text.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
      document.body.dataset.seen = JSON.stringify(
        {text: text.textContent, first, second: colours(), told: told.textContent});
    </script></body>"""
    features = inspect.text_features(TEXT, "python")
    quoting = inspect.find_cells(activations(), features)
    made = inspect.text_page(activations(), [quoting["in_quote"][0], (C, 1)], features=features)
    (tmp_path / "page.html").write_text(made.html().replace("</body>", probe), "utf-8")
    run = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/own",
         "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    class Seen(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag == "body":
                self.found = json.loads(dict(attrs)["data-seen"])

    reader = Seen()
    reader.feed(run.stdout)
    seen = reader.found
    assert seen["text"] == TEXT
    quoted = features["in_quote"]
    inside = {colour for colour, q in zip(seen["first"], quoted, strict=True) if q}
    outside = {colour for colour, q in zip(seen["first"], quoted, strict=True) if not q}
    (blue,) = inside
    red, _, more, alpha = (float(part) for part in re.findall(r"[\d.]+", blue))
    assert red < more
    assert 0.5 < alpha < 0.8  # the letters stay legible
    for colour in outside:
        warm, _, cold, *_ = (float(part) for part in re.findall(r"[\d.]+", colour))
        assert warm > cold
    assert "rgba(0, 0, 0, 0)" not in outside
    assert seen["second"] != seen["first"]
    assert seen["told"].startswith("“i” at step 0: ")
