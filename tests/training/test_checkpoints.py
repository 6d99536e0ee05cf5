"""A checkpoint is there whole or not at all, and the one before it stays."""

import errno
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.runs import X, Y, classifier, numbers, points, trainer
from tinygrad_rnn import data, files, nn, training
from tinygrad_rnn.errors import (
    ArgumentError,
    FileFormatError,
    NotFiniteError,
    SaveError,
    StateDictError,
)


def run_with(folder, epochs=1, resume=False, validation=None, **options):
    run = trainer()
    keeper = training.Checkpoints(folder, **options)
    run.fit(
        points(), epochs, callbacks=[keeper], resume=resume, validation=validation, progress=False
    )
    return run


def names(folder):
    return sorted(os.listdir(folder))


def test_the_newest_are_kept(tmp_path):
    run_with(tmp_path, 2, every=2, keep=2)
    assert names(tmp_path) == [
        "best.safetensors", "step-000000008.safetensors", "step-000000010.safetensors",
    ]  # fmt: skip
    run_with(tmp_path / "b", 3, keep=5)
    assert names(tmp_path / "b")[1:] == [f"step-0000000{n}.safetensors" for n in ("05", "10", "15")]


def test_the_last_step_is_always_saved(tmp_path):
    run_with(tmp_path, 1, every=3)
    assert names(tmp_path)[1:] == ["step-000000003.safetensors", "step-000000005.safetensors"]


def test_the_best_are_weights(tmp_path):
    run = trainer()
    keeper = training.Checkpoints(tmp_path, best="val_accuracy", mode="max")
    seen = {}

    def remember(run, logs):
        if logs["val_accuracy"] > seen.get("best", 0):
            seen.update(best=logs["val_accuracy"], weights=run.model.state_dict())

    run.fit(points(), 6, validation=points(), callbacks=[remember, keeper], progress=False)
    best = tg.load(tmp_path / "best.safetensors")
    assert all(best[name].tobytes() == array.tobytes() for name, array in seen["weights"].items())


def test_one_can_be_written_by_hand(tmp_path):
    one, two = trainer(), trainer()
    one.fit(points(), 1, progress=False)
    training.save_checkpoint(tmp_path / "x", one)
    training.load_checkpoint(tmp_path / "x", two)
    assert numbers(one)["model"] == numbers(two)["model"]
    assert two.step == 5


def test_a_torn_one_is_passed_over_and_both_are_named(tmp_path):
    right = numbers(run_with(tmp_path / "whole", 3, every=2))
    run_with(tmp_path, 2, every=2)
    torn = tmp_path / "step-000000010.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"passed over step-000000010.*step-000000008") as seen:
        again = run_with(tmp_path, 3, resume=True, every=2)
    assert "cannot be read: it is no whole safetensors file" in str(seen[0].message)
    assert numbers(again)["model"] == right["model"]


def test_none_that_is_whole_is_an_error(tmp_path):
    run_with(tmp_path)
    (tmp_path / "step-000000005.safetensors").write_bytes(b"torn")
    with pytest.raises(FileFormatError, match=r"none is whole: step-000000005.safetensors"):
        run_with(tmp_path, resume=True)


def test_what_a_kill_has_left_is_removed(tmp_path):
    (tmp_path / ".step-000000005.safetensors.0123.unfinished").write_bytes(b"half")
    run_with(tmp_path)
    assert names(tmp_path) == ["best.safetensors", "step-000000005.safetensors"]


def test_a_checkpoint_of_another_model_names_all_keys(tmp_path):
    run_with(tmp_path)
    other = trainer(nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2)))
    before = numbers(other)
    with pytest.raises(StateDictError) as raised:
        other.fit(points(), callbacks=[training.Checkpoints(tmp_path)], resume=True)
    for text in (
        f"Checkpoints: '{tmp_path}/step-000000005.safetensors' is of another model or run.",
        "missing: 1.weight, 1.bias", "unexpected: 3.weight, 3.bias",
        "0.weight is (4, 8), expected (4, 9)",
    ):  # fmt: skip
        assert text in str(raised.value)
    assert numbers(other) == before
    with pytest.raises(StateDictError, match="is the checkpoint of another model or run"):
        training.load_checkpoint(tmp_path / "step-000000005.safetensors", other)
    with pytest.raises(FileFormatError, match="holds arrays only, expected what save_checkpoint"):
        training.load_checkpoint(tmp_path / "best.safetensors", other)


