"""Captioners: step by step is the training pass, by hand is the same, padding is not there."""

from itertools import pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import data, decoding, errors, models, nn, optim, text, training

pytestmark = pytest.mark.usefixtures("reference")

V, D, PLACES = 7, 5, (2, 3)
KINDS = {
    "first": {"cell": "RNN"},
    "every": {"cell": "RNN"},
    "input": {"cell": "GRU"},
    "state": {"num_layers": 2},
    "spatial": {},
    "spatial, one layer": {"mlp_size": 0},
    "soft": {},
    "hard": {"gate": False, "cell": "GRU"},
    "soft, two layers": {"num_layers": 2, "attention_size": 3},
    "soft, asked by a word, too": {"word_asks": True},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
CAPTIONS = [[1, 2, 3], [], [4], [6, 6, 5, 0]]
OF = [0, 1, 1, 2]
WORDS = text.Words.of("a small red circle and a large blue one")


def images(count=3, dtype=np.float64):
    return np.random.default_rng(1).standard_normal((count, 2, 2, 3)).astype(dtype)


def model_of(kind="soft", vocabulary=V, **options):
    tg.seed(0)
    encoder = nn.Conv2d(2, D, 1)
    given = {"image": kind.split(",")[0], **KINDS[kind], **options}
    model = models.Captioner(vocabulary, encoder, 4, 6, features=(D, *PLACES), **given)
    return model.astype(tg.float64)


# ----- the same by every way -----


@every_kind
def test_step_by_step_is_the_training_pass(kind):
    model = model_of(kind)
    expected = model.log_likelihoods(images(), CAPTIONS, OF)
    looks = kind.startswith(("soft", "hard"))
    looked = model.attention(images(), CAPTIONS, OF) if looks else None
    state = decoding.take(model.start(model.encode(images())), OF, 3)
    tokens = np.full(4, model.end)
    for t in range(5):
        log_probs, state, *more = model.step(tokens, state)
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1)
        tokens = np.array([row[t] if t < len(row) else model.end for row in CAPTIONS])
        for row, token in enumerate(tokens):
            if t <= len(CAPTIONS[row]):
                assert log_probs[row, token] == pytest.approx(expected[row][t], rel=1e-11)
                if looked:
                    own = looked[row][t]
                    np.testing.assert_allclose(more[0]["attention"][row], own.ravel(), rtol=1e-11)
                    assert own.shape == PLACES
    loss, values = model.eval().loss(images(), CAPTIONS, OF)
    assert loss.item() == pytest.approx(-np.concatenate(expected).mean(), rel=1e-12)
    assert values["nats"].item() == loss.item()


