"""The translation example as a tool: train, go on, translate, evaluate, and what is wrong."""

import io
import re
from pathlib import Path

import pytest

from tests.loaded_example import EXAMPLES, command, goes_on_to_the_same_bits, loaded, weights

SMALL = "--hidden 8 --embedding 4 --batch 4 --epochs 2 --min-count 1".split()
PAIRS = [
    (f"{a} {b}", f"{b}s {a}s") for a in ("red", "old", "big") for b in "cat dog hen fox".split()
]


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))  # where french.py is
    module = loaded("translate")
    monkeypatch.setattr(module, "MEASURED", 2)
    monkeypatch.chdir(tmp_path)
    pairs = PAIRS * 2
    Path("a.en").write_text("".join(f"{source}\n" for source, _ in pairs))
    Path("a.fr").write_text("".join(f"{target}\n" for _, target in pairs))
    Path("both.txt").write_text("".join(f"{target}\t{source}\n" for source, target in pairs))

    return command(module, "translate", monkeypatch, capsys)


def test_a_run_and_what_is_done_with_it(tool, monkeypatch):
    said, died = tool("a.en", "a.fr", *SMALL)
    assert not died
    assert "22 pairs to learn from and 2 to validate with" in said
    assert "--- epoch 1\n" in said
    assert re.search(r"never seen: [\d.]+% exact", said)  # and BLEU, where sacrebleu is
    for name in ("steps.csv", "epochs.csv", "alignments.html", "model"):
        assert Path("out/translate", name).exists()
        assert f"wrote out/translate/{name}" in said
    Path("news.txt").write_text("red cat\n\nbig wolf\n")
    said, died = tool("--translate", "news.txt")
    assert not died
    assert len(said.splitlines()) == 3
    several, _ = tool("--translate", "news.txt", "--n-best", 2, "--beam", 1)
    source, best, _, behind, empty, other, *_ = several.splitlines()
    assert (source, behind, empty, other) == ("red cat", "", "", "big wolf")
    assert best.endswith(said.splitlines()[0])
    assert said.splitlines()[1] == ""
    marked = "\ufeffred cat\r\nred cat\u2028big wolf\f\n".encode()  # ends of lines for some
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(marked)))
    first, second = tool("--translate", "-")[0].split("\n")[:2]
    assert first == said.splitlines()[0]
    Path("marked.txt").write_bytes(marked)
    assert tool("--translate", "marked.txt")[0].split("\n") == [first, second, ""]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"red cat\nbig wolf\n\xe9")))
    translated, died = tool("--translate", "-")
    assert translated.splitlines() == said.splitlines()[::2]
    assert died.startswith("translate.py: standard input is not UTF-8: ")
    assert tool("--evaluate", "a.en", "a.fr")[0].startswith("24 sentences: ")
    assert tool("--evaluate", "both.txt", "--columns", 2, 1) == tool("--evaluate", "a.en", "a.fr")


def test_columns_are_the_two_files(tool):
    tool("a.en", "a.fr", *SMALL, "--out", "files")
    _, died = tool("both.txt", "--columns", 2, 1, *SMALL, "--out", "columns", "--attention", "none")
    assert not died
    page = Path("columns/alignments.html").read_text()
    assert "<section>" not in page
    assert "<h1>How it learned</h1>" in page
    tool("both.txt", "--columns", 2, 1, *SMALL, "--out", "columns", "--anew")
    assert weights("files") == weights("columns")


def test_an_interrupted_run_goes_on_to_the_same_bits(tool):
    goes_on_to_the_same_bits(tool, ("a.en", "a.fr", *SMALL, "--save-every", 3), 5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("a.en short.fr", "'a.en' has 24 lines, 'short.fr' 1; expected as many"),
        ("a.en latin.fr", "'latin.fr' is not UTF-8: byte 0xe9 at 3"),
        ("a.en empty.fr", "nothing to read in 'empty.fr'"),
        ("a.en none.fr", "no file or folder 'none.fr'"),
        ("a.en", "line 1 of 'a.en' has 1 columns"),
        ("short.fr short.fr", "1 different sources, too few to set a twentieth of them aside"),
        ("a.en a.fr --cell Foo", "cell is 'Foo'"),
        ("--translate a.en", "'out/translate/model' holds no model.json"),
        ("--evaluate a.en a.fr --out nowhere", "'nowhere/model' holds no model.json"),
        ("--resume", "there is no run in 'out/translate' to resume"),
        ("a.en a.fr a.en", "text: expected two files, or one with columns"),
        ("--columns 1 1", "--columns are [1, 1], expected two different numbers from 1 up"),
        ("--columns 0 1", "--columns are [0, 1], expected two different numbers from 1 up"),
        ("--epochs 0", "--epochs is 0, expected a whole number from 1 up"),
        ("--n-best 0", "--n-best is 0, expected a whole number from 1 up"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(tool, arguments, told):
    Path("short.fr").write_text("un chat\n")
    Path("latin.fr").write_bytes(b"caf\xe9")
    Path("empty.fr").write_text("")
    _, died = (
        tool(*arguments.split(), *SMALL) if "--" not in arguments else tool(*arguments.split())
    )
    assert told in died
    assert not Path("out").exists()


def test_ctrl_c_while_a_model_is_used_is_no_traceback(tool, monkeypatch):
    def interrupted(args, folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(tool.module, "use", interrupted)
    assert tool("--translate", "a.en")[1] == "\ntranslate.py: interrupted"


def test_help_shows_how_it_is_used(tool):
    said, died = tool("--help")
    assert died == "0"
    assert "--translate news.txt --beam 5 --n-best 3" in said


# ----- the grammar -----


@pytest.fixture
def french(monkeypatch):
    return loaded("french")


def test_numbers_in_french(french):
    some = {
        1: "une", 16: "seize", 17: "dix-sept", 20: "vingt", 21: "vingt et une", 22: "vingt-deux",
        61: "soixante et une", 70: "soixante-dix", 71: "soixante et onze", 77: "soixante-dix-sept",
        78: "soixante-dix-huit", 80: "quatre-vingts", 81: "quatre-vingt-une",
        91: "quatre-vingt-onze", 99: "quatre-vingt-dix-neuf",
    }  # fmt: skip
    assert {n: french.number(n, "f")[1] for n in some} == some
    assert french.number(81, "m") == ("eighty-one", "quatre-vingt-un")
    assert len({french.number(n, "m") for n in range(1, 100)}) == 99


def test_what_is_asked_has_never_been_learned_and_has_one_translation(french):
    learned, asked = french.pairs(3000, 500)
    assert (len(set(learned)), len(set(asked))) == (3000, 500)
    assert not {pair.source for pair in learned} & {pair.source for pair in asked}
    assert (learned, asked) == french.pairs(3000, 500)
    words = {word for pair in learned for word in re.findall(r"\w+", pair.target)}
    assert {word for pair in asked for word in re.findall(r"\w+", pair.target)} <= words


def test_vowels_meet_as_in_french(french):
    learned, _ = french.pairs(5000, 0)
    vowel = "(?!huit|onze)[aeiouhéêîô]"
    for _, target in learned:
        assert not re.search(rf"\b(le|la|je|ne|de|me|te|que|ma|sa|ce|beau) {vowel}", target), target
        assert not re.search(r"\bde les?\b|  |\bde un", target), target
        assert not re.search(r"'(?![aeiouhéêîô])", target), target
    together = " ".join(pair.target for pair in learned)
    for found in ("l'", "d'", "n'", "j'", "m'", "t'", "qu'", "cet ", "vieil ", "du ", "des "):
        assert re.search(rf"\b{found}", together), found
