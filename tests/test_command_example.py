"""What commands of examples share: the end in one line, or in silence where nobody reads on."""

import os
import subprocess
import sys

import pytest

from tests.loaded_example import EXAMPLES, command, loaded

ALONE = {**os.environ, "TINYGRAD_SHORT": "1", "PYTHONPATH": str(EXAMPLES.parent)}


@pytest.mark.parametrize("name", ["hello", "french", "tasks"])
def test_who_reads_no_further_is_no_mistake(name):
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        stdout=write, stderr=subprocess.PIPE, text=True, env=ALONE, timeout=60, check=False,
    )  # fmt: skip
    os.close(write)
    assert (run.returncode, run.stderr) == (1, "")


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
