"""The fixed window: the equations of the lecture, and one text in pieces, by steps or whole."""

from itertools import pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import data, errors, models, nn, ops, optim, text, training
from tinygrad_rnn.testing import assert_module_gradients

pytestmark = pytest.mark.usefixtures("reference")

V = 6


def model_of(**options):
    tg.seed(0)
    return models.FixedWindow(V, **{"embedding_dim": 3, "hidden_size": 5} | options).astype(
        tg.float64
    )


def tokens(*shape):
    return np.random.default_rng(1).integers(0, V, shape)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_is_the_equations_of_the_lecture(activation):
    model, ids = model_of(activation=activation), tokens(9)
    E, W, b1, U, b2 = (
        weight.numpy()
        for weight in (
            model.embedding.weight, model.hidden.weight, model.hidden.bias, model.out.weight,
            model.out.bias,
        )
    )  # fmt: skip
    f = np.tanh if activation == "tanh" else lambda z: np.maximum(z, 0)
    for t in range(3, 8):
        e = np.concatenate([E[ids[t - 3]], E[ids[t - 2]], E[ids[t - 1]], E[ids[t]]])
        z = f(e @ W + b1) @ U + b2
        y = np.exp(z) / np.exp(z).sum()
        log_probs, _ = model.step(ids[t : t + 1], model.advance(ids[:t]))
        np.testing.assert_allclose(np.exp(log_probs[0]), y, rtol=1e-12)
        np.testing.assert_allclose(model.log_likelihoods(ids)[t], np.log(y[ids[t + 1]]))


def test_before_a_text_the_vectors_are_nothing():
    model, ids = model_of(), tokens(1)
    e = np.concatenate([np.zeros(9), model.embedding.weight.numpy()[ids[0]]])
    expected = np.tanh(e @ model.hidden.weight.numpy() + model.hidden.bias.numpy())
    np.testing.assert_allclose(model(ids[None])[0].numpy()[0, 0], expected, rtol=1e-12)


class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model_of(window=2)

    def forward(self, ids):
        return self.model.loss(ids[:-1], ids[1:])[0]


def test_gradients():
    assert_module_gradients(Loss(), tokens(4, 2))


@pytest.mark.parametrize("window", [1, 2, 4])
def test_a_text_step_by_step_is_the_text_at_once(window, monkeypatch):
    monkeypatch.setattr("tinygrad_rnn.models.fixed_window._STEPS", 7)
    model, ids = model_of(window=window), tokens(20)
    state, found = model.start(), []
    for now, after in pairwise(ids):
        log_probs, state = model.step([now], state)
        assert np.exp(log_probs).sum() == pytest.approx(1)
        found.append(log_probs[0, after])
    np.testing.assert_allclose(model.log_likelihoods(ids), found, rtol=1e-12)
    for read in (0, 1, 5):
        rest = model.log_likelihoods(ids[read:], model.advance(ids[:read]))
        np.testing.assert_allclose(rest, found[read:], rtol=1e-12)


def test_a_stream_in_chunks_is_the_stream_at_once():
    model, ids = model_of(), tokens(12, 3)
    whole, state = model(ids)
    first, carried = model(ids[:2])
    second, carried = model(ids[2:], carried)
    np.testing.assert_allclose(ops.concat([first, second]).numpy(), whole.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(carried, state)
    np.testing.assert_array_equal(state, ids[-3:].T)


def test_it_learns_what_a_window_can_tell_and_no_more():
    """After "ab" comes what stood two before them: a window of 3 sees it, one of 2 does not."""
    rng, letters = np.random.default_rng(0), text.Characters.of("abxy")
    written = "".join(f"{c}ab{c}" for c in rng.choice(["x", "y"], 400))
    left = {}
    for window in (2, 3):
        tg.seed(0)
        model = models.FixedWindow(letters, window, 4, 16)
        trainer = training.Trainer(
            model, optim.Adam(model.parameters(), lr=0.02), training_loss, carry_state=True
        )
        trainer.fit(data.Streams(letters.encode(written), 8, 25), epochs=6)
        left[window] = np.exp(model.log_likelihoods(written))[2::4].mean()  # of what follows "ab"
    assert left[3] > 0.95
    assert left[2] < 0.6


def training_loss(model, chunk, state):
    return model.loss(chunk.x, chunk.y, state)


def test_it_is_saved_and_loaded(tmp_path):
    model = models.FixedWindow(text.Characters.of("abc"), 3, 2, 4, activation="relu")
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert again.vocabulary == model.vocabulary
    np.testing.assert_array_equal(again.log_likelihoods("abcab"), model.log_likelihoods("abcab"))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (lambda: models.FixedWindow("abc"), "vocabulary is 'abc', expected a text.Vocabulary"),
        (lambda: models.FixedWindow(3, 0), "window is 0, expected a whole number from 1 up"),
        (lambda: models.FixedWindow(3, activation="tan"), "activation is 'tan', expected tanh"),
        (lambda: model_of()(tokens(3)), r"ids have shape \(3,\), expected \(T, B\)"),
        (lambda: model_of().step([V], model_of().start()), r"ids\[0\] is 6, expected 0 to 5"),
        (lambda: model_of().loss([[V], [0]], [[1], [2]]), "ids go from 0 to 6, expected 0 to 5"),
        (lambda: model_of()(tokens(3, 2), model_of().start(3)), r"a state of shape \(3, 3\)"),
        (lambda: model_of().score([1]), "has 1 tokens, expected 2 at least"),
    ],
)
def test_what_is_wrong(wrong, problem):
    with pytest.raises((ValueError, errors.IndexRangeError), match=problem):
        wrong()
