"""Dialogues, drawn: an image, what was asked, and what each has answered."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from tinygrad_rnn import inspect
from tinygrad_rnn.errors import ShapeError

PICTURE = np.full((4, 6, 3), 200, np.uint8)
ASKED = ["what colour is <it>?", "is it small?"]


def talk(**given):
    given = {"said": {"all": ["red", "yes"], "blind": ["blue", "yes"]}, **given}
    return inspect.Conversation(PICTURE, "there is a star.", ASKED, ["red", "yes"], **given)


def test_answers_are_marked_by_whether_they_are_right():
    drawn = talk().svg()
    tree = ElementTree.fromstring(drawn)
    texts = {node.get("class"): [] for node in tree.iter() if node.get("class")}
    for node in tree.iter():
        if node.get("class") and node.text:
            texts[node.get("class")].append(node.text)
    assert texts["said"] == ["there is a star."]
    assert texts["asked"] == ASKED
    assert texts["who"] == ["all", "blind"]
    assert texts["answer right"] == ["✓ red", "✓ yes", "✓ yes"]
    assert texts["answer wrong"] == ["✗ blue"]
    assert "&lt;it&gt;" in drawn


def test_without_anybody_the_right_answers_are_shown():
    assert talk(said={}).svg().count("✓") == 2


def test_pages_and_pictures_hold_all_of_them():
    page = inspect.page_of_conversations([talk(), talk()], note="<3")
    assert len(re.findall("<section>", page)) == 2
    assert "&lt;3" in page
    both = inspect.picture_of_conversations([talk(), talk()])
    ElementTree.fromstring(both)
    assert both.count("translate(0 ") == 2


def test_errors_say_what_was_expected():
    with pytest.raises(ShapeError, match=r"2 questions and 1 answers \(blind\), expected as many"):
        talk(said={"blind": ["red"]})
    with pytest.raises(
        ShapeError, match=r"picture holds float64 of shape \(2, 2\), expected bytes"
    ):
        inspect.Conversation(np.ones((2, 2)), "", [], [])
