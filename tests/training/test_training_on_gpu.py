"""Runs on a GPU: the numbers of the CPU, and files that either device reads."""

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.devices import assert_alike
from tests.training import runs
from tinygrad_rnn import data, losses, models, nn, optim, training

pytestmark = pytest.mark.usefixtures("reference")

TOKENS = np.random.default_rng(2).integers(0, 6, 61)


def classify(model, batch):
    """What a user writes: the batch goes where the weights are, ids need not."""
    x, y = batch
    weight = next(model.parameters())
    scores = model(tg.tensor(x, dtype=weight.dtype, device=weight.device))
    return losses.cross_entropy(scores, y), {"top": scores.max(-1).mean()}


def made(device, **options):
    tg.seed(4)
    first = nn.Linear(4, 8, bias=False)  # no bias before a norm: its gradient would be rounding
    layers = [first, nn.BatchNorm(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2)]
    model = nn.Sequential(*layers).astype(tg.float64).to(device)
    return runs.trainer(model, loss=classify, **options)


def in_pieces(device, **options):
    """A language model that reads on from batch to batch."""
    tg.seed(4)
    model = models.LanguageModel(6, 4, 5, cell="GRU", output_dropout=0.3)
    model = model.astype(tg.float64).to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    loss = lambda model, chunk, state: model.loss(chunk.x, chunk.y, state)
    return training.Trainer(model, optimizer, loss, carry_state=True, **options)


def chunks():
    return data.Streams(TOKENS, 2, 5)


RUNS = {"points": (made, runs.points), "pieces": (in_pieces, chunks)}
every_run = pytest.mark.parametrize("kind", RUNS)


def end_of(trainer):
    """What a run has come to; times apart."""
    history = [
        {name: value for name, value in logs.items() if name != "seconds"}
        for logs in trainer.history.epochs
    ]
    return [trainer.model.state_dict(), trainer.optimizer.state_dict()["state"], history]


@every_run
def test_a_run_has_the_numbers_of_the_cpu(on_gpu, kind):
    make, batches = RUNS[kind]
    found = []
    for device in ("cpu", "gpu"):
        trainer = make(device)
        trainer.fit(batches(), 2, validation=batches(), progress=False)
        found.append(end_of(trainer))
    assert_alike(*found)


@every_run
def test_a_run_goes_on_from_a_file_on_either_device(on_gpu, kind, tmp_path):
    make, batches = RUNS[kind]
    whole = make("gpu")
    whole.fit(batches(), 3, progress=False)
    before = make("gpu")
    before.fit(batches(), 1, progress=False)
    for batch in list(batches())[:3]:  # in the middle of an epoch, with a state to go on with
        before.train_step([batch])
    path = tmp_path / "run.safetensors"
    training.save_checkpoint(path, before)
    rest = [copy.copy(batch) for batch in list(batches())[3:]]
    for batch in rest:
        before.train_step([batch])
    for device in ("gpu", "cpu"):
        after = make(device)
        training.load_checkpoint(path, after)
        for batch in rest:
            after.train_step([batch])
        assert_alike(before.model.state_dict(), after.model.state_dict())
        homes = {kept.device.id for one in after.optimizer.state.values() for n, kept in one.items()
                 if n != "step"} if device == "gpu" else set()  # fmt: skip
        assert homes <= {0}


def test_resuming_is_never_having_stopped(on_gpu, tmp_path):
    whole = made("gpu")
    whole.fit(runs.points(), 3, progress=False)
    for epochs in (1, 3):
        part = made("gpu")
        keeper = training.Checkpoints(tmp_path)
        part.fit(runs.points(), epochs, callbacks=[keeper], resume=True, progress=False)
    assert runs.repr_of(part.model.state_dict()) == runs.repr_of(whole.model.state_dict())


# ----- optimisers and their parameters -----


def test_the_state_of_an_optimiser_follows_its_parameters(on_gpu):
    """A model moved in the middle of a run trains on as if it had stayed."""
    found = []
    for way in (["cpu"] * 3, ["cpu", "gpu", "cpu"], ["gpu", "cpu", "gpu"]):
        trainer = made("cpu")
        for device, batch in zip(way, runs.points(), strict=False):
            trainer.model.to(device)
            trainer.train_step([batch])
        found.append(end_of(trainer)[:2])
    assert_alike(found[0], found[1])
    assert_alike(found[0], found[2])


@pytest.mark.parametrize(("here", "there"), [("gpu", "cpu"), ("cpu", "gpu")])
def test_an_optimiser_goes_on_from_a_state_dict_of_another_device(on_gpu, here, there):
    first, second = made(here), made(there)
    batches = list(runs.points())
    first.train_step(batches[:1])
    second.load_state_dict(first.state_dict())
    for trainer in (first, second):
        tg.seed(9)
        trainer.train_step(batches[1:2])
    assert_alike(end_of(first)[:2], end_of(second)[:2])


