"""``fit`` in several processes: one run, whose files the first process writes."""

import copy
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.process_groups import TEXT, in_threads, results, speaker
from tinygrad_rnn import data, losses, nn, optim, training
from tinygrad_rnn.errors import (
    ArgumentError,
    DistributedError,
    NotFiniteError,
    StateDictError,
)
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.training import parallel

CLOSE = {"rtol": 1e-11, "atol": 1e-13}


def speak(model, chunk, state):
    scores, state = model(chunk.x, state=state)
    values = {"right": (scores.numpy().argmax(-1) == chunk.y).mean()}
    return losses.cross_entropy(scores, chunk.y), state, values


def streams(rank=0, world_size=1, **options):
    return data.Streams(TEXT[:250], 7, 6, rank=rank, world_size=world_size, **options)


def trainer(model, group=None, loss=speak, **options):
    optimizer = optim.Adam(model.named_parameters(), lr=0.02)
    return training.Trainer(
        model, optimizer, loss, clip_norm=0.5, carry_state=loss is speak, group=group,
        **{"weight": lambda chunk: chunk.y.size, **options},
    )  # fmt: skip


def place(group):
    return {} if group is None else {"rank": group.rank, "world_size": group.size}


def without_seconds(history):
    return [
        {name: value for name, value in logs.items() if name != "seconds"}
        for logs in history.epochs
    ]


def test_a_fit_of_three_processes_is_that_of_one(tmp_path):
    """Shares of 3, 2 and 2 streams; two chunks a step; validation; looks in mid-epoch."""

    def run(model, group=None):
        run = trainer(
            model, group, accumulate=2, log_every=2,
            metrics={"perplexity": lambda means: np.exp(means["loss"])},
        )  # fmt: skip
        log = training.CSVLog(tmp_path / ("together.csv" if group else "alone.csv"), every=2)
        history = run.fit(
            streams(**place(group)), 2, validation=streams(**place(group)), callbacks=[log]
        )
        return without_seconds(history), model.state_dict(), run.values, run.norm, run.step

    alone = run(speaker())
    models = [speaker(seed) for seed in range(3)]
    found = results(lambda group: run(models[group.rank], group), 3)
    for history, weights, values, norm, step in found:
        assert (history, step) == (found[0][0], alone[4])
        assert len(history) == 2
        for logs, expected in zip(history, alone[0], strict=True):
            assert list(logs) == list(expected)
            np.testing.assert_allclose(list(logs.values()), list(expected.values()), **CLOSE)
        for name, array in alone[1].items():
            np.testing.assert_allclose(weights[name], array, **CLOSE)
            np.testing.assert_array_equal(weights[name], found[0][1][name])
        np.testing.assert_allclose(norm, alone[3], **CLOSE)
        assert values == found[0][2]
    tables = []
    for name in ("alone.csv", "together.csv"):
        with (tmp_path / name).open() as file:
            tables.append(list(csv.DictReader(file)))
    assert [row["step"] for row in tables[0]] == [row["step"] for row in tables[1]]
    assert len(tables[0]) == 3


# ----- going on -----


class Forgetful(nn.Module):
    """Dropout, running means, and states that are carried: each process has its own."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.norm = nn.BatchNorm(4)
        self.rnn = nn.GRU(4, 5)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(5, 11)

    def forward(self, ids, state=None):
        x = self.embedding(ids)
        x = self.norm(x.reshape(-1, 4)).reshape(*x.shape)
        y, state = self.rnn(self.drop(x), state)
        return self.out(self.drop(y)), state


def speak_forgetfully(model, chunk, state):
    scores, state = model(chunk.x, state)
    return losses.cross_entropy(scores, chunk.y), state


class Stops(training.Callback):
    """One of the processes wants to end after a step; all do after the next one."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer):
        if trainer.step == self.step and trainer.rank == 1:
            trainer.stop("enough")


def resumed(group, folder):
    """A run that is not interrupted, and one that ends in mid-epoch and is gone on with."""

    def run(name, step=None):
        tg.seed(3)
        model = Forgetful()
        run = training.Trainer(
            model, optim.Adam(model.parameters()), speak_forgetfully, carry_state=True,
            weight=lambda chunk: chunk.y.size, group=group,
        )  # fmt: skip
        batches = streams(group.rank, group.size, vary=True, seed=2)
        keeper = training.Checkpoints(f"{folder}/{name}", every=2)
        if group.rank:  # what others have on their disks is not looked at
            keeper = training.Checkpoints(f"{folder}/of {group.rank}", every=2)
        more = [keeper, Stops(step)]
        history = run.fit(batches, 2, callbacks=more, resume=True, progress=False)
        return without_seconds(history), model.state_dict(), tg.randn(2).numpy()

    with use_reference():
        whole = run("whole")
        run("parts", step=4)
        return whole, run("parts")


