"""Dialogues about an image: what was said before, by hand; what is hidden; its own answers."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import errors, models, ops, optim, text

pytestmark = pytest.mark.usefixtures("reference")

D, E, H = 3, 4, 5
PLACES = (D, 2, 2)
NAMES = ["red", "blue", "quite small"]
IMAGES = np.random.default_rng(1).standard_normal((2, *PLACES))
CAPTIONS = ["there is a ball", "there is a box"]
TALKS = [
    [
        ("what colour is it?", "red"),
        ("is it small?", "quite small"),
        ("what colour is the box?", "blue"),
    ],
    [("what colour is it?", "blue")],
]
WORDS = text.Words.of(" ".join([*CAPTIONS, *(f"{q} {a}" for own in TALKS for q, a in own)]))


def model_of(vocabulary=WORDS, **options):
    tg.seed(0)
    options = {"features": PLACES, "num_layers": 1, **options}
    return models.Dialogue(vocabulary, NAMES, None, E, H, **options).astype(tg.float64)


WAYS = {
    "looking": {"attend": True}, "times": {"cell": "GRU"}, "no history": {"history": False},
    "no image": {"image": False}, "no question": {"question": False},
    "around a layer": {"attend": True, "num_layers": 2, "connect": "residual"},
}  # fmt: skip
every_way = pytest.mark.parametrize("way", WAYS)


def test_a_dialogue_is_one_text_that_is_read_on_after_each_answer():
    model = model_of(num_layers=2)
    scores = model(IMAGES, [CAPTIONS[0], None], TALKS).numpy()
    row = 0
    for image, caption, rounds in zip(IMAGES, [CAPTIONS[0], None], TALKS, strict=True):
        z = tg.tensor((image.ravel() / np.sqrt(np.mean(image**2)))[None])
        text = [*WORDS.encode(caption), model.end] if caption else []
        for question, answer in rounds:
            text += [*WORDS.encode(question), model.end]
            layers = model.joining.layers
            _, state = layers(model.embedding(np.array(text)).unsqueeze(1))
            parts = [part for cell in layers.layout.unpack(state, (1,)) for part in cell]
            q = ops.tanh(model.joining.asks(ops.concat(parts, axis=-1)))
            joint = q * ops.tanh(model.joining.sees(z))
            expected = model.out(ops.tanh(model.hidden(joint))).numpy()[0]
            np.testing.assert_allclose(scores[row], expected, rtol=1e-9)
            text += list(WORDS.encode(answer))
            row += 1
    assert row == len(scores) == 4


@pytest.mark.parametrize("more", [{}, {"num_layers": 2, "connect": "residual"}])
def test_it_looks_on_from_where_it_looked_in_the_round_before(more):
    model = model_of(attend=True, word_asks=True, **more)
    scores = model(IMAGES, CAPTIONS, TALKS).numpy()
    (q0, a0), (q1, _), _ = TALKS[0]
    text = [*WORDS.encode(CAPTIONS[0]), model.end, *WORDS.encode(q0), model.end]
    text += [*WORDS.encode(a0), *WORDS.encode(q1), model.end]
    looking = model.joining.looking
    words = model.embedding(np.array(text)).unsqueeze(1)
    places = tg.tensor(IMAGES[:1].reshape(1, D, 4)).swapaxes(1, 2)
    features, _, _ = looking(words, looking.start(places))
    joint = ops.tanh(model.joining.found(features[-1]))
    expected = model.out(ops.tanh(model.hidden(joint))).numpy()[0]
    np.testing.assert_allclose(scores[1], expected, rtol=1e-9)


@pytest.mark.parametrize("way", ["looking", "times", "around a layer"])
def test_a_shorter_text_beside_a_longer_one_is_read_on_from_its_own_end(way):
    model = model_of(**WAYS[way])
    short = [("is it small?", "red"), ("is it small?", "red")]
    long = [("what colour is the box?", "quite small"), ("what colour is the ball?", "blue")]
    together = model(IMAGES, ["a ball", "there is a box"], [short, long]).numpy()
    np.testing.assert_allclose(
        model(IMAGES[:1], ["a ball"], [short]).numpy(), together[:2], rtol=1e-11
    )
    np.testing.assert_allclose(
        model(IMAGES[1:], ["there is a box"], [long]).numpy(), together[2:], rtol=1e-11
    )


@every_way
def test_what_stands_beside_a_dialogue_changes_nothing(way):
    model = model_of(**WAYS[way])
    together = model(IMAGES, CAPTIONS, TALKS).numpy()
    alone = [model(IMAGES[n : n + 1], [CAPTIONS[n]], [TALKS[n]]).numpy() for n in range(len(TALKS))]
    np.testing.assert_allclose(np.concatenate(alone), together, rtol=1e-11)
    loss, values = model.loss(IMAGES, CAPTIONS, TALKS)
    numbers = [NAMES.index(answer) for own in TALKS for _, answer in own]
    logs = ops.log_softmax(tg.tensor(together)).numpy()
    assert loss.item() == pytest.approx(-logs[range(4), numbers].mean(), rel=1e-11)
    assert values["accuracy"] == np.mean(together.argmax(axis=1) == numbers)


def test_an_answer_depends_on_what_was_said_before_and_on_nothing_after():
    model = model_of(attend=True)
    before = model(IMAGES, CAPTIONS, TALKS).numpy()
    other = [[TALKS[0][0], ("is it small?", "blue"), TALKS[0][2]], TALKS[1]]
    after = model(IMAGES, CAPTIONS, other).numpy()
    np.testing.assert_array_equal(after[[0, 1, 3]], before[[0, 1, 3]])
    assert np.abs(after[2] - before[2]).max() > 1e-6
    captions = model(IMAGES, ["there is a box", CAPTIONS[1]], TALKS).numpy()
    assert np.abs(captions[:3] - before[:3]).min(axis=1).max() > 1e-7
    last = [[*TALKS[0][:2], (TALKS[0][2][0], "red")], TALKS[1]]
    assert model.answers(IMAGES, CAPTIONS, last) == model.answers(IMAGES, CAPTIONS, TALKS)


def test_what_is_hidden_makes_no_difference():
    deaf = model_of(history=False)
    changed = [[(q, "blue") for q, _ in own] for own in TALKS]
    np.testing.assert_array_equal(
        deaf(IMAGES, CAPTIONS, TALKS).numpy(), deaf(IMAGES, CAPTIONS[::-1], changed).numpy()
    )
    blind = model_of(image=False, attend=True)
    np.testing.assert_array_equal(
        blind(None, CAPTIONS, TALKS).numpy(), blind(IMAGES, CAPTIONS, TALKS).numpy()
    )
    without = model_of(question=False, attend=True)
    found = without(IMAGES[:1], CAPTIONS[:1], [TALKS[0][:1]]).numpy()
    other = without(IMAGES[:1], CAPTIONS[:1], [[("is it small?", "red")]]).numpy()
    np.testing.assert_array_equal(found, other)


def test_it_talks_in_view_of_its_own_answers():
    model = model_of(attend=True)
    questions = [[question for question, _ in own] for own in TALKS]
    said = model.talk(IMAGES, CAPTIONS, questions)
    assert [len(own) for own in said] == [3, 1]
    rounds = [list(zip(*own, strict=True)) for own in zip(questions, said, strict=True)]
    assert model.answers(IMAGES, CAPTIONS, rounds, batch_size=1) == said
    assert model.talk(list(IMAGES), CAPTIONS, [[], questions[1]])[0] == []
    assert model.talk([], [], []) == []


def test_rounds_have_its_own_answers(monkeypatch):
    seen = []

    def answers(model, images, captions, dialogues):
        seen.append(dialogues)
        return [[f"answer {k}" for k in range(len(own))] for own in dialogues]

    monkeypatch.setattr(models.Dialogue, "answers", answers)
    questions = [[question for question, _ in own] for own in TALKS]
    assert model_of().talk(IMAGES, CAPTIONS, questions)[0] == ["answer 0", "answer 1", "answer 2"]
    assert seen[-1][0][:2] == [(questions[0][0], "answer 0"), (questions[0][1], "answer 1")]


def test_it_is_learned_and_comes_back_from_its_folder(tmp_path):
    model = model_of(cell="GRU")
    batches = model.batches(IMAGES, CAPTIONS, TALKS, 2)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(25):
        for batch in batches:
            loss, values = model.loss(*batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert values["accuracy"] == 1
    assert model.talk(IMAGES, CAPTIONS, [[q for q, _ in own] for own in TALKS]) == [
        [answer for _, answer in own] for own in TALKS
    ]
    model.save(tmp_path)
    again = models.load(tmp_path)
    np.testing.assert_array_equal(
        again(IMAGES, CAPTIONS, TALKS).numpy(), model(IMAGES, CAPTIONS, TALKS).numpy()
    )


def test_answers_may_be_told_by_number():
    model = model_of()
    numbered = [[(asked, NAMES.index(answer)) for asked, answer in own] for own in TALKS]
    by_name, by_number = (model.loss(IMAGES, CAPTIONS, own)[0] for own in (TALKS, numbered))
    assert by_number.item() == by_name.item()


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (
            lambda: model_of().loss(IMAGES, CAPTIONS, TALKS[:1]),
            errors.ArgumentError, "2 captions and 1 dialogues about 2 images, expected one of each",
        ),
        (
            lambda: model_of().loss(IMAGES, CAPTIONS, [TALKS[0], []]),
            errors.ArgumentError, r"dialogues\[1\] is \[\], expected a list of pairs",
        ),
        (
            lambda: model_of().loss(IMAGES, CAPTIONS, [TALKS[0], ["what is it?"]]),
            errors.ArgumentError, r"dialogues\[1\] is \['what is it\?'\], expected a list of pairs",
        ),
        (
            lambda: model_of().loss(IMAGES, CAPTIONS, [TALKS[0], [(" ", "red")]]),
            errors.ArgumentError, r"dialogues\[1\]\[0\] is ' ', expected one word or more",
        ),
        (
            lambda: model_of().loss(IMAGES, ["a ball", ""], TALKS),
            errors.ArgumentError, r"captions\[1\] is '', expected one word or more",
        ),
        (
            lambda: model_of().loss(IMAGES, CAPTIONS, [TALKS[0], [("is it?", "green")]]),
            errors.IndexRangeError, r"Dialogue.loss: answers\[3\] is 'green', expected one of",
        ),
        (
            lambda: model_of(15).loss(IMAGES, [[1], None], [[([15], "red")], [([2], "red")]]),
            errors.IndexRangeError, r"questions\[0\]\[0\] is 15, expected 0 to 14",
        ),
        (
            lambda: model_of(15).loss(IMAGES, [[1], [-1]], [[([3], "red")], [([2], "red")]]),
            errors.IndexRangeError, r"captions\[1\]\[0\] is -1, expected 0 to 14",
        ),
        (
            lambda: model_of().loss(IMAGES, "it", TALKS),
            errors.ArgumentError, "captions is 'it', expected a list, one for each image",
        ),
        (
            lambda: model_of().talk(IMAGES, CAPTIONS, "it"),
            errors.ArgumentError, "lists of questions is 'it', expected a list, one for each image",
        ),
        (
            lambda: model_of().talk(IMAGES, CAPTIONS, [["what is it?"]]),
            errors.ArgumentError, "2 captions and 1 lists of questions about 2 images, expected",
        ),
        (
            lambda: model_of().talk(IMAGES, CAPTIONS, [["what is it?"], "where"]),
            errors.ArgumentError, r"talk: questions\[1\] is 'where', expected a list of questions",
        ),
        (
            lambda: model_of().answers(
                [IMAGES[0]] * 3, ["a ball"] * 3, [TALKS[1]] * 2, batch_size=2
            ),
            errors.ArgumentError, "3 captions and 2 dialogues about 3 images, expected one of each",
        ),
        (
            lambda: model_of()([], [], []),
            errors.ArgumentError, r"Dialogue: dialogues is \[\], expected one or more",
        ),
        (
            lambda: model_of().loss(IMAGES, None, TALKS),
            errors.ArgumentError, "captions is None, expected a list, one for each image",
        ),
        (
            lambda: model_of().answers(None, CAPTIONS, TALKS),
            errors.ArgumentError, "Dialogue: images is None, expected images, or features",
        ),
        (
            lambda: model_of().loss(IMAGES[:1], ["a ball"], [[("is it?", 0), ("is it?", 3)]]),
            errors.IndexRangeError, r"answers\[1\] is 3, expected 0 to 2",
        ),
        (
            lambda: model_of().batches(IMAGES, CAPTIONS, TALKS[:1], 2),
            errors.ArgumentError, "2 images, 2 captions and 1 dialogues, expected as many",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(make, error, told):
    with pytest.raises(error, match=told):
        make()
