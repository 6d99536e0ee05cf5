"""What commands of examples share: the end in one line, or in silence where nobody reads on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loaded_example import EXAMPLES, command, loaded
from tinygrad_rnn import models, text

ALONE = {**os.environ, "TINYGRAD_SHORT": "1", "PYTHONPATH": str(EXAMPLES.parent)}


@pytest.mark.parametrize("name", ["french", "tasks"])
def test_who_reads_no_further_is_no_mistake(name):
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        stdout=write, stderr=subprocess.PIPE, text=True, env=ALONE, timeout=60, check=False,
    )  # fmt: skip
    os.close(write)
    assert (run.returncode, run.stderr) == (1, "")


@pytest.fixture
def tool(tmp_path, monkeypatch, capsys):
    """A function that runs a command of a name in an empty folder, in its short form."""
    monkeypatch.setenv("TINYGRAD_SHORT", "1")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    return lambda name, *line: command(loaded(name), name, monkeypatch, capsys)(*line)


@pytest.mark.parametrize(
    "name",
    ["answer", "dialogue", "memory", "motion", "sentiment", "vanishing_gradients", "video"],
)
def test_a_folder_that_cannot_be_is_told_before_anything_is_learned(name, tool):
    Path("file").touch()
    said, died = tool(name, "--out", "file/below")
    assert (said, died) == ("", f"{name}.py: --out file/below can be no folder: Not a directory.")


@pytest.mark.parametrize(
    ("name", "line", "told"),
    [
        ("answer", "--epochs 8", "--epochs is for images of yours: give some"),
        ("motion", "--epochs 20", "--epochs is for poses of yours: give some"),
        ("sentiment", "--min-count 2", "--min-count is for tables of yours: give some"),
        ("video", "--epochs 20", "--epochs is for clips of yours: give some"),
        ("navigate", "--resume --seed 3", "--seed is nothing for --resume: a run has its own"),
        ("dialogue", "--seed -1", "value is -1, expected a whole number from 0 up"),
    ],
)
def test_what_would_be_ignored_is_told(name, line, told, tool):
    assert told in tool(name, *line.split())[1]


@pytest.mark.parametrize("value", ["nan", "inf", "-0.5"])
@pytest.mark.parametrize(
    "name", ["answer", "caption", "language_model", "memory", "motion", "sentiment", "translate"]
)
def test_a_rate_is_a_number(name, value, tool):
    _, died = tool(name, f"--rate={value}")
    assert f"--rate is {value}, expected a number from 0 up" in died
    assert not Path("out").exists()


def test_resume_and_anew_are_said_as_they_are_given(tool):
    _, died = tool("translate", "--resume", "--anew")
    assert "both --resume and --anew, expected one of them" in died


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("answer", "--ask a.png what?", "Answerer"),
        ("caption", "--describe a.png", "Captioner"),
        ("language_model", "--next a", "LanguageModel"),
        ("navigate", "--say go", "Navigator"),
        ("sentiment", "--say a", "TextLabels"),
        ("translate", "--translate a.txt", "Seq2Seq"),
        ("video", "--describe a", "S2VT or MeanPooling"),
    ],
)
def test_a_model_of_another_example_is_told(name, line, expected, tool):
    words = text.Words.of("a b")
    other = models.LanguageModel(words, 2, 2)
    if name == "language_model":
        other = models.TextLabels(["x", "y"], words, 2, 2)
    place = "practice" if name == "navigate" else "model"
    other.save(Path("out", place))
    _, died = tool(name, *line.split(), "--out", "out")
    assert died == (
        f"{name}.py: out/{place} holds a {type(other).__name__}, expected a {expected}."
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no file or folder 'bad.txt'"),
        (b"", "the file is empty"),
        (b"caf\xe9", "'bad.txt' is not UTF-8: byte 0xe9 at 3"),
        (b"abc", "bad.txt has 3 characters, of 26 needed."),
    ],
)
def test_what_is_no_text_for_the_classic(content, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "bad.txt").write_bytes(content)
    _, died = command(loaded("min_char_rnn"), "min_char_rnn", monkeypatch, capsys)("bad.txt")
    assert died.startswith("min_char_rnn.py: ")
    assert told in died
