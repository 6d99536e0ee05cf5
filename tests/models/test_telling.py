"""How layers are told of an image: as their equations say, and by hard attention on average."""

from itertools import pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.captioners import CAPTIONS, OF, D, V, images, model_of
from tinygrad_rnn import models, nn

pytestmark = pytest.mark.usefixtures("reference")


# ----- beside decoders written by hand -----


class ByHand:
    """One image and one caption at a time."""

    def __init__(self, model):
        self.w = {name: parameter.numpy() for name, parameter in model.named_parameters()}
        self.kind, self.word_asks = model.image, getattr(model.decoder, "word", 0) > 0

    def product(self, name, x):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def scores(self, x):
        found = self.product("out", x)
        return found - np.log(np.exp(found).sum())

    def places(self, image):
        w, b = self.w["encoder.weight"][:, :, 0, 0], self.w["encoder.bias"]
        return np.stack([w @ image[:, i, j] + b for i in range(2) for j in range(3)])

    def said(self, image, caption):
        z, found = self.places(image), []
        word = [self.w["embedding.weight"][token] for token in [V, *caption]]
        after = [*caption, V]
        for t, features in enumerate(getattr(self, self.kind)(z, word)):
            found.append(self.scores(features)[after[t]])
        return found

    def rnn(self, x, h):
        cell = "decoder.layers.layers.0.forward"
        return np.tanh(x @ self.w[f"{cell}.w_x"] + h @ self.w[f"{cell}.w_h"] + self.w[f"{cell}.b"])

    def first(self, z, words):
        """W_xh e + W_hh h + W_ih v, v at the first step alone."""
        w, h, found = self.w["decoder.layers.layers.0.forward.w_x"], np.zeros(6), []
        assert w.shape == (4 + D, 6)
        for t, e in enumerate(words):
            h = self.rnn(np.concatenate([e, z.mean(axis=0) * (t == 0)]), h)
            found.append(h)
        return found

    def every(self, z, words):
        h, found = np.zeros(6), []
        for e in words:
            h = self.rnn(np.concatenate([e, z.mean(axis=0)]), h)
            found.append(h)
        return found

    def input(self, z, words):
        h, found = self.rnn(self.product("decoder.read", z.mean(axis=0)), np.zeros(6)), []
        for e in words:
            found.append(h := self.rnn(e, h))
        return found

    def state(self, z, words):
        h, found = np.tanh(self.product("decoder.beginning.product", z.mean(axis=0))), []
        for e in words:
            found.append(h := self.rnn(e, h))
        return found

    def spatial(self, z, words):
        """h_0 = MLP(z), c = h_0, y_t = g(y_{t-1}, h_{t-1}, c)."""
        channels_first = z.ravel()  # place by place, as the encoder's maps are walked through
        inner = channels_first
        if "decoder.beginning.inner.weight" in self.w:
            inner = np.tanh(self.product("decoder.beginning.inner", channels_first))
        h = c = np.tanh(self.product("decoder.beginning.product", inner))
        found = []
        for e in words:
            found.append(h := self.rnn(np.concatenate([e, c]), h))
        return found

    def looking(self, z, words, context):
        """e_t,ij = MLP(h_{t-1}, z_ij), a = softmax(e), a gate, and all three for the scores."""
        score, found = "decoder.attention.score", []
        h = np.tanh(self.product("decoder.beginning.product", z.mean(axis=0)))
        for e in words:
            asks = np.concatenate([h, e]) if self.word_asks else h
            inner = np.tanh(asks @ self.w[f"{score}.w_q"] + z @ self.w[f"{score}.w_k"]
                            + self.w[f"{score}.b"])  # fmt: skip
            scores = inner @ self.w[f"{score}.v"]
            c = context(np.exp(scores) / np.exp(scores).sum())
            c = c / (1 + np.exp(-self.product("decoder.gate", h)))
            h = self.rnn(np.concatenate([e, c]), h)
            found.append(np.concatenate([h, c, e]))
        return found

    def soft(self, z, words):
        return self.looking(z, words, lambda a: a @ z)

    def hard(self, z, words):
        return self.looking(z, words, lambda a: z[a.argmax()])


@pytest.mark.parametrize(
    "kind", [*models.captioner.IMAGES, "spatial, one layer", "soft, asked by a word, too"]
)
def test_captioners_are_those_of_their_equations(kind):
    model = model_of(kind, cell="RNN", gate=True, num_layers=1)
    for parameter in model.parameters():  # biases that are 0 would hide where they belong
        parameter.assign_(parameter.numpy() + 0.3 * tg.randn(*parameter.shape).numpy())
    by_hand = ByHand(model)
    found = model.log_likelihoods(images(), CAPTIONS, OF)
    for number, caption, row in zip(OF, CAPTIONS, found, strict=True):
        np.testing.assert_allclose(row, by_hand.said(images()[number], caption), rtol=1e-10)


@pytest.mark.parametrize(("size", "widths"), [(None, [30, 6, 12]), (3, [30, 3, 12]), (0, [30, 12])])
def test_the_mlp_of_all_places_has_the_layer_that_is_asked_for(size, widths):
    weights = model_of("spatial", mlp_size=size).decoder.beginning.state_dict()
    shapes = [value.shape for name, value in weights.items() if name.endswith("weight")]
    assert sorted(shapes) == sorted(pairwise(widths))