def test_other_data_are_noticed(tmp_path):
    run_with(tmp_path, every=2)
    run = trainer()
    other = data.Batches((X[:20], Y[:20]), 8)
    with pytest.raises(StateDictError, match="a place in other batches"):
        run.fit(other, 2, callbacks=[training.Checkpoints(tmp_path)], resume=True)


def test_a_folder_with_another_run_is_refused(tmp_path):
    run_with(tmp_path)
    with pytest.raises(ArgumentError, match=r"Give resume=True to go on with that run"):
        run_with(tmp_path)
    assert names(tmp_path) == ["best.safetensors", "step-000000005.safetensors"]


def test_one_trainer_may_fit_again_and_again(tmp_path):
    run, keeper, source = trainer(), training.Checkpoints(tmp_path), points()
    for _ in range(2):
        run.fit(source, 1, callbacks=[keeper], progress=False)
    assert run.step == 10


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"every": 0}, "Checkpoints: every is 0, expected a whole number from 1 up."),
        ({"keep": 0}, "Checkpoints: keep is 0, expected a whole number from 1 up."),
        ({"mode": "low"}, "Checkpoints: mode is 'low', expected one of ('min', 'max')."),
        ({"best": "f1"}, "Checkpoints: the epoch has no 'f1', expected one of epoch, step, loss"),
    ],
)
def test_wrong_arguments(tmp_path, options, text):
    with pytest.raises(ArgumentError) as raised:
        run_with(tmp_path, **options)
    assert text in str(raised.value)


def test_a_torn_one_is_none_of_those_to_keep(tmp_path):
    run_with(tmp_path, 2)
    (tmp_path / "step-000000010.safetensors").write_bytes(b"torn")
    run = trainer()
    keeper = training.Checkpoints(tmp_path, every=2, keep=1)
    with pytest.warns(UserWarning, match="passed over step-000000010"):
        run.fit(points(), steps=6, callbacks=[keeper], resume=True, progress=False)
    assert "step-000000006.safetensors" in names(tmp_path)
    with pytest.warns(UserWarning, match="Going on from step-000000006"):
        assert keeper.newest()[1]["step"] == 6


def test_of_several_folders_the_newest_is_gone_on_from(tmp_path):
    def keepers():
        return [training.Checkpoints(tmp_path / str(n), every=n) for n in (4, 3, 5)]

    class Killed(BaseException):
        pass

    class Kill(training.Callback):
        def on_step(self, run):
            if run.step == 7:
                raise Killed

    with pytest.raises(Killed):
        trainer().fit(points(), 2, callbacks=[*keepers(), Kill()], progress=False)
    run, seen = trainer(), []
    see = Starts(seen)
    run.fit(points(), 2, callbacks=[*keepers(), see], resume=True, progress=False)
    assert seen == [6]
    whole = trainer()
    whole.fit(points(), 2, progress=False)
    assert numbers(run)["model"] == numbers(whole)["model"]


class Starts(training.Callback):
    """Notes the step at which a run begins."""

    def __init__(self, seen):
        self.seen = seen

    def on_fit_begin(self, run):
        self.seen.append(run.step)


def test_a_folder_that_vanishes_is_made_again(tmp_path):
    class Vanishes(training.Callback):
        def on_step(self, run):
            if run.step == 3:
                shutil.rmtree(tmp_path / "run")

    keeper = training.Checkpoints(tmp_path / "run", every=2)
    trainer().fit(points(), 1, callbacks=[Vanishes(), keeper], progress=False)
    assert names(tmp_path / "run") == [
        "best.safetensors", "step-000000004.safetensors", "step-000000005.safetensors",
    ]  # fmt: skip


def test_a_best_that_was_not_written_is_not_the_best(tmp_path, monkeypatch):
    def rated(run, logs):
        logs["score"] = [3.0, 1.0, 2.0][run.epoch - 1]

    keeper = training.Checkpoints(tmp_path, best="score", every=50)
    callbacks = [rated, FullFrom(monkeypatch, 7, 13), keeper]
    run = trainer()
    with pytest.warns(UserWarning, match=r"best.safetensors.*Training goes on"):
        run.fit(points(), 3, callbacks=callbacks, progress=False)
    best = tg.load(tmp_path / "best.safetensors")
    assert all(np.array_equal(array, best[n]) for n, array in run.model.state_dict().items())


def test_the_best_are_finite(tmp_path):
    class Spoils(training.Callback):
        def on_step(self, run):
            if run.step == 5:  # the mean loss of the epoch is finite
                run.model[0].weight.assign_(np.full((4, 8), np.nan, np.float32))

    with pytest.raises(NotFiniteError):
        trainer().fit(points(), 1, callbacks=[Spoils(), training.Checkpoints(tmp_path)])
    assert names(tmp_path) == []


