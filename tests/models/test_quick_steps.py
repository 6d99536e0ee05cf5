"""Steps of a language model by kernels that were made ready say what the whole text says."""

from itertools import pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import models, text

V = 7
OUTPUTS = {
    "own": {},
    "tied": {"tied": True},
    "projected": {"tied": True, "hidden_size": 9},
}


def model_of(output="own", **options):
    tg.seed(0)
    given = {"embedding_dim": 5, "hidden_size": 5, "num_layers": 2} | OUTPUTS[output] | options
    return models.LanguageModel(V, **given)


def by_steps(model, ids):
    state, found = model.start(), []
    for token, following in pairwise(ids):
        log_probs, state = model.step(np.array([token]), state)
        found.append(log_probs[0, following])
    return found


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("output", OUTPUTS)
def test_steps_that_are_made_ready_are_the_text(output, training):
    model, ids = model_of(output, output_dropout=0.5, hidden_dropout=0.5), np.arange(12) * 3 % V
    model.train(training)
    found = by_steps(model, ids)
    assert model._stepper._ready.steps[1, 1]
    assert all(module.training == training for module in model.modules())
    np.testing.assert_allclose(found, model.log_likelihoods(ids), rtol=1e-5)


@pytest.mark.parametrize("part", ["embedding", "layers", "output_dropout", "projection", "out"])
def test_hooks_are_called_at_every_step(part):
    model, calls = model_of("projected"), []
    getattr(model, part).register_forward_hook(lambda *_: calls.append(part))
    by_steps(model, np.arange(6))
    assert len(calls) >= 5  # once more where the layers make the initial state


def test_a_subclass_that_scores_otherwise_is_asked():
    class Even(models.LanguageModel):
        """All tokens are as likely."""

        def scores(self, hidden):
            return 0 * super().scores(hidden)

    found = by_steps(Even(V, 5, 5), np.arange(6))
    np.testing.assert_allclose(found, -np.log(V), rtol=1e-6)


def test_a_text_is_generated_out_of_training():
    seen = []

    class Spy(models.LanguageModel):
        def step(self, tokens, state):
            seen.append(self.training)
            return super().step(tokens, state)

    model = Spy(text.Characters.of("abc"), 5, 5)
    assert len(model.generate(3, "ab", seed=0)) == 3
    assert seen == [False] * 4
    assert model.training
