"""A language model's step without Tensors in between: only where its parts are what they seem."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import models, nn, ops

V, E, H = 20, 8, 16


class Louder(nn.Embedding):
    def forward(self, ids):
        return super().forward(ids) * 3.0


class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(np.eye(V, E, dtype=np.float32))

    def forward(self, ids):
        return ops.embedding(self.weight, ids)


class Shifted(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1.5 * tg.arange(V, dtype=tg.float32)


class Tripled(nn.LSTM):
    def forward(self, x=None, state=None, **how):
        y, state = super().forward(x, state, **how)
        return y * 3.0, state


class Bent(models.LanguageModel):
    def _read_out(self, hidden):
        return hidden.relu()


def padded(model):
    model.embedding = nn.Embedding(V, E, padding_id=3)
    model.embedding.weight.assign_(np.ones((V, E), np.float32))


CHANGES = {
    "nothing": lambda model: None,
    "vectors": lambda model: setattr(model, "embedding", Louder(V, E)),
    "other vectors": lambda model: setattr(model, "embedding", Other()),
    "padding": padded,
    "scores": lambda model: setattr(model, "out", Shifted(H, V)),
    "dropout of inputs": lambda model: setattr(model, "input_dropout", nn.LayerNorm(E)),
    "dropout of outputs": lambda model: setattr(model, "output_dropout", nn.LayerNorm(H)),
    "layers": lambda model: setattr(model, "layers", Tripled(E, H)),
}


def check(model):
    """Steps, of which all but the first may go the quick way, give what the model gives."""
    tokens = np.array([1, 3, 3, 4, 5, 6])
    with tg.no_grad():
        want = model.scores(model(tokens[:, None])[0]).log_softmax().numpy()[:, 0]
    state = model.start()
    for token, expected in zip(tokens, want, strict=True):
        found, state = model.step(np.array([token]), state)
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


@pytest.mark.parametrize("change", CHANGES)
def test_a_step_does_what_the_parts_do(change):
    tg.seed(0)
    model = models.LanguageModel(V, E, H)
    CHANGES[change](model)
    check(model.eval())


def test_a_step_reads_out_as_a_subclass_does():
    tg.seed(0)
    check(Bent(V, E, H).eval())