def test_what_no_checkpoint_is_has_an_error_for_it(tmp_path):
    for text in ("{", "[1]", "[" * 50000, '{"dict": [["model", 3]]}'):
        files.write(tmp_path / "step-000000001.safetensors", {}, {"tinygrad_rnn.checkpoint": text})
        with pytest.raises(FileFormatError, match="save_checkpoint has not written"):
            training.load_checkpoint(tmp_path / "step-000000001.safetensors", trainer())


# ----- a disk that is full -----


class FullFrom(training.Callback):
    """From this step on, nothing can be written any more; to that step."""

    def __init__(self, patch, begin, end=99):
        self.patch, self.begin, self.end, self.fsync = patch, begin, end, os.fsync

    def on_step(self, run):
        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        if run.step in (self.begin, self.end):
            self.patch.setattr(os, "fsync", full if run.step == self.begin else self.fsync)


def test_a_full_disk_is_a_warning_and_costs_nothing(tmp_path, monkeypatch):
    right = numbers(run_with(tmp_path / "whole", 2))
    run = trainer()
    keeper = training.Checkpoints(tmp_path / "run", every=2)
    full = FullFrom(monkeypatch, 4, 7)
    with pytest.warns(UserWarning, match="Training goes on") as seen:
        run.fit(points(), 2, callbacks=[full, keeper], progress=False)
    assert "step-000000004" in str(seen[0].message)
    assert "the disk is full; nothing was left. Training goes on." in str(seen[0].message)
    assert numbers(run)["model"] == right["model"]
    assert names(tmp_path / "run")[1:] == [
        "step-000000002.safetensors", "step-000000008.safetensors", "step-000000010.safetensors",
    ]  # fmt: skip


def test_a_disk_that_is_full_after_an_epoch(tmp_path, monkeypatch):
    run = trainer()
    callbacks = [FullFrom(monkeypatch, 4, 7), training.Checkpoints(tmp_path)]
    with pytest.warns(UserWarning, match="Training goes on"):
        run.fit(points(), 2, callbacks=callbacks, progress=False)
    assert names(tmp_path)[-1] == "step-000000010.safetensors"


def test_a_disk_that_stays_full_is_an_error_in_the_end(tmp_path, monkeypatch):
    run = trainer()
    keeper = training.Checkpoints(tmp_path, every=3)
    with (
        pytest.warns(UserWarning, match="Training goes on"),
        pytest.raises(SaveError, match="the disk is full"),
    ):
        run.fit(points(), 2, callbacks=[keeper, FullFrom(monkeypatch, 4)], progress=False)
    monkeypatch.undo()
    assert names(tmp_path) == ["step-000000003.safetensors"]
    again = trainer()
    again.fit(points(), 2, callbacks=[training.Checkpoints(tmp_path)], resume=True, progress=False)
    assert numbers(again)["model"] == numbers(run)["model"]


LIMITED = """
import resource, sys, warnings
from tests.training.runs import classifier, points, trainer
from tinygrad_rnn import training
from tinygrad_rnn.errors import SaveError
from tinygrad_rnn.kernels._twin import use_reference

def limit(run, logs):
    if logs["epoch"] == 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

warnings.simplefilter("ignore")
with use_reference():
    try:
        trainer().fit(points(), 4, callbacks=[limit, training.Checkpoints(sys.argv[1])])
    except SaveError as error:
        sys.exit("larger than this system or its limits allow" not in str(error))
sys.exit(2)
"""


def test_a_real_limit_leaves_the_last_good_one(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], check=False)
    assert done.returncode == 0
    assert names(tmp_path)[-1] == "step-000000005.safetensors"
    again = run_with(tmp_path, 4, resume=True)
    whole = trainer()
    whole.fit(points(), 4, progress=False)
    assert numbers(again)["model"] == numbers(whole)["model"]


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    class Spoil(training.Callback):
        def on_step(self, run):
            if run.step == 4:
                run.model[0].bias.assign_(np.full(8, np.nan, np.float32))

    run = trainer()
    with pytest.raises(NotFiniteError, match=r"after step 4 0.bias holds NaN or infinity"):
        run.fit(points(), callbacks=[training.Checkpoints(tmp_path, every=2), Spoil()])
    assert names(tmp_path) == ["step-000000002.safetensors"]


def test_a_classifier_is_small():
    assert sum(p.size for p in classifier().parameters()) < 100  # tests write it often
