"""What happens beside the steps: stopping early, tables, samples, the bar, carried states."""

import csv
import io
import math
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.runs import points, trainer
from tinygrad_rnn import data, losses, nn, ops, optim, training
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.training.progress import Bar


class Says(training.Callback):
    """Puts values into the logs of epochs."""

    def __init__(self, **values):
        self.values = values

    def on_epoch_end(self, run, logs):
        logs.update({name: values[run.epoch - 1] for name, values in self.values.items()})


# ----- stopping and slowing down -----


@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1, 1], 4),
        ({"patience": 2}, [3, 4, 2, 4, 1, 1], 6),
        ({"patience": 1, "mode": "max"}, [3, 4, 4, 5, 6, 7], 3),
        ({"patience": 1, "min_delta": 1.5}, [5, 3, 2, 1, 0, 0], 3),
        ({"patience": 3}, [np.nan] * 6, 3),
    ],
)
def test_early_stopping(options, values, epochs):
    run = trainer()
    stop = training.EarlyStopping("score", **options)
    history = run.fit(points(), 6, callbacks=[Says(score=values), stop], progress=False)
    assert run.epoch == epochs
    assert (history.stopped is None) == (epochs == 6)


def test_the_best_weights_come_back():
    run, kept = trainer(), {}

    def keep(run, logs):
        kept[run.epoch] = run.model.state_dict()

    stop = training.EarlyStopping("score", patience=2, restore_best=True)
    run.fit(points(), 9, callbacks=[Says(score=[3, 1, 2, 2, 0]), keep, stop], progress=False)
    found = run.model.state_dict()
    assert all(found[name].tobytes() == array.tobytes() for name, array in kept[2].items())


def test_what_is_looked_at_by_itself():
    run, stop = trainer(), training.EarlyStopping(patience=1)
    run.fit(points(), 9, callbacks=[Says(loss=[1, 0, 0]), stop], progress=False)
    assert run.epoch == 3
    run, stop = trainer(), training.EarlyStopping(patience=1)
    run.fit(points(), 9, callbacks=[Says(loss=[3, 2, 1], val_loss=[1, 1, 1]), stop], progress=False)
    assert run.epoch == 2
    with pytest.raises(ArgumentError, match="EarlyStopping: the epoch has no 'f1', expected one"):
        trainer().fit(points(), 2, callbacks=[training.EarlyStopping("f1")], progress=False)


def test_a_plateau_reduces_the_rate():
    run = trainer(schedule=False)
    plateau = training.ReduceOnPlateau("score", factor=0.5, patience=1)
    values = [1, 1, 1, 1, 1, 0]
    history = run.fit(points(), 6, callbacks=[Says(score=values), plateau], progress=False)
    assert history["lr"] == [0.05, 0.05, 0.05, 0.025, 0.025, 0.0125]
    with pytest.raises(ArgumentError, match="CosineAnnealingLR sets the rate anew in each step"):
        trainer().fit(points(), callbacks=[training.ReduceOnPlateau()], progress=False)


# ----- tables and samples -----


def test_a_table_of_epochs(tmp_path):
    path = tmp_path / "log.csv"
    run = trainer()
    history = run.fit(points(), 2, callbacks=[training.CSVLog(path)], progress=False)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert [row["step"] for row in rows] == ["5", "10"]
    trainer().fit(points(), 1, callbacks=[training.CSVLog(path)], progress=False)
    assert len(path.read_text().splitlines()) == 2  # another run begins another table


def test_a_table_of_steps_and_new_columns(tmp_path):
    path = tmp_path / "log.csv"
    run, log = trainer(), training.CSVLog(path, every=2)

    class More(training.Callback):
        def on_step(self, run):
            if run.step == 6:
                run.values["more"] = 1.0

    run.fit(points(), 2, callbacks=[More(), log], progress=False)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4", "6", "8", "10"]
    assert [row["more"] for row in rows] == ["", "", "1.0", "", ""]


def test_a_row_costs_the_same_however_long_the_table_is(tmp_path, monkeypatch):
    table = training.CSVLog(tmp_path / "steps.csv", every=1)
    run, reads = trainer(), []
    rows = table._rows
    monkeypatch.setattr(table, "_rows", lambda: reads.append(1) or rows())
    run.fit(points(), 2, callbacks=[table], progress=False)
    assert len(reads) == 2  # as the run begins, and for the columns
    assert len(rows()) == 10


def test_samples_do_not_change_the_run(capsys):
    def speak(run):
        assert not any(module.training for module in run.model.modules())
        assert not tg.is_grad_enabled()
        return f"step {run.step}: {tg.randn(1).item() < 99}"

    plain, said = trainer(), []
    plain.fit(points(), 2, progress=False)
    run = trainer()
    samples = [training.Sample(speak, every=4, show=said.append), training.Sample(speak)]
    run.fit(points(), 2, callbacks=samples, progress=False)
    assert said == ["step 4: True", "step 8: True"]
    assert capsys.readouterr().out == "step 5: True\nstep 10: True\n"
    a, b = plain.model.state_dict(), run.model.state_dict()
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