def slope_is_that_of(model, **how):
    """The loss along a line, by its gradient and by its values; the same draws each time."""
    parameters, rng = list(model.parameters()), np.random.default_rng(0)

    def loss():
        tg.seed(5)
        return model.loss(images(), CAPTIONS, OF, **how)[0]

    loss().backward()
    assert all(parameter.grad is not None for parameter in parameters)
    before = [np.array(parameter.numpy()) for parameter in parameters]
    along = [rng.standard_normal(parameter.shape) for parameter in parameters]
    slope = sum((p.grad.numpy() * d).sum() for p, d in zip(parameters, along, strict=True))
    sides = []
    for step in (1e-5, -1e-5):
        for parameter, value, d in zip(parameters, before, along, strict=True):
            parameter.assign_(value + step * d)
        sides.append(loss().item())
    assert (sides[0] - sides[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hard"])
def test_the_gradient_is_that_of_the_loss(kind):
    slope_is_that_of(model_of(kind), label_smoothing=0.1)


@every_kind
def test_padding_and_neighbours_change_no_bit(kind):
    model = model_of(kind)
    together = model.log_likelihoods(images(), [*CAPTIONS, [1] * 9], [*OF, 2])
    for row, (caption, number) in enumerate(zip(CAPTIONS, OF, strict=True)):
        (alone,) = model.log_likelihoods(images()[number : number + 1], [caption])
        np.testing.assert_array_equal(alone, together[row])
    loss, _ = model.eval().loss(images(), data.pad(CAPTIONS, 3, batch_first=True), OF)
    each, values = model.loss(images(), CAPTIONS, OF, reduction="none")
    assert loss.item() == pytest.approx(each.numpy().sum() / 12, rel=1e-12)
    assert values == {}


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


def test_entropy_keeps_hard_attention_curious():
    model = model_of("hard", entropy=0.5, reinforce=0.0)
    loss, values = model.loss(images(), CAPTIONS, OF)
    expected = values["nats"].item() - 0.5 * values["entropy"].item()
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert 0 < values["entropy"].item() <= np.log(6)


# ----- saying -----


@every_kind
def test_what_a_search_finds_is_what_the_model_says_of_it(kind):
    model = model_of(kind)
    state = model.start(model.encode(images()))
    found = decoding.beam_search(
        model.scored, state, bos=model.end, eos=model.end, beam=3, n_best=2, max_length=4
    )
    assert all(found)
    for number, hypotheses in enumerate(found):
        for one in hypotheses:
            tokens = one.tokens[one.tokens < model.end]
            (said,) = model.log_likelihoods(images()[number : number + 1], [tokens])
            assert one.log_prob == pytest.approx(said[: len(one.tokens)].sum(), rel=1e-9)
    alone = [model.captioned(images()[n : n + 1], beam=3, max_length=4)[0] for n in range(3)]
    for batch_size in (2, 3):
        beside = model.captioned(images(), beam=3, max_length=4, batch_size=batch_size)
        assert [list(one) for one in beside] == [list(one) for one in alone]


@pytest.mark.parametrize("image", ["soft", "hard"])
def test_it_learns_what_is_where_and_comes_back_from_its_folder(image, tmp_path):
    pictures = np.zeros((4, 2, 2, 3), np.uint8)
    pictures[0, 0], pictures[1, 0, 0], pictures[2, 1], pictures[3, 1, 0] = 255, 255, 255, 255
    told = [
        [f"a {size} {colour} circle", f"a {size} {colour} one"]
        for colour in ("red", "blue")
        for size in ("large", "small")
    ]
    tg.seed(1)
    encoder = nn.Sequential(nn.Conv2d(2, 8, 1), nn.ReLU())
    model = models.Captioner(
        WORDS, encoder, 8, 16, features=(8, 2, 3), image=image, doubly_stochastic=0.1
    )
    batches = model.batches(pictures, told, 4, shuffle=True)
    trainer = training.Trainer(
        model, optim.Adam(model.parameters(), lr=0.03), lambda model, batch: model.loss(*batch)
    )
    trainer.fit(batches, 40, progress=False)
    for said, texts in zip(model.caption(pictures, beam=2), told, strict=True):
        assert said in texts
    assert model.caption(pictures[:1], prefix="a large red one") == ["a large red one"]
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert again.made_with().keys() == model.made_with().keys()
    assert again.caption(list(pictures)) == model.caption(pictures)


def test_features_that_are_given_need_no_encoder():
    tg.seed(0)
    places = np.random.default_rng(0).standard_normal((2, D, *PLACES)).astype(np.float32)
    for image in models.captioner.IMAGES:
        model = models.Captioner(V, None, 4, 6, features=(D, *PLACES), image=image)
        assert len(model.captioned(places, max_length=3)) == 2
    model = models.Captioner(V, None, 4, 6, features=D, image="state")
    vectors = [row.mean(axis=(1, 2)) for row in places]
    assert len(model.captioned(vectors, max_length=3, beam=2)) == 2


def test_dropout_is_for_training():
    model = model_of("soft", dropout=0.5, output_dropout=0.5, hidden_dropout=0.2, num_layers=2,
                     recurrent_dropout=0.3)  # fmt: skip
    one, other = (model.loss(images(), CAPTIONS, OF)[0].item() for _ in range(2))
    assert one != other
    one, other = (model.log_likelihoods(images(), CAPTIONS, OF) for _ in range(2))
    np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))
    assert model.training


