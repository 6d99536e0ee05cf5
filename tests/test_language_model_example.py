"""The main example as a tool: train, go on, sample, evaluate, and what is wrong with its input."""

import json
import re
from pathlib import Path

import pytest

from tests.loaded_example import (
    command,
    goes_on_to_the_same_bits,
    interrupted_after,
    loaded,
)

SMALL = "--hidden 8 --embedding 4 --batch 4 --steps 10 --epochs 2 --shown 5".split()
WORDS = "the cat sat on the mat. the dog sat on the cat. "


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    module = loaded("language_model")
    monkeypatch.chdir(tmp_path)
    Path("cats.txt").write_text(WORDS * 10)

    return command(module, "language_model", monkeypatch, capsys)


def test_a_run_and_what_is_done_with_it(tool):
    said, died = tool("cats.txt", *SMALL)
    assert not died
    assert "432 characters to learn from and 48 to validate with" in said
    assert "--- step 1," in said
    for name in ("steps.csv", "epochs.csv", "learning.svg", "cells.html", "model"):
        assert Path("out/language_model", name).exists()
        assert f"wrote out/language_model/{name}" in said
    sampled = [tool("--sample", 30, "--prime", "the ", "--seed", seed)[0] for seed in (1, 1, 2)]
    assert len(sampled[0]) == 31  # and the end of the line
    assert sampled[0] == sampled[1] != sampled[2]
    score, _ = tool("--evaluate", "cats.txt")
    assert re.fullmatch(r"cats.txt: 479 tokens, [\d.]+ nats each, .* bits a character\n", score)
    likely, _ = tool("--next", "the c")
    assert len(likely.splitlines()) == 10


def test_an_interrupted_run_goes_on_to_the_same_bits(tool):
    goes_on_to_the_same_bits(tool, ("cats.txt", *SMALL, "--save-every", 3), 5)
    said, died = tool("--out", "parts", "--resume")  # with no step left
    assert not died
    assert "wrote parts/model" in said


def test_a_folder_holds_one_run(tool):
    tool("cats.txt", *SMALL)
    _, died = tool("cats.txt", *SMALL, "--layers", 2)
    assert "holds a run with other arguments" in died
    assert "Expected --resume, to go on with that one, --anew, to begin in its place" in died
    said, died = tool("cats.txt", *SMALL, "--layers", 2, "--anew")
    assert not died
    assert "2 x LSTM 8" in said
    settings = json.loads(Path("out/language_model/settings.json").read_text())
    assert settings["finished"]
    assert settings["run"]["layers"] == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"a", "a text of 1 characters"),
        (b"caf\xe9", "is not UTF-8: byte 0xe9 at 3"),
        (None, "there is no file or folder"),
    ],
)
def test_what_is_no_text(tool, content, told):
    if content is not None:
        Path("bad.txt").write_bytes(content)
    said, died = tool("bad.txt", *SMALL)
    assert died.startswith("language_model.py: ")
    assert told in died
    assert "step" not in said


def test_a_text_shorter_than_a_chunk(tool):
    Path("short.txt").write_text("abcabcabcabcabcabcab")
    said, died = tool("short.txt", *SMALL, "--steps", 100)
    assert not died
    assert "18 characters to learn from and 2 to validate with" in said


def test_what_cannot_be_done_is_said(tool):
    tool("cats.txt", *SMALL)
    _, died = tool("--sample", 5, "--prime", "Z")
    assert died == (
        "language_model.py: 'Z' at 0 of the text (line 1, column 1) is not in the vocabulary. "
        "--tokens bytes reads all."
    )
    Path("other.txt").write_text("Zebra")
    assert "'Z'" in tool("--evaluate", "other.txt")[1]
    assert "nowhere" in tool("--out", "nowhere", "--sample", 5)[1]
    Path("file").write_text("")
    assert "file" in tool("cats.txt", "--out", "file/below")[1]
    assert "cell is 'LTSM'" in tool("cats.txt", "--cell", "LTSM", "--out", "new")[1]


@pytest.mark.parametrize(
    "argument",
    [
        "--epochs 0", "--batch -1", "--steps 0", "--save-every 0", "--shown -1",
        "--validation nan", "--validation 1.5", "--temperature 0.0", "--dropout 2.0",
    ],
)  # fmt: skip
def test_numbers_that_make_no_run_leave_no_folder(tool, argument):
    name, value = argument.split()
    assert f"{name} is {value}, expected a " in tool("cats.txt", *SMALL, name, value)[1]
    assert not Path("out").exists()


@pytest.mark.parametrize("asked", [("--sample", 0), ("--next", ""), ("--evaluate", "")])
def test_nothing_asked_of_a_model_trains_none(tool, asked):
    assert "holds no model.json" in tool("cats.txt", *SMALL, *asked)[1]
    assert not Path("out").exists()


def test_ctrl_c_while_a_model_is_used_is_no_traceback(tool, monkeypatch):
    def interrupted(args, folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(tool.module, "use", interrupted)
    assert tool("--sample", 5)[1] == "\nlanguage_model.py: interrupted"


@pytest.mark.parametrize("content", ["", "[]", '{"run": 1}'])
def test_damaged_settings_are_said_and_anew_begins_again(tool, content):
    Path("out").mkdir()
    Path("out/settings.json").write_text(content)
    assert "'out/settings.json' is damaged" in tool("--out", "out", "--resume")[1]
    assert not tool("cats.txt", *SMALL, "--out", "out", "--anew")[1]


def test_ctrl_c_while_models_are_compared_shows_none_half_trained(tool):
    with interrupted_after(2):
        said, died = tool("cats.txt", *SMALL, "--compare")
    assert "5-gram" in said
    assert "window" not in said
    assert "interrupted" in died


@pytest.mark.parametrize("asked", [("--evaluate", "cats.txt"), ("--out", "out"), ("--resume",)])
def test_nothing_is_asked_of_a_model_beside_comparing(tool, asked):
    _, died = tool("cats.txt", *SMALL, "--compare", *asked)
    assert f"{asked[0]} is nothing for --compare" in died


def test_kinds_of_models_side_by_side(tool):
    said, died = tool("cats.txt", *SMALL, "--compare", "--tokens", "words")
    assert not died
    rows = said.splitlines()[1:]
    for name, row in zip(tool.module.COMPARED, rows, strict=True):
        assert row.strip().startswith(name)


def test_a_start_that_failed_leaves_nothing_behind(tool):
    assert "cell is 'Foo'" in tool("cats.txt", *SMALL, "--cell", "Foo")[1]
    assert not tool("cats.txt", *SMALL)[1]
    assert "no run in 'elsewhere'" in tool("--out", "elsewhere", "--resume")[1]
    assert not Path("elsewhere").exists()


def test_the_best_weights_are_kept(tool):
    tool("cats.txt", *SMALL, "--epochs", 4, "--rate", 0.3)
    model = tool.module.models.load("out/language_model/model")
    best = tool.module.tg.load("out/language_model/checkpoints/best.safetensors")
    assert all((model.state_dict()[name] == array).all() for name, array in best.items())


def test_help_shows_how_it_is_used(tool):
    said, died = tool("--help")
    assert died == "0"
    assert "--sample 1000 --prime" in said
