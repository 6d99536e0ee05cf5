"""Words of a text that a label comes from: what the model says of them, drawn."""

import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import errors, inspect, models, text

pytestmark = pytest.mark.usefixtures("reference")

WORDS = text.Words.of("not bad at all good but dull", lower=True)


def model_of(**options):
    tg.seed(0)
    return models.TextLabels(["bad", "good"], WORDS, 4, 6, **options).astype(tg.float64)


def test_it_is_what_the_model_says_with_and_without_each_word():
    model = model_of()
    said = "Not bad <but> dull"
    found = inspect.emphasis(model, said)
    assert found.words == ["Not", "bad", "<", "but", ">", "dull"]
    np.testing.assert_allclose(found.weights, model.attention([said])[0], rtol=1e-12)
    (likely,) = model.probabilities([said])
    assert found.said == model.names[likely.argmax()]
    assert found.share == likely.max()
    (left,) = model.probabilities(["not bad < > dull"])  # without "but"
    assert found.changes[3] == pytest.approx(likely.max() - left[likely.argmax()])


def test_what_changes_is_how_likely_the_same_label_is():
    """Also where another one becomes likelier: here "good" is said because of one word alone."""
    model = model_of(cell=None)
    for parameter in model.parameters():
        parameter.assign_(np.zeros(parameter.shape))
    table = np.zeros(model.embedding.weight.shape)
    table[WORDS.encode("good")[0], 0] = 20.0
    model.embedding.weight.assign_(table)
    model.alone.weight.assign_(np.eye(4, 6))
    model.out.weight.assign_(np.eye(6, 2)[:, ::-1])
    model.out.bias.assign_(np.array([2.0, 0.0]))
    found = inspect.emphasis(model, "very good at all")
    assert found.said == "good"
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    assert found.share == pytest.approx(sigmoid(5 - 2))
    assert found.changes[1] == pytest.approx(sigmoid(5 - 2) - sigmoid(-2))
    assert found.changes[0] == pytest.approx(sigmoid(5 - 2) - sigmoid(20 / 3 - 2))


def test_a_single_word_is_all_that_counts():
    found = inspect.emphasis(model_of(), "good")
    assert found.changes[0] == found.share
    assert found.weights.tolist() == [1]


def test_it_is_drawn_in_lines_that_fit():
    words = ["<dull>"] + ["unbelievable"] * 20
    changes = np.linspace(-0.5, 1, 21)
    found = inspect.Emphasis(words, np.full(21, 1 / 21), changes, "good & bad", 0.875, right=False)
    drawn, width, height = found.drawn()
    assert "&lt;dull&gt;" in drawn
    assert "✗ good &amp; bad, 88%" in drawn
    assert drawn.count('class="for"') == 14
    assert drawn.count('class="against"') == 7
    lefts = [float(part.split('"')[0]) for part in drawn.split('class="word" x="')[1:]]
    assert max(lefts) + 12 * 8.6 < width
    assert height == 42 + 3 * 52
    assert found.svg().startswith("<svg")
    assert "✗ good & bad, 88%" in found.text(width=60, colour=False)
    found = inspect.Emphasis(["not", "dull"], np.array([1.0, 0.0]), np.zeros(2), "good", 0.9)
    assert found.text(width=8, colour=False).splitlines() == [
        "good, 90%", "not ", "████", "dull ", "▁▁▁▁▁"
    ]  # fmt: skip
    page = inspect.page_of_emphases([found, found], title="Which <words>")
    assert page.count("<svg") == 2
    assert "Which &lt;words&gt;" in page
    assert inspect.picture_of_emphases([found, found]).count("<svg") == 1


def test_what_is_right_is_marked():
    for true, mark in (("good", "✓"), ("bad", "✗")):
        model = model_of()
        model.out.bias.assign_(np.array([-50.0, 50.0]))
        assert inspect.emphasis(model, "dull", true).text(colour=False).startswith(f"{mark} good")


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: inspect.emphasis(object(), "dull"), errors.ArgumentError, "expected one that lab"),
        (lambda: inspect.emphasis(model_of(), " "), errors.ShapeError, "expected a word at least"),
        (lambda: inspect.emphasis(model_of(read="last"), "dull"), errors.ArgumentError, "weighed"),
        (
            lambda: inspect.Emphasis(["a", "b"], np.ones(2), np.ones(3), "good", 1.0),
            errors.ShapeError, r"weights have shape \(2,\), changes \(3,\), expected \(2,\) for 2",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(make, error, told):
    with pytest.raises(error, match=told):
        make()


@pytest.mark.parametrize("weight", [0.0, np.nan])
def test_weights_that_are_no_numbers_are_not_drawn(weight):
    rows = np.array([weight, 1.0]), np.array([weight, 0.5])
    found = inspect.Emphasis(["a", "b"], *rows, "good", 0.5)
    drawn = re.sub("<title>[^<]*</title>", "", found.svg())
    assert "nan" not in drawn
    assert re.findall('fill-opacity="([^"]*)"', drawn) == ["0.000", "0.600"]
    none = inspect.Emphasis(["a", "b"], np.full(2, weight), rows[1], "good", 0.5)
    assert re.findall('fill-opacity="([^"]*)"', none.svg()) == ["0.000", "0.000"]
    assert "nan" not in none.text(colour=True)