# ----- what cannot be -----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model_of(image="all"), "Captioner: image is 'all', expected one of"),
        (
            lambda: models.Captioner(V, None, 4, 6, features=D, image="soft"),
            r"Captioner: image='soft' with features 5, expected those of places: \(D, h, w\).",
        ),
        (
            lambda: models.Captioner(V, None, 4, 6, features=(D, 2)),
            r"Captioner: features is \(5, 2\), expected D, or \(D, h, w\) of places.",
        ),
        (lambda: model_of().loss(images(), CAPTIONS), "3 images and 4 captions, expected as many"),
        (
            lambda: model_of().loss(images(), CAPTIONS, [0, 1, 2]),
            r"of holds int64 of shape \(3,\), expected \(4,\): the number of an image",
        ),
        (
            lambda: model_of().loss(images(), CAPTIONS, [0, 1, 2, 3]),
            "Captioner: of goes from 0 to 3, expected 0 to 2.",
        ),
        (
            lambda: model_of().loss(images(), [[1], [V], [2]]),
            r"captions\[1\]\[0\] is 7, expected 0 to 6",
        ),
        (
            lambda: model_of().loss(images()[..., :2], [[1]] * 3),
            r"the encoder's outputs have shape \(3, 5, 2, 2\), expected \(B, 5, 2, 3\), as feat",
        ),
        (
            lambda: model_of().captioned([images()[0], images()[0, :, :1]]),
            r"images\[1\] has shape \(2, 1, 3\), images\[0\] \(2, 2, 3\); expected one size",
        ),
        (
            lambda: model_of().captioned([images()[0], images()[1].astype(np.uint8)]),
            r"Captioner: images\[1\] holds uint8, images\[0\] float64; expected one type for all",
        ),
        (
            lambda: model_of().captioned("photo.jpg"),
            "Captioner.caption: images is 'photo.jpg', expected arrays, .*read_image makes one",
        ),
        (lambda: model_of().captioned(None), "Captioner.caption: images is None, expected arrays"),
        (lambda: model_of().loss(images(), []), "Captioner: captions is empty, expected one or mo"),
        (
            lambda: model_of().captioned(images() * np.nan),
            "greedy: step gave NaN in row 0, for token 0",
        ),
        (
            lambda: model_of(attention_size=0),
            "AdditiveScore: hidden_size is 0, expected a whole number from 1 up",
        ),
        (lambda: model_of().encode([]), "Captioner: there are no images, expected one or more"),
        (lambda: model_of().caption(images()), "Captioner.caption: a text needs a vocabulary"),
        (
            lambda: model_of("first").attention(images(), [[1]] * 3),
            "attention: image is 'first', e",
        ),
        (
            lambda: model_of("soft", WORDS).batches(images(), [["a"]], 2),
            "Captioner.batches: 3 images and captions of 1, expected a list of captions for each",
        ),
        (
            lambda: model_of("soft", WORDS).batches(images(), [["a"], ["a", " "], ["a"]], 2),
            r"Captioner.batches: captions\[1\] is \['a', ' '\], expected a list of texts, at l",
        ),
        (
            lambda: model_of("soft", WORDS).batches(images(), [["a"], [], ["a"]], 2),
            r"Captioner.batches: captions\[1\] is \[\], expected a list of texts",
        ),
        (
            lambda: model_of("soft", WORDS).batches(images(), [["a"], [None], ["a"]], 2),
            r"Captioner.batches: captions\[1\] is \[None\], expected a list of texts",
        ),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(errors.TinygradError, match=message):
        make()
