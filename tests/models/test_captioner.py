"""Captioners: step by step is the training pass, padding is not there, what is said is found."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.captioners import CAPTIONS, KINDS, OF, PLACES, D, V, every_kind, images, model_of
from tests.models.slopes import check_slope
from tinygrad_rnn import data, decoding, errors, models, nn, optim, text, training

pytestmark = pytest.mark.usefixtures("reference")

WORDS = text.Words.of("a small red circle and a large blue one")


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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hard"])
def test_the_gradient_is_that_of_the_loss(kind):
    model = model_of(kind)

    def loss():
        tg.seed(5)  # the same draws each time
        return model.loss(images(), CAPTIONS, OF, label_smoothing=0.1)[0]

    check_slope(model, loss, step=1e-5)


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


@pytest.mark.parametrize("image", models.captioner.IMAGES)
def test_each_layer_may_have_a_width_of_its_own(image):
    model = models.Captioner(
        V, None, 4, [6, 3], features=(D, *PLACES), image=image, hidden_dropout=0.1
    )
    shown = np.random.default_rng(1).standard_normal((3, D, *PLACES)).astype(np.float32)
    layers = model.decoder.layers
    assert (layers.output_size, layers.dropout) == (3, 0.1)
    assert np.isfinite(model.loss(shown, CAPTIONS, OF)[0].item())
    assert len(model.captioned(shown, max_length=2)) == 3


# ----- what cannot be -----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: model_of("spatial", cell=nn.ProjectedLSTM),
            "image='spatial' with layers that give out 1 numbers, expected 6, as hidden_size says",
        ),
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