def test_a_resumed_run_has_the_bits_of_one_that_was_not_interrupted(tmp_path):
    found = parallel.spawn(resumed, 2, args=(str(tmp_path),), timeout=60)
    for (history, weights, drawn), (history_again, weights_again, drawn_again) in found:
        # Means were taken at other steps, so sums were made of other parts.
        for logs, again in zip(history, history_again, strict=True):
            np.testing.assert_allclose(list(logs.values()), list(again.values()), 1e-12)
        np.testing.assert_array_equal(drawn, drawn_again)
        for name, array in weights.items():
            if "running" not in name or weights is found[0][0][1]:
                np.testing.assert_array_equal(array, weights_again[name], err_msg=name)
            if "running" not in name:
                np.testing.assert_array_equal(array, found[0][0][1][name], err_msg=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "whole"]
    assert not np.array_equal(found[0][0][2], found[1][0][2]), "each has a stream of its own"


def test_the_checkpoint_of_another_number_of_processes_is_refused(tmp_path):
    alone = trainer(speaker())
    keeper = training.Checkpoints(tmp_path)
    alone.fit(streams(), callbacks=[keeper])
    models = [speaker() for _ in range(2)]

    def work(group):
        run = trainer(models[group.rank], group)
        run.fit(
            streams(**place(group)), callbacks=[training.Checkpoints(tmp_path)], resume=True
        )  # fmt: skip

    for error in in_threads(work):
        assert isinstance(error, StateDictError)
        assert "processes is 2 here, and was 1" in str(error)


# ----- what goes wrong -----


def square(model, batch):
    x, y = batch
    return losses.mse(model(x), y)


X = np.random.default_rng(0).standard_normal((12, 3))


def points(group, x=X):
    return data.Batches((x, X[:, :2]), 4, **place(group))


def small(group, **options):
    tg.seed(0)
    model = nn.Linear(3, 2).astype(np.float64)
    return trainer(model, group, square, **{"weight": lambda batch: len(batch[0]), **options})


def test_a_loss_that_is_no_number_in_one_process_stops_all_before_the_step():
    spoilt = X.copy()
    spoilt[5, 0] = np.nan  # the second batch, of rank 1

    def work(group):
        run = runs[group.rank] = small(group)
        run.fit(points(group, spoilt))

    runs = {}
    errors = in_threads(work)
    assert all(isinstance(error, NotFiniteError) for error in errors), errors
    assert "another process says why" in str(errors[0])
    assert "the batch holds 1 NaN" in str(errors[1])
    for run in runs.values():
        assert run.step == 1
        assert np.isfinite(run.model.weight.numpy()).all()


def test_a_loss_that_is_no_number_can_be_left_out_by_all():
    spoilt = X.copy()
    spoilt[5, 0] = np.nan

    def work(group):
        run = small(group)
        history = run.fit(points(group, spoilt), 2, callbacks=[Forgives()])
        return run.step, np.isfinite(history["loss"]).all()

    class Forgives(training.Callback):
        def on_not_finite(self, trainer, error):
            return True

    assert results(work) == [(4, True), (4, True)]


def test_one_process_that_stops_stops_all_after_the_same_step():
    def work(group):
        run = small(group)
        history = run.fit(points(group), 5, callbacks=[Stops(2)])
        return run.step, history.stopped, history.interrupted

    assert results(work) == [(3, None, True), (3, "enough", False)]


def test_a_reader_that_fails_in_one_process_ends_the_others(tmp_path):
    def work(group):
        rows = [(x, y) for x, y in zip(X, X[:, :2], strict=True)]
        if group.rank:
            rows[5] = "torn"
        batches = data.Batches(rows, 4, collate=stacked, **place(group))
        small(group).fit(batches, callbacks=[training.Checkpoints(tmp_path)])

    def stacked(rows):
        x, y = zip(*rows, strict=True)
        return np.stack(x), np.stack(y)

    first, second = in_threads(work)
    assert isinstance(first, DistributedError)
    assert isinstance(second, ValueError)


def test_shares_have_to_be_weighed():
    with pytest.raises(ArgumentError, match="given a group and no weight"):
        small(parallel.SocketGroup("h:1", 0, 1, key="k"), weight=None)


def test_a_trainer_of_several_processes_is_not_copied():
    def work(group):
        with pytest.raises(TypeError, match="cannot be copied"):
            copy.deepcopy(small(group))

    results(work)


ENDLESS = """
import sys
from tests.training.process_groups import speaker
from tests.training.test_fit_together import streams, trainer
from tinygrad_rnn import training
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.training import parallel

class Tells(training.Callback):
    def on_step(self, trainer):
        if trainer.rank == 0 and trainer.step == 2:
            print("running", flush=True)

def endless(group, folder):
    with use_reference():
        run = trainer(speaker(), group)
        history = run.fit(streams(group.rank, group.size), 10**6, progress=False,
                          callbacks=[Tells(), training.Checkpoints(folder, every=10**6)])
        return history.interrupted, run.step

if __name__ == "__main__":
    first, second = parallel.spawn(endless, 2, args=(sys.argv[1],), timeout=60)
    assert first == second and first[0], (first, second)
    print("after step", first[1])
"""


def test_ctrl_c_finishes_the_step_of_all_and_saves(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "running\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    step = int(out.removeprefix("after step "))
    assert [path.name for path in (tmp_path / "run").iterdir()] == [f"step-{step:09d}.safetensors"]