def test_each_state_has_its_own_beginning():
    layers = nn.LSTM(2, 3, 2).astype(tg.float64)
    beginning = models.telling.Beginning(4, layers, 5).astype(tg.float64)
    v = np.random.default_rng(0).standard_normal((2, 4))
    w = {name: parameter.numpy() for name, parameter in beginning.named_parameters()}
    inner = np.tanh(v @ w["inner.weight"] + w["inner.bias"])
    expected = inner @ w["product.weight"] + w["product.bias"]
    h, c = beginning(tg.tensor(v))
    for layer in range(2):
        first = 6 * layer
        np.testing.assert_allclose(h[layer].numpy(), np.tanh(expected[:, first : first + 3]))
        np.testing.assert_allclose(c[layer].numpy(), expected[:, first + 3 : first + 6])


def test_soft_attention_is_asked_to_look_everywhere_as_much():
    model = model_of("soft", doubly_stochastic=0.7)
    loss, values = model.loss(images(), CAPTIONS, OF)
    total = [weights.sum(axis=0) for weights in model.attention(images(), CAPTIONS, OF)]
    uneven = np.square(1 - np.stack(total)).sum() / 12  # of as many words, ends with them
    assert values["uneven"].item() == pytest.approx(uneven, rel=1e-12)
    expected = values["nats"].item() + 0.7 * uneven
    assert loss.item() == pytest.approx(expected, rel=1e-12)


# ----- hard attention -----


def test_hard_attention_draws_places_as_its_weights_say():
    weights = np.array([[0.1, 0.0, 0.6, 0.3]])
    tg.seed(0)
    draw = models.telling._chosen
    found = [draw(weights, np.array([True]))[0] for _ in range(2000)]
    counts = np.bincount(found, minlength=4) / 2000
    np.testing.assert_allclose(counts, weights[0], atol=0.03)
    assert counts[1] == 0
    assert draw(weights, None) == [2]


def test_reinforce_is_right_on_average(monkeypatch):
    """The mean gradient over all draws of places is that of the mean loss over them."""
    model = model_of("hard", entropy=0.0, cell="RNN")
    model.baseline(np.array([-0.7]))  # there is a baseline, which must not matter
    model.baseline.eval()
    seed = next(n for n in range(99) if tg.seed(n) or tg.random.generator().random(1)[0] < 0.5)
    w, pairs = model.decoder.attention.score.w_q, list(np.ndindex(6, 6))

    def drawn(pair):
        """The loss of one caption of a word and its end, and how likely its draws were."""
        places, seen = iter(pair), []
        monkeypatch.setattr(
            models.telling, "_chosen", lambda a, _: [seen.append(a[0]), np.array([next(places)])][1]
        )
        tg.seed(seed)
        loss, values = model.loss(images(1), [[1]])
        return loss, values["nats"], seen[0][pair[0]] * seen[1][pair[1]]

    mean = np.zeros(w.shape)
    for pair in pairs:
        model.zero_grad()
        loss, _, chance = drawn(pair)
        loss.backward()
        mean += chance * w.grad.numpy()
    before, along = np.array(w.numpy()), np.random.default_rng(3).standard_normal(w.shape)
    sides = []
    for step in (1e-5, -1e-5):
        w.assign_(before + step * along)
        sides.append(sum(nats.item() * chance for _, nats, chance in map(drawn, pairs)))
    assert (sides[0] - sides[1]) / 2e-5 == pytest.approx((mean * along).sum(), rel=1e-6)


def test_rewards_are_of_what_comes_and_a_baseline_of_as_many_words():
    model = model_of("hard", entropy=0.0, reinforce=0.5)
    for usual in (-3.0, -1.0):
        model.baseline(np.array([usual]))
    expected = (0.9 * 0.1 * -3.0 + 0.1 * -1.0) / (1 - 0.9**2)
    read, said, lengths = models.speaker.taught("", "", CAPTIONS, V)
    tg.seed(4)
    features, looks = model._taught(images(), OF, read, lengths)
    nats = model._each(features, said, 0.0).numpy()
    assert 0 < looks.drawn.sum() < len(OF)
    total = nats.sum()
    for row in np.flatnonzero(looks.drawn):
        for t in range(lengths[row]):
            to_come = -nats[t : lengths[row], row].sum()
            share = looks.weights.numpy()[row, t, looks.chosen[row, t]]
            total -= 0.5 * (to_come - expected * (lengths[row] - t)) * np.log(share)
    tg.seed(4)
    loss, values = model.loss(images(), CAPTIONS, OF)
    assert loss.item() == pytest.approx(total / 12, rel=1e-12)
    assert values["nats"].item() == pytest.approx(nats.sum() / 12, rel=1e-12)


def test_rows_that_draw_no_place_see_the_mean_of_all():
    hard, soft = model_of("hard", gate=True), model_of("soft", cell="GRU")
    soft.load_state_dict(
        {name: x for name, x in hard.state_dict().items() if not name.startswith("baseline")}
    )
    seed = next(n for n in range(99) if tg.seed(n) or tg.random.generator().random(1)[0] > 0.5)
    tg.seed(seed)
    found = hard.loss(images(1), [[1, 2]])[1]["nats"].item()
    assert found == pytest.approx(soft.loss(images(1), [[1, 2]])[1]["nats"].item(), rel=1e-12)


def test_entropy_keeps_hard_attention_curious():
    model = model_of("hard", entropy=0.5, reinforce=0.0)
    loss, values = model.loss(images(), CAPTIONS, OF)
    expected = values["nats"].item() - 0.5 * values["entropy"].item()
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert 0 < values["entropy"].item() <= np.log(6)