# ----- models in files -----


def test_a_model_of_a_gpu_is_read_on_the_cpu_and_back(on_gpu, tmp_path):
    tg.seed(1)
    model = nn.Sequential(nn.Embedding(7, 4), nn.LSTM(4, 4, 2), nn.Linear(4, 3)).to("gpu")
    path = tmp_path / "model.safetensors"
    training.save_model(path, model)
    read = training.load_model(path)
    assert {p.device for p in read.parameters()} == {"cpu"}
    assert_alike(read.state_dict(), model.state_dict())
    read.to("gpu")
    other = copy.deepcopy(read)
    tg.save(path, read)
    other.load_state_dict(tg.load(path))
    assert {p.device for p in other.parameters()} == {"gpu:0"}
    assert_alike(other.state_dict(), model.state_dict())


def test_a_model_with_a_vocabulary_is_read_where_it_is_wanted(on_gpu, tmp_path):
    tg.seed(1)
    model = models.TextLabels(["a", "b"], 9, 4, 5).to("gpu")
    path = tmp_path / "labels.safetensors"
    model.save(path)
    there = models.load(path)
    texts = [[1, 2, 3], [4]]
    assert there.labels(texts) == model.labels(texts)
    np.testing.assert_allclose(there.probabilities(texts), model.probabilities(texts), rtol=1e-5)


# ----- compile, fit, evaluate, predict -----

X = np.random.default_rng(0).standard_normal((20, 3))
CLASSES = np.random.default_rng(1).integers(0, 4, 20)
NUMBERS = X @ np.array([[1.0], [-1.0], [0.5]])
CASES = {
    "categorical_crossentropy": (4, "softmax", np.eye(4)[CLASSES]),
    "sparse_categorical_crossentropy": (4, "softmax", CLASSES),
    "bce_with_logits": (1, None, CLASSES > 1),
    "huber": (1, None, NUMBERS[:, 0]),
}  # fmt: skip


@pytest.mark.parametrize("loss", CASES)
def test_compiled_models(on_gpu, loss):
    units, activation, y = CASES[loss]
    metrics = ["mse"] if units == 1 and activation is None else ["accuracy"]
    metrics += ["top_k_categorical_accuracy"] if units > 1 else []
    found = []
    for device in ("cpu", "gpu"):
        tg.seed(2)
        model = training.Sequential([nn.Dense(5, 3, "tanh"), nn.BatchNorm(5), nn.Dropout(0.2)])
        model.add(nn.Dense(units, 5, activation))
        model.astype(tg.float64).to(device)
        model.compile(optimizer="adam", loss=loss, metrics=metrics)
        history = model.fit(X, y, 8, 2, verbose=False, validation_split=0.2)
        logs = [{n: v for n, v in one.items() if n != "seconds"} for one in history.epochs]
        scores = [float(score) for score in model.evaluate(X, y)]
        again = float(model.train_on_batch(X[:5], y[:5])[0])
        found.append([logs, scores, again, model.predict(X)])
    assert_alike(*found)


def test_compiled_models_read_ids_and_layers_that_wait_for_their_input(on_gpu):
    ids = np.random.default_rng(3).integers(0, 7, (12, 4))
    found = []
    for device in ("cpu", "gpu"):
        tg.seed(2)
        model = training.Sequential([nn.Embedding(7, 3), nn.Flatten(), nn.Dense(4)])
        next(model.children()).astype(tg.float64).to(device)
        model.compile(optimizer="sgd", loss="cross_entropy", metrics=["accuracy"])
        model.fit(ids, CLASSES[:12], 4, verbose=False)
        assert {p.device for p in model.parameters()} == {tg.zeros(1, device=device).device}
        found.append([model.predict(ids), list(model.evaluate(ids, CLASSES[:12]))])
    assert_alike(*found)


def test_arrays_of_a_gpu_are_read_too(on_gpu):
    model = training.Sequential([nn.Dense(4, 3)]).to("gpu")
    model.compile(optimizer="sgd", loss="cross_entropy", metrics=["accuracy"])
    x = tg.tensor(X.astype(np.float32), device="gpu")
    model.fit(x, tg.tensor(CLASSES, device="gpu"), 8, verbose=False)
    np.testing.assert_allclose(model.predict(x), model.predict(X), rtol=1e-5, atol=1e-6)


def test_what_is_not_finite_is_found_where_it_is(on_gpu):
    trainer = made("gpu", log_every=1)
    x, y = next(iter(runs.points()))
    x[2, 1] = np.nan
    with pytest.raises(tg.errors.NotFiniteError, match="the batch holds 1 NaN"):
        trainer.train_step([(x, y)])
