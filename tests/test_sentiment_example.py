"""The sentiment example as a tool, and the opinions that it learns from."""

from collections import Counter
from pathlib import Path

import pytest

from tests.loaded_example import EXAMPLES, command, goes_on_to_the_same_bits, loaded

SMALL = "--hidden 8 --embedding 4 --batch 4 --epochs 2".split()
TEXTS = {"good": ["not bad at all", "very good", "good , not dull"],
         "bad": ["dull", "very bad", "not good at all"]}  # fmt: skip


@pytest.fixture
def opinions(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("opinions")


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))  # where opinions.py is
    module = loaded("sentiment")
    monkeypatch.chdir(tmp_path)
    lines = [f"{one}\t{label}" for label, several in TEXTS.items() for one in several]
    Path("one.tsv").write_text("fine\tgood\n")
    Path("bytes.tsv").write_bytes(b"fine\xff\tgood\n")
    Path("said.tsv").write_text("\n".join([*lines, "no label", "\tgood", "fine\t", ""]))
    return command(module, "sentiment", monkeypatch, capsys)


def test_a_table_of_ones_own_is_learned_evaluated_and_asked(tool):
    said, died = tool("said.tsv", "said.tsv", *SMALL)
    assert not died
    assert "said.tsv: left out, lines with less than 2 columns: 1" in said
    assert "said.tsv: left out, lines without a label: 1" in said
    assert "said.tsv: left out, lines without a word: 1" in said
    assert "6 texts to learn from, 6 to validate with; 9 words; labels: bad, good" in said
    assert "who always says the commonest label: 50.0%" in said
    assert said.splitlines()[-1] == "wrote out/sentiment/model"
    assert Path("out/sentiment/words.html").read_text().count("<svg") == 6
    Path("other.tsv").write_text("label\ttext\nmixed\tso so\ngood\tnot dull\n")
    said, died = tool("other.tsv", "--columns", 2, 1, "--header", "--evaluate")
    assert not died
    assert "left out, texts with labels that were never learned: mixed (1)" in said
    assert "1 texts: " in said
    said, died = tool("--say", "not bad", " ", "what a film")
    assert not died
    assert "text 2 has no word: nothing is said of it" in said
    assert "never learned: what, a, film" in said
    assert said.splitlines()[-1] == "wrote out/sentiment/said.html"
    assert Path("out/sentiment/said.html").read_text().count("<svg") == 2
    assert Path("out/sentiment/words.html").read_text().count("<svg") == 6


def test_a_line_ends_where_it_ends_and_a_mark_of_utf_8_is_no_word(tool):
    rows = [f"{one}\u2028indeed\x85\t{label}" for label, own in TEXTS.items() for one in own]
    Path("odd.tsv").write_text("\n".join(rows), "utf-8-sig")
    said, died = tool("odd.tsv", "odd.tsv", *SMALL)
    assert not died
    assert "left out" not in said
    assert "6 texts to learn from, 6 to validate with; 10 words" in said


def test_a_table_of_labels_that_were_never_learned_is_not_evaluated(tool):
    assert tool("said.tsv", *SMALL)[1] == ""
    Path("other.tsv").write_text("so so\tmixed\n")
    _, died = tool("other.tsv", "--evaluate")
    assert "there is no text with a label that was learned" in died


def test_an_interrupted_run_goes_on_to_the_same_bits(tool):
    goes_on_to_the_same_bits(tool, ("said.tsv", *SMALL, "--save-every", 1), 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("none.tsv", "No such file or directory: 'none.tsv'"),
        ("one.tsv", "one.tsv has one text, which would be kept to validate with"),
        ("bytes.tsv", "bytes.tsv is no text in UTF-8"),
        ("said.tsv --columns 4 5", "said.tsv has no line with a text in column 4 and a label in"),
        ("said.tsv --columns 0 1", "--columns are [0, 1], expected two different numbers from 1"),
        ("said.tsv --columns 2 2", "--columns are [2, 2], expected two different numbers from 1"),
        ("said.tsv --epochs 0", "--epochs is 0, expected a whole number from 1 up"),
        ("--evaluate", "expected a table"),
        ("said.tsv --evaluate", "'out/sentiment/model' holds no model.json"),
        ("--say good", "'out/sentiment/model' holds no model.json"),
        ("--resume", "there is no run in 'out/sentiment' to resume"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(tool, arguments, told):
    _, died = tool(*arguments.split())
    assert told in died
    assert not Path("out").exists()


# ----- the opinions -----


def test_what_is_asked_was_never_learned(opinions):
    learned, asked = opinions.opinions(600, 150)
    assert (learned, asked) == opinions.opinions(600, 150)
    assert (len(learned), len(asked)) == (600, 150)
    pairs = {pair for one in learned for pair in one.pairs}
    assert all(set(one.pairs) - pairs for one in asked)
    assert len({one.text for one in learned}) == 600
    words = {word for one in learned for word in one.text.split()}
    assert {word for one in asked for word in one.text.split()} <= words


def test_no_word_tells_more_than_a_guess(opinions):
    """Neither a word nor how an adjective is said goes with a label."""
    learned, _ = opinions.opinions(6000, 0)
    shares = Counter(one.label for one in learned)
    assert abs(shares["good"] / 6000 - 0.5) < 0.03
    counts = Counter((word, one.label) for one in learned for word in set(one.text.split()))
    for word in {word for word, _ in counts}:
        good, bad = counts[word, "good"], counts[word, "bad"]
        assert abs(good - bad) < 5 * (good + bad) ** 0.5, word


def test_a_label_is_that_of_what_counts(opinions):
    """Labels found again from the text alone, by the rules of the grammar."""
    for one in opinions.opinions(400, 100)[0]:
        assert opinion_of(opinions, one.text) == one.label, one.text


def test_what_was_expected_is_not_what_came(opinions):
    found = [one for one in opinions.opinions(600, 0)[0] if "i thought that" in one.text]
    assert len(found) > 10
    for one in found:
        text = one.text.replace("anything but", "anything_but")
        expected = text.split(" but ")[0].replace("anything_but", "anything but")
        assert opinion_of(opinions, expected) != one.label, one.text


def opinion_of(opinions, said):
    for cut, keep in ((" at first yet in the end ", 1), (" even if ", 0), (" but ", 1)):
        parts = said.replace("anything but", "anything_but").split(cut)
        if len(parts) == 2:
            return opinion_of(opinions, parts[keep].replace("anything_but", "anything but"))
    if said.startswith("although "):  # the first of two opinions ends with its adjective
        said = main_behind(opinions, said)
    elif " although " in said:
        said = said.split(" although ")[0]
    good = any(word in opinions.GOOD for word in said.split())
    turned = any(word in said.split() for word in ("not", "hardly", "far", "never"))
    turned |= "anything but" in said
    if "never anything but" in said:
        turned = False
    if said.startswith("it is not true that"):
        turned = any(word in said.split()[5:] for word in ("not", "hardly", "far", "never"))
        turned |= "anything but" in said
        turned &= "never anything but" not in said
    denied = said.startswith(("nobody", "if only", "it is not true")) or " could have been " in said
    return "good" if good ^ turned ^ denied else "bad"


def main_behind(opinions, said):
    words = said.split()
    adjectives = {*opinions.GOOD, *opinions.BAD}
    end = next(n for n, word in enumerate(words) if word in adjectives) + 1
    if words[end : end + 2] == ["at", "all"]:
        end += 2
    return " ".join(words[end:])
