"""Answers to questions about images: by hand, whatever stands beside; what is hidden is hidden."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.slopes import check_slope
from tinygrad_rnn import errors, inspect, models, nn, ops, optim, text

pytestmark = pytest.mark.usefixtures("reference")

D, E, H, J = 3, 4, 5, 6
PLACES = (D, 2, 2)
QUESTIONS = [[1, 2, 3], [4], [3, 3, 0, 5]]
OF = [0, 1, 1]
NAMES = ["yes", "no", "red"]
WORDS = text.Words.of("is the ball red what colour ?")
IMAGES = np.random.default_rng(1).standard_normal((2, *PLACES))


def model_of(vocabulary=7, encoder=None, **options):
    tg.seed(0)
    options = {"features": PLACES, "joint": J, **options}
    return models.Answerer(vocabulary, NAMES, encoder, E, H, **options).astype(tg.float64)


WAYS = {
    "times": {}, "times, GRU": {"cell": "GRU", "num_layers": 1},
    "looking": {"attend": True, "cell": "GRU", "num_layers": 1},
    "two layers look, words ask": {"attend": True, "word_asks": True},
    "question alone": {"image": False}, "image alone": {"question": False},
}  # fmt: skip
every_way = pytest.mark.parametrize("way", WAYS)


def last(model, joint):
    """P of answers by what image and question were made."""
    hidden = np.tanh(joint @ model.hidden.weight.numpy() + model.hidden.bias.numpy())
    scores = hidden @ model.out.weight.numpy() + model.out.bias.numpy()
    e = np.exp(scores - scores.max())
    return e / e.sum()


def steps(cells, words):
    """States of LSTM cells behind the words (T, E) of one question, by their single steps."""
    states = [[tg.tensor(np.zeros((1, H)))] * 2 for _ in cells]
    for word in words:
        below = tg.tensor(word[None])
        for number, cell in enumerate(cells):
            states[number] = cell(below, tuple(states[number]))
            below = states[number][0]
    return states


def test_image_times_question_by_hand():
    model = model_of()
    found = model.probabilities(IMAGES, QUESTIONS, OF)
    joining = model.joining
    for number, question in enumerate(QUESTIONS):
        words = model.embedding(np.array([*question, model.end])).numpy()
        states = steps(joining.layers.cells(), words)
        parts = np.concatenate([part.numpy()[0] for cell in states for part in cell])
        q = np.tanh(parts @ joining.asks.weight.numpy() + joining.asks.bias.numpy())
        z = IMAGES[OF[number]].ravel()
        z = z / np.linalg.norm(z) * np.sqrt(z.size)
        u = np.tanh(z @ joining.sees.weight.numpy() + joining.sees.bias.numpy())
        np.testing.assert_allclose(found[number], last(model, u * q), rtol=1e-9)


def test_looking_before_every_word_by_hand():
    model = model_of(attend=True, num_layers=1)
    found = model.probabilities(IMAGES, QUESTIONS, OF)
    looks = model.attention(IMAGES, QUESTIONS, OF)
    looking, (cell,) = model.joining.looking, model.joining.looking.layers.cells()
    for number, question in enumerate(QUESTIONS):
        places = tg.tensor(IMAGES[OF[number]].reshape(1, D, 4).swapaxes(1, 2))
        state = looking.layers.layout.unpack(looking.beginning(places.mean(1)), (1,))[0]
        for t, token in enumerate([*question, model.end]):
            context, weights = looking.attention(state[0], places)
            np.testing.assert_allclose(looks[number][t].ravel(), weights.numpy()[0], rtol=1e-9)
            word = model.embedding(np.array([token]))
            state = cell(ops.concat([word, context], axis=-1), tuple(state))
        read = ops.concat([state[0], context, word], axis=-1)
        joint = ops.tanh(model.joining.found(read)).numpy()[0]
        np.testing.assert_allclose(found[number], last(model, joint), rtol=1e-9)
        assert looks[number].shape == (len(question) + 1, 2, 2)


@every_way
def test_what_stands_beside_a_question_changes_nothing(way):
    model = model_of(**WAYS[way])
    together = model.probabilities(IMAGES, QUESTIONS, OF)
    for number, question in enumerate(QUESTIONS):
        alone = model.probabilities(IMAGES[OF[number]][None], [question])
        np.testing.assert_allclose(alone[0], together[number], rtol=1e-11)
    pieces = model.probabilities(list(IMAGES), QUESTIONS, OF, batch_size=1)
    np.testing.assert_allclose(pieces, together, rtol=1e-11)
    loss, values = model.loss(IMAGES, QUESTIONS, ["no", "yes", "red"], OF)
    right = together[range(3), [1, 0, 2]]
    assert loss.item() == pytest.approx(-np.log(right).mean(), rel=1e-11)
    assert values["accuracy"] == np.mean(together.argmax(axis=1) == [1, 0, 2])


@every_way
def test_the_loss_has_the_slope_of_its_values(way):
    model = model_of(**WAYS[way])
    batch = IMAGES, QUESTIONS, np.array([1, 0, 2]), OF
    check_slope(model, lambda: model.loss(*batch)[0])


def test_what_is_hidden_makes_no_difference():
    others = np.random.default_rng(2).standard_normal(IMAGES.shape)
    blind, deaf = model_of(image=False), model_of(question=False)
    for model, same in ((blind, (others, QUESTIONS, OF)), (deaf, (IMAGES, [[6], [2], [1]], OF))):
        np.testing.assert_array_equal(
            model.probabilities(IMAGES, QUESTIONS, OF), model.probabilities(*same)
        )
    assert np.ptp(deaf.probabilities(IMAGES, QUESTIONS, OF), axis=0).max() > 1e-6
    np.testing.assert_array_equal(
        blind.probabilities(None, QUESTIONS), blind.probabilities(IMAGES, QUESTIONS, OF)
    )
    assert not model_of(image=False, attend=True).attend


def test_the_likeliest_of_the_choices_is_chosen():
    model = model_of()
    order = [
        [NAMES[k] for k in np.argsort(-row)] for row in model.probabilities(IMAGES, QUESTIONS, OF)
    ]
    assert model.answers(IMAGES, QUESTIONS, OF) == [names[0] for names in order]
    choices = [["a cat", *names[:0:-1]] for names in order]
    assert model.answers(IMAGES, QUESTIONS, OF, choices=choices) == [names[1] for names in order]


def test_an_image_of_nothing_is_one():
    assert np.isfinite(model_of().probabilities(np.zeros((1, *PLACES)), [[1]])).all()


def test_an_encoder_is_the_same_as_its_features():
    encoder = nn.Sequential(nn.Conv2d(3, D, 2))
    pictures = (np.random.default_rng(0).random((2, 3, 3, 3)) * 255).astype(np.uint8)
    for options in ({}, {"attend": True}):
        seen = model_of(encoder=encoder, **options)
        given = model_of(**options)
        given.load_state_dict({k: v for k, v in seen.state_dict().items() if k[:7] != "encoder"})
        features = encoder(tg.tensor(pictures / 255)).numpy()
        np.testing.assert_allclose(
            seen.probabilities(pictures, QUESTIONS, OF),
            given.probabilities(features, QUESTIONS, OF),
            rtol=1e-11,
        )


@pytest.mark.parametrize("way", ["times, GRU", "looking"])
def test_questions_of_several_images_are_learned(way, tmp_path):
    model = model_of(WORDS, **WAYS[way])
    asked = [["is the ball red?", "what colour is the ball?"], ["is the ball red?"]]
    told = [["yes", "red"], ["no"]]
    images = np.stack([np.ones(PLACES), -np.ones(PLACES)])
    (batch,) = model.batches(images, asked, told, 2)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(25):
        loss, values = model.loss(*batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert values["accuracy"] == 1
    assert model.answers(images, [*asked[0], *asked[1]], [0, 0, 1]) == ["yes", "red", "no"]
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert again.names == NAMES
    np.testing.assert_array_equal(
        again.probabilities(IMAGES, asked[0]), model.probabilities(IMAGES, asked[0])
    )


def test_unknown_words_are_read_as_such():
    model = model_of(WORDS)
    np.testing.assert_array_equal(
        model.probabilities(IMAGES, ["is the quux red?"] * 2),
        model.probabilities(IMAGES, ["is the <unk> red?"] * 2),
    )


def test_where_it_looks_is_drawn():
    model = model_of(WORDS, attend=True)
    found = inspect.gaze(model, IMAGES[0], "is the ball red?", np.zeros((4, 4, 3), np.uint8), True)
    (said,) = model.answers(IMAGES[:1], ["is the ball red?"])
    assert found.words == ["is", "the", "ball", "red", "?", f"→ {said}"]
    (weights,) = model.attention(IMAGES[:1], ["is the ball red?"])
    np.testing.assert_array_equal(found.weights, weights)


def test_answers_may_be_told_by_number():
    model = model_of()
    by_name = model.loss(IMAGES, QUESTIONS[:2], ["no", "red"])[0].item()
    for numbers in ([1, 2], np.array([1, 2], np.uint8)):
        assert model.loss(IMAGES, QUESTIONS[:2], numbers)[0].item() == by_name


def test_where_nothing_is_asked_nothing_is_answered():
    assert model_of().answers([], []) == []
    assert model_of().probabilities([], []).shape == (0, len(NAMES))
    with pytest.raises(errors.ArgumentError, match="questions is 'what', expected a list"):
        model_of(image=False).answers(None, "what")


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (
            lambda: model_of(image=False, question=False),
            errors.ArgumentError, "neither image nor question",
        ),
        (
            lambda: model_of(attend=True, features=4),
            errors.ShapeError, "attend=True with features 4, expected those of places",
        ),
        (lambda: model_of().attention(IMAGES, QUESTIONS, OF), errors.ArgumentError, "attend=True"),
        (
            lambda: models.Answerer(7, ["yes"], None, E, H, features=D),
            errors.ArgumentError, r"Answerer: answers is \['yes'\], expected two names or more",
        ),
        (
            lambda: model_of().loss(IMAGES, QUESTIONS, ["yes", "blue", "no"], OF),
            errors.IndexRangeError, r"answers\[1\] is 'blue', expected one of \['yes', 'no', 'red'",
        ),
        (
            lambda: model_of().loss(IMAGES, QUESTIONS, ["yes"], OF),
            errors.ArgumentError, "3 questions and 1 answers, expected as many",
        ),
        (
            lambda: model_of().loss(IMAGES, QUESTIONS, NAMES),
            errors.ArgumentError, "Answerer: 2 images and 3 questions, expected as many, or of=",
        ),
        (
            lambda: model_of(WORDS).answers(IMAGES, ["is it?", "  "]),
            errors.ArgumentError, r"questions\[1\] is '  ', expected one word or more",
        ),
        (
            lambda: model_of().answers(IMAGES, ["is it?", "no?"]),
            errors.ArgumentError, r"questions\[0\] is 'is it\?', and this model was made with",
        ),
        (
            lambda: model_of().answers(IMAGES[:, :2], QUESTIONS, OF),
            errors.ShapeError, r"images have shape \(2, 2, 2, 2\), expected \(B, 3, 2, 2\)",
        ),
        (
            lambda: model_of().answers([IMAGES[0], None], [[1], [2]]),
            errors.ArgumentError, r"Answerer: images\[1\] is None, expected an image",
        ),
        *(
            (
                lambda number=number: model_of().loss(IMAGES, QUESTIONS[:2], [0, number]),
                errors.IndexRangeError, rf"answers\[1\] is {number}, expected 0 to {last}, or",
            )
            for last in [len(NAMES) - 1] for number in (-100, -1, len(NAMES))
        ),
        (
            lambda: model_of().loss(IMAGES, QUESTIONS[:2], [[0], [1]]),
            errors.ShapeError, r"Answerer.loss: answers has shape \(2, 1\), expected one for each",
        ),
        *(
            (
                lambda use=use: use(model_of(), None, [[1], [2]]),
                errors.ArgumentError, "Answerer: images is None, expected images, or features",
            )
            for use in (models.Answerer.answers, models.Answerer.__call__)
        ),
        *(
            (
                lambda use=use: use(model_of(), IMAGES, None),
                errors.ArgumentError, "questions is None, expected a list of questions",
            )
            for use in (models.Answerer.answers, models.Answerer.__call__)
        ),
        (
            lambda: model_of().answers(IMAGES, [[1], None]),
            errors.ArgumentError, r"questions\[1\] is None, expected a text, or tokens",
        ),
        (
            lambda: model_of().answers(IMAGES, [[1], [2]], choices=[["no"], ["cat", "dog"]]),
            errors.ArgumentError, r"choices\[1\] is \['cat', 'dog'\], expected names, at least one",
        ),
        (
            lambda: model_of().answers(IMAGES, [[1], [2]], choices=[["no"]]),
            errors.ArgumentError, "2 questions and choices for 1",
        ),
        (
            lambda: model_of().batches(IMAGES, [[[1]], [[2]]], [["no"], ["no", "yes"]], 2),
            errors.ArgumentError, r"questions\[1\] is \[\[2\]\] and answers\[1\] \['no', 'yes'\]",
        ),
        (
            lambda: model_of().batches(IMAGES, [[[1]]], [["no"]], 2),
            errors.ArgumentError, "2 images, questions about 1 and answers of 1",
        ),
        (
            lambda: inspect.gaze(model_of(WORDS, attend=True), IMAGES[0]),
            errors.ArgumentError, "gaze: there is no question",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(make, error, told):
    with pytest.raises(error, match=told):
        make()
