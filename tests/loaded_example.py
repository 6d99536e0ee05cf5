"""An example as a module, for tests that call what is in it, or run it as a command."""

import importlib.util
from contextlib import contextmanager
from pathlib import Path

import pytest

from tinygrad_rnn.training import Trainer

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def loaded(name):
    """A module of its own each time."""
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))  # where command.py is, which all of them import
        spec.loader.exec_module(module)
    return module


def command(module, name, monkeypatch, capsys):
    """A function that runs an example with arguments: what it wrote, and what it died of."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
        try:
            module.main()
            died = ""
        except SystemExit as end:
            died = str(end.code)
        written = capsys.readouterr()
        return written.out, written.err if died == "2" else died

    run.module = module
    return run


@contextmanager
def interrupted_after(step):
    """Trainings end after a step, as Ctrl-C ends them."""
    train_step = Trainer.train_step

    def stepped(self, batches):
        train_step(self, batches)
        if self.step == step:
            self._fit.interrupt.asked = True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", stepped)
        yield


def weights(folder):
    """The weights of the model that a run left in its folder, as bytes."""
    return next(Path(folder, "model").glob("*.safetensors")).read_bytes()


def goes_on_to_the_same_bits(tool, run, step):
    """A run that is interrupted after a step and resumed writes what a whole one does.

    Returns what the whole one said.
    """
    whole, died = tool(*run, "--out", "whole")
    assert not died, died
    with interrupted_after(step):
        said, _ = tool(*run, "--out", "parts")
    assert f"interrupted after step {step}; go on with --out parts --resume" in said
    _, died = tool("--out", "parts", "--resume", "--epochs", 7, "--save-every", 9)
    assert "the run in parts was begun with epochs 2, save_every " in died
    said, died = tool("--out", "parts", "--resume")
    assert not died, died
    assert "going on with the run in parts" in said
    assert weights("whole") == weights("parts")
    return whole
