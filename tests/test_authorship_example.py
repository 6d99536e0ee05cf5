"""The example on authorship as a tool: texts of one's own, and clear words for bad ones."""

from pathlib import Path

import pytest

from tests.loaded_example import command, loaded

STYLES = {"calm": "The sea was still, and so were we.\n", "loud": "WHAT? NO! NEVER, EVER AGAIN!\n"}


@pytest.fixture
def ask(monkeypatch, capsys, tmp_path):
    """A function that runs the command among some texts: what it printed, and what it died of."""
    module = loaded("authorship")
    monkeypatch.chdir(tmp_path)
    for author, line in STYLES.items():
        Path(author).mkdir()
        Path(author, "works.txt").write_text(line * 200)
    Path("letter.txt").write_text("No! What sea? NEVER!\n")
    Path("short.txt").write_text("x")
    Path("latin.txt").write_bytes(b"caf\xe9")
    Path("empty").mkdir()

    return command(module, "authorship", monkeypatch, capsys)


def test_texts_of_ones_own(ask):
    printed = ask("calm", "loud", "--of", "letter.txt")[0]
    assert "2 of 2 pieces are known." in printed
    assert printed.endswith("letter.txt was written by: loud\n")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["calm"], "1 author, expected 2 at least"),
        (["calm", "nowhere"], "there is no file or folder 'nowhere'"),
        (["calm", "empty"], "no file in the folder 'empty' matches '*'"),
        (["calm", "short.txt"], "short: 1 characters make 1 pieces of 1000, expected 5 at least"),
        (["calm", "loud", "--of", "latin.txt"], "'latin.txt' is not UTF-8: byte 0xe9 at 3"),
        (["calm", "loud", "--of", "short.txt"], "'x' has 1 tokens, expected 2 at least"),
    ],
)
def test_bad_texts_are_told(ask, arguments, problem):
    _, died = ask(*arguments)
    assert died.startswith("authorship.py: ")
    assert problem in died
