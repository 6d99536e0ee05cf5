"""On a GPU a run waits where it looks, and nowhere else; what it comes to is the same."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.standin import cuda
from tinygrad_rnn import data, losses, nn, optim, training
from tinygrad_rnn.errors import ArgumentError, NotFiniteError

pytestmark = pytest.mark.skipif(bool(cuda.missing()), reason=cuda.missing() or "-")

X = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)


def loss(model, x):
    y = model(x)
    off = y - x.sum(axis=1, keepdims=True)
    return (off * off).mean(), {"mean": y.data.mean(), "least": -y.data.max(), "rows": len(x)}


def run(x=X, device="gpu", **options):
    tg.seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = training.Trainer(
        model, optimizer, loss, weight=len, clip_norm=0.5, clip_value=0.5, **options
    )
    return trainer, data.Background(data.Batches(x, 8, shuffle=True), device=device)


def logs_of(trainer):
    return [
        {name: value for name, value in logs.items() if name != "seconds"}
        for logs in trainer.history.epochs
    ]


@pytest.mark.parametrize(("log_every", "looks"), [(None, 3), (4, 6), (3, 10), (1, 48)])
def test_an_epoch_waits_once_for_each_look(standin, log_every, looks):
    """Eight steps an epoch; each ends with a look, if there was not one just before.

    With ``log_every=1`` loss and norm are both seen before the step is made.
    """
    trainer, batches = run(log_every=log_every)
    trainer.fit(batches, 3)
    assert trainer.step == 24
    assert standin.synchronised == looks, standin.waits


def test_what_a_run_comes_to_is_the_same_however_often_it_looks(standin):
    found = []
    for log_every in (None, 1, 5):
        trainer, batches = run(log_every=log_every)
        trainer.fit(batches, 3, validation=batches_there(X[:24]))
        found.append(logs_of(trainer))
    assert found[0] == found[1] == found[2]
    trainer, batches = run(device="cpu")
    trainer.fit(batches, 3, validation=[X[:8], X[8:16], X[16:24]])
    assert trainer.norm > 0
    for ours, theirs in zip(found[0], logs_of(trainer), strict=True):
        assert list(ours) == list(theirs)
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), 1e-4)


def batches_there(x):
    return [tg.tensor(x[i : i + 8], device="gpu") for i in range(0, len(x), 8)]


def test_who_asks_for_values_gets_those_of_the_last_step(standin, tmp_path):
    seen = []

    class Reads(training.Callback):
        def on_step(self, trainer):
            if trainer.step in (2, 7):
                seen.append((trainer.values, trainer.norm))

    trainer, batches = run(log_every=100)
    trainer.fit(batches, callbacks=[Reads(), training.CSVLog(tmp_path / "log.csv", every=4)])
    rows = (tmp_path / "log.csv").read_text().splitlines()
    each, batches = run(log_every=1)
    told = []
    each.fit(batches, callbacks=[Tells(told)])
    assert [values for values, _ in seen] == [told[1], told[6]]
    assert [float(row.split(",")[2]) for row in rows[1:]] == [told[3]["loss"], told[7]["loss"]]
    assert logs_of(trainer) == logs_of(each)


class Tells(training.Callback):
    def __init__(self, told):
        self.told = told

    def on_step(self, trainer):
        self.told.append(trainer.values)


def test_a_checkpoint_holds_what_nobody_has_looked_at(standin, tmp_path):
    """A run that goes on in mid-epoch comes to the same means."""
    whole, batches = run()
    whole.fit(batches, 2)

    class Stops(training.Callback):
        def on_step(self, trainer):
            if trainer.step == 5:
                trainer.stop("here")

    first, batches = run()
    first.fit(batches, 2, callbacks=[training.Checkpoints(tmp_path, every=3), Stops()])
    second, batches = run()
    second.fit(batches, 2, callbacks=[training.Checkpoints(tmp_path, every=3)], resume=True)
    assert logs_of(second) == logs_of(whole)


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_no_number_is_seen_at_the_next_look(standin):
    spoilt = X.copy()
    spoilt[20] = np.inf
    trainer, _ = run(log_every=4)
    batches = data.Background(data.Batches(spoilt, 8), device="gpu")
    with pytest.raises(NotFiniteError, match=r"the loss was (nan|inf) in step 3, as was seen"):
        trainer.fit(batches)
    assert trainer.step == 4
    trainer, _ = run(log_every=1)
    batches = data.Background(data.Batches(spoilt, 8), device="gpu")
    with pytest.raises(NotFiniteError, match=r"is not finite in step 3 .* The step was not made"):
        trainer.fit(batches)
    assert trainer.step == 2
    assert np.isfinite(trainer.model[0].weight.numpy()).all()


@pytest.mark.filterwarnings("ignore")
def test_such_a_run_can_end_in_peace_or_go_back(standin, tmp_path):
    spoilt = X.copy()
    spoilt[20] = np.inf
    trainer, _ = run(log_every=4)
    batches = data.Background(data.Batches(spoilt, 8), device="gpu")
    history = trainer.fit(batches, callbacks=[training.StopAtNaN()])
    assert "in step 3" in history.stopped
    trainer, _ = run(log_every=4)
    batches = data.Background(data.Batches(spoilt, 8), device="gpu")
    keeper = training.Checkpoints(tmp_path, every=2)
    history = trainer.fit(batches, callbacks=[keeper, training.StopAtNaN(roll_back=True)])
    assert np.isfinite(trainer.model[0].weight.numpy()).all()
    assert np.isfinite(history["loss"]).all()
    assert trainer.batch == 0


def test_on_a_cpu_each_step_is_looked_at(reference):
    trainer, batches = run(device="cpu", log_every=100)
    told = []
    trainer.fit(batches, callbacks=[Tells(told)])
    assert len({values["loss"] for values in told}) == 8
    with pytest.raises(ArgumentError, match="log_every"):
        run(device="cpu", log_every=0)


class Speaker(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.rnn = nn.LSTM(8, 8)
        self.out = nn.TiedLinear(self.embedding)

    def forward(self, ids, state=None):
        y, state = self.rnn(self.embedding(ids), state)
        return self.out(y), state


def speak(model, chunk, state):
    scores, state = model(chunk.x, state)
    return losses.cross_entropy(scores, chunk.y), state


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_language_model_waits_for_looks_alone(standin, device):
    """Truncated backpropagation, tied weights, clipping; ids that are there, or sent by need."""
    text = np.random.default_rng(0).integers(0, 11, 400)
    tg.seed(0)
    model = Speaker().to("gpu")
    trainer = training.Trainer(
        model, optim.Adam(model.parameters()), speak, clip_norm=0.1, carry_state=True
    )
    chunks = data.Background(data.Streams(text, 4, 10), device=device)
    history = trainer.fit(chunks, 2)
    assert trainer.step == 20
    assert standin.synchronised == 2, standin.waits
    assert history["loss"][1] < history["loss"][0]
