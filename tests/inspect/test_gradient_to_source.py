"""How strongly words of a translation depend on states of the encoder."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import inspect, models, ops
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.encoder import Memory

SOURCES, TARGETS = [[1, 2, 0, 3], [3, 3, 1, 0]], [[1, 0], [2, 2, 1]]


def model_of(**options):
    tg.seed(1)
    return models.Seq2Seq(4, 3, 3, 4, **options).astype(tg.float64)


@pytest.mark.parametrize("attention", [None, "dot"])
def test_it_is_the_gradient_of_a_network_that_runs_step_by_step(attention):
    model = model_of(cell="RNN", bidirectional=False, bridge="last", attention=attention)
    norms = inspect.gradient_to_source(model, SOURCES, TARGETS)
    read, said, lengths = model._told(TARGETS)
    ids = np.array([[*source, model.source_end] for source in SOURCES])
    states = []
    for x in model.encoder.embedding(ids.T):
        y, _ = model.encoder.layers(x.unsqueeze(0), states[-1] if states else None)
        states.append(y)
    memory = Memory(ops.concat(states), np.full(2, 5), [[states[-1][0]]])
    features, _ = model._taught(memory, read, lengths)
    losses = model._cross_entropy(features, said, reduction="none")
    expected = [
        [np.sqrt((g.numpy() ** 2).sum()) for g in tg.grad(loss.sum(), states, retain_graph=True)]
        for loss in losses
    ]
    np.testing.assert_allclose(norms, expected, rtol=1e-10)
    whole, values = model.loss(SOURCES, TARGETS, reduction="none")
    np.testing.assert_allclose(whole.numpy(), losses.numpy(), rtol=1e-12)
    assert values == {}


def test_attention_is_a_way_that_is_short():
    rng = np.random.default_rng(0)
    sources, targets = rng.integers(4, size=(8, 30)).tolist(), rng.integers(3, size=(8, 2)).tolist()
    options = {"cell": "RNN", "bidirectional": False, "bridge": "last"}
    far = {
        attention: inspect.gradient_to_source(
            model_of(attention=attention, **options), sources, targets
        )[0, 0]
        for attention in (None, "dot")
    }
    assert far["dot"] > 1e3 * far[None]


def test_both_directions_count_and_nothing_is_left_behind():
    model = model_of(dropout=0.5)
    norms = inspect.gradient_to_source(model, SOURCES, TARGETS)
    assert (norms > 0).all()
    np.testing.assert_array_equal(norms, inspect.gradient_to_source(model, SOURCES, TARGETS))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_has_no_encoder():
    with pytest.raises(ArgumentError, match="model is 3, expected one with an encoder"):
        inspect.gradient_to_source(3, SOURCES, TARGETS)
    with pytest.raises(ValueError, match="reduction is 'sum'"):
        model_of().loss(SOURCES, TARGETS, reduction="sum")
