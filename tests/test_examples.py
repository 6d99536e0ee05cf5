"""Every example runs in its short form, without a warning, and ends as its table says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loaded_example import command, loaded
from tinygrad_rnn import training

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_example_runs(path, tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,  # where it may write
        env={**os.environ, "TINYGRAD_SHORT": "1", "PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert run.returncode == 0, run.stderr
    row = re.search(rf"`{path.name}`.*\| `([^`]*)` \|$", (EXAMPLES / "README.md").read_text(), re.M)
    assert row, f"{path.name} has no row in examples/README.md"
    assert run.stdout.strip().splitlines()[-1] == row[1]


@pytest.mark.parametrize(
    "name",
    [
        "addition", "agreement", "answer", "dialogue", "keras_style", "memory", "motion",
        "navigate", "parallel", "sentiment", "video",
    ],
)  # fmt: skip
def test_ctrl_c_ends_all_of_several_trainings(name, tmp_path, monkeypatch, capsys):
    steps = []

    def stepped(self, batches):
        steps.append(1)
        self._fit.interrupt.asked = True  # what the first Ctrl-C does

    monkeypatch.setenv("TINYGRAD_SHORT", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(training.Trainer, "train_step", stepped)
    _, died = command(loaded(name), name, monkeypatch, capsys)()
    assert (died, len(steps)) == (f"\n{name}.py: interrupted", 1)
