"""The page on testing runs, prints what it shows, and names all that there is."""

import contextlib
import io
import linecache
import re
import subprocess
import sys
from pathlib import Path

import pytest

import _tinygrad_rnn_pytest as plugin
from tinygrad_rnn import testing
from tinygrad_rnn.testing import laws, strategies

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", PAGE, re.S)
FILE, REPORT = next((c, shown) for c, shown in re.findall(
    r"```python\n(# test_lstm.py\n.*?)```\n.*?```text\n(.*?)```", PAGE, re.S))  # fmt: skip
FIX = next(code for code, _ in BLOCKS if code.startswith("    "))


def test_the_page_runs_and_prints_what_it_shows():
    names = {"__name__": "page"}
    for number, (code, expected) in enumerate(BLOCKS):
        if code in (FILE, FIX):
            continue
        file = f"testing.md:{number}"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, file, "exec"), names)
        assert printed.getvalue() == expected


def pytest_says(folder):
    """What pytest prints about the file of the tutorial: its exit status, and the report."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", folder],
        check=False, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    lines = [line[1:] for line in done.stdout.splitlines() if re.match(r"E( |$)", line)]
    return done.returncode, "\n".join(line.removeprefix("       ") for line in lines) + "\n"


def rounded(text):
    """Numbers to six digits: the last ones depend on how a machine computes exp."""
    text = re.sub(r"\+- \S+", "+- error", text)
    return re.sub(r"-?\d+\.\d+(?:e[+-]\d+)?", lambda found: f"{float(found[0]):.6g}", text)


def test_the_tutorial_finds_the_bug_and_its_fix_is_one(tmp_path):
    file = tmp_path / "test_lstm.py"
    file.write_text(FILE)
    status, said = pytest_says(tmp_path)
    assert status == 1
    head, tail = rounded(REPORT).split("...\n")
    assert rounded(said).startswith(head)
    assert tail in rounded(said)
    wrong = next(line for line in FILE.splitlines(keepends=True) if "di, df, dg, do = " in line)
    file.write_text(FILE.replace(wrong, FIX))
    assert pytest_says(tmp_path)[0] == 0


@pytest.mark.parametrize("module", [testing, strategies, laws], ids=lambda m: m.__name__)
def test_every_public_name_is_on_the_page(module):
    shown = set(re.findall(r"\w+", PAGE))
    inner = {"Draw", "Law", "SequenceLaw", "Numeric", "GradientCheckError", "Subject"}
    assert set(module.__all__) - inner <= shown


def test_every_option_fixture_and_marker_of_the_plugin_is_on_the_page():
    text = Path(plugin.__file__).read_text()
    options = re.findall(r'"(--tgr-[\w-]+)"', text) + re.findall(r'addini\(\s*"(\w+)"', text)
    fixtures = re.findall(r"def (device|implementation|tgr_\w+)\(", text)
    assert len(options) == 9
    assert len(fixtures) == 4
    markers = [line.partition(":")[0] for line in plugin.MARKERS]
    assert not [word for word in options + fixtures + markers if f"`{word}" not in PAGE]
    assert not [name for name in plugin.PROFILES if f"`{name}`" not in PAGE and name != "dev"]


def test_every_reason_why_something_cannot_be_checked_is_on_the_page():
    found = set()
    for path in (ROOT / "tinygrad_rnn" / "testing").rglob("*.py"):
        found |= set(re.findall(r'Untestable\(\s*[\w.]+,\s*f?"([^"{]+?) *["{]', path.read_text()))
    assert len(found) > 10
    assert not [problem for problem in found if f"*{problem}*" not in PAGE]


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
