"""Every model on a GPU: losses, gradients and whatever it is used for are those of the CPU."""

import copy

import pytest

import tinygrad_rnn as tg
from tests.devices import assert_alike, assert_same, leaves
from tests.models.model_list import ROWS, TOKENS, WRAPPERS
from tinygrad_rnn import data, models

pytestmark = pytest.mark.usefixtures("reference")

# Counts of tokens, which have no weights; a base; what is given out.
NO_NETWORKS = {models.NGram, models.TextModel, models.Score, models.Translation}


def test_the_list_has_every_model():
    every = {kind for kind in vars(models).values() if isinstance(kind, type)} - NO_NETWORKS
    made = {type(module) for row in ROWS.values() for module in row.make().modules()}
    assert {kind.__name__ for kind in every - made} == set(WRAPPERS)


@pytest.mark.parametrize("name", ROWS)
def test_every_loss_and_its_gradients(on_gpu, name):
    row = ROWS[name]
    assert_same(row.make(), (), lambda model: row.loss(model))


# What has to see numbers on the way: where it looks is drawn, or where its joints are known.
LOOKING = {"Captioner, hard", "PoseFeatures"}


@pytest.mark.parametrize("name", ROWS)
def test_on_a_gpu_that_is_not_the_current_one_and_without_waiting(standin, name):
    """With ids, lengths and targets from the host a step in training waits for nothing."""
    row = ROWS[name]
    model = row.make().to("gpu:1")
    tg.seed(7)
    loss = next(leaves(row.loss(model)))
    loss.backward()
    assert bool(standin.waits) == (name in LOOKING)
    assert {p.grad.device for p in model.parameters() if p.grad is not None} == {"gpu:1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "use"), [(name, use) for name, row in ROWS.items() for use in row.uses]
)
def test_every_use(on_gpu, name, use):
    row = ROWS[name]
    model = row.make()
    there = copy.deepcopy(model).to("gpu")
    found = []
    for one in (model, there):
        tg.seed(5)
        found.append(row.uses[use](one))
    assert_alike(*found)


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_wraps_a_language_model(on_gpu, name):
    model, ids = ROWS["LanguageModel"].make(), TOKENS.reshape(-1)
    found = []
    for device in ("cpu", "gpu"):
        wrapped = WRAPPERS[name](copy.deepcopy(model).to(device))
        found.append([wrapped.log_likelihoods(ids), wrapped.step(ids[:1], wrapped.start())[0]])
    assert_alike(*found)


def test_mean_squares(on_gpu):
    model, chunks = ROWS["LanguageModel"].make(), data.Streams(TOKENS.reshape(-1), 2, 3)
    found = [models.mean_squares(copy.deepcopy(model).to(d), chunks) for d in ("cpu", "gpu")]
    assert_alike(*found)