# ----- the bar -----


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("progress", "terminal", "shown"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_the_bar_is_for_those_who_see_it(monkeypatch, progress, terminal, shown):
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    trainer().fit(points(), 2, validation=points(), progress=progress)
    text = stream.getvalue()
    assert bool(text) == shown
    if shown:
        for part in ("epoch 1/2, loss=", "epoch 2/2, loss=", "val_accuracy="):
            assert part in text


@pytest.mark.parametrize("columns", [80, 120])
def test_numbers_of_the_bar_are_whole_in_a_narrow_terminal(monkeypatch, columns):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda stream: (columns, 24))
    values = {"loss": 1.2345, "perplexity": 3.437}
    bar = Bar(True, "epoch 12/20", range(5000), 0)
    bar.advance(4321, lambda: values)
    bar._bar.refresh()
    values |= {f"val_{name}": value for name, value in values.items()}
    bar.end(values | {"lr": 0.001234, "seconds": 12.3})
    bar.close()
    *bars, last = sys.stderr.getvalue().rstrip().split("\r")
    shown = next(line for line in bars if "loss" in line)
    assert ", loss=1.234, perplexity=3.437]" in shown
    assert ("batch/s" in shown) == (columns == 120)
    said = "epoch 12/20, loss=1.234, perplexity=3.437, val_loss=1.234, val_perplexity=3.437"
    assert last.rstrip() == said + (", lr=0.001234, seconds=12.3" if columns == 120 else "")


def test_the_bar_shows_metrics_and_leaves_their_errors_to_the_end_of_the_epoch(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = []
    monkeypatch.setattr(Bar, "show", lambda self, values: shown.append(values))
    trainer(metrics={"doubled": lambda means: 2 * means["loss"]}).fit(points(), 1)
    assert shown[0]["doubled"] == 2 * shown[0]["loss"]  # in the middle of the epoch
    assert len(shown) > 1
    run = trainer(metrics={"huge": lambda means: math.exp(1e6)})
    with pytest.raises(OverflowError) as caught:
        run.fit(points(), 1)
    assert "the metrics of epoch 0, after step 5" in caught.value.__notes__[0]


# ----- truncated backpropagation through time -----

TOKENS = np.random.default_rng(0).integers(0, 5, 100)


class Speaker(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.rnn, self.out = nn.Embedding(5, 3), nn.RNN(3, 4), nn.Linear(4, 5)

    def forward(self, ids, state=None):
        y, state = self.rnn(self.embedding(ids), state)
        return self.out(y), state


def speaking(model, chunk, state):
    scores, state = model(chunk.x, state)
    return losses.cross_entropy(scores, chunk.y), state


def test_a_state_is_carried_without_its_graph():
    tg.seed(0)
    model = Speaker()
    start = model.state_dict()
    run = training.Trainer(model, optim.SGD(model.parameters(), lr=0.5), speaking, carry_state=True)
    run.fit(data.Streams(TOKENS, 3, 8), 2, progress=False)

    other = Speaker()
    other.load_state_dict(start)
    optimizer = optim.SGD(other.parameters(), lr=0.5)
    for _ in range(2):
        state = None
        for x, y, _ in data.Streams(TOKENS, 3, 8):
            loss, state = speaking(other, data.Chunk(x, y, False), state)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state = state.detach()
    a, b = model.state_dict(), other.state_dict()
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_a_chunk_as_long_as_the_text_is_the_full_one():
    runs = []
    for carry in (True, False):
        tg.seed(0)
        model = Speaker()
        loss = speaking if carry else lambda model, chunk: speaking(model, chunk, None)[0]
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        runs.append(training.Trainer(model, optimizer, loss, carry_state=carry))
        runs[-1].fit(data.Streams(TOKENS, 3, 99), 3, progress=False)
    a, b = (run.model.state_dict() for run in runs)
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_evaluating_carries_a_state_of_its_own():
    tg.seed(0)
    model = Speaker()
    run = training.Trainer(model, optim.SGD(model.parameters()), speaking, carry_state=True)
    run.carried = kept = tg.ones(1, 3, 4)
    found = run.evaluate(data.Streams(TOKENS, 3, 11))["loss"]
    whole = run.evaluate(data.Streams(TOKENS, 3, 33))["loss"]
    assert found == pytest.approx(whole, rel=1e-6)
    assert run.carried is kept


def test_states_of_any_form_lose_their_graph():
    def counting(model, batch, state):
        score = model(batch[0])
        assert state is None or (state["sum"][0].is_leaf and state["all"][0][0].is_leaf)
        return ops.square(score).mean(), {"sum": (score.mean(), 3), "all": [[score]]}

    run = trainer(loss=counting, carry_state=True)
    run.fit([(np.ones((2, 4), np.float32), 0)] * 3, progress=False)
    assert run.carried is None  # the epoch is over


def test_a_state_ends_where_a_batch_is_the_first():
    class Batch(tuple):
        first = False

    seen = []

    def remember(model, batch, state):
        seen.append(state)
        return ops.square(model(batch[0])).mean(), 1 if state is None else state + 1

    batches = [Batch((np.ones((2, 4), np.float32),)) for _ in range(4)]
    batches[2].first = True
    run = trainer(loss=remember, carry_state=True)
    run.fit(batches, 2, progress=False)
    run.evaluate(batches)
    assert seen == [None, 1, None, 1] * 3
