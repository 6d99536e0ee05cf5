"""n-grams: each smoothing equals its formula, counted slowly, and is a distribution.

The references below know nothing of how the library counts: they walk through the text for every
probability.
"""

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import models, text
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError, StateDictError
from tinygrad_rnn.models import NGram, smoothing

# ----- each formula, from its definition -----


def followers(ids, h):
    """c(hw) for each w, by walking through the text."""
    n = len(h)
    return Counter(ids[i + n] for i in range(len(ids) - n) if ids[i : i + n] == h)


def discount(count, given):
    once, twice = (sum(c == times for c in count.values()) for times in (1, 2))
    return given or (once / (once + 2 * twice) if once and twice else 0.5)


def ngrams(ids, n):
    return [ids[i : i + n] for i in range(len(ids) - n + 1)]


def none(ids, V, order, h):
    c = followers(ids, h)
    return [c[w] / c.total() if c else 0.0 for w in range(V)]


def add(ids, V, order, h, delta=1.0):
    c = followers(ids, h)
    return [(c[w] + delta) / (c.total() + delta * V) for w in range(V)]


def interpolate(ids, V, order, h, weight=0.7):
    c, below = followers(ids, h), interpolate(ids, V, order, h[1:], weight) if h else [1 / V] * V
    share = weight if isinstance(weight, float) else weight[len(h)]
    return [share * c[w] / c.total() + (1 - share) * below[w] for w in range(V)] if c else below


def witten_bell(ids, V, order, h):
    c, below = followers(ids, h), witten_bell(ids, V, order, h[1:]) if h else [1 / V] * V
    return [(c[w] + len(c) * below[w]) / (c.total() + len(c)) for w in range(V)] if c else below


def kneser_ney(ids, V, order, h, D=None):
    below = kneser_ney(ids, V, order, h[1:], D) if h else [1 / V] * V
    n = len(h) + 1
    if n == order:
        count = Counter(ngrams(ids, n))
    else:  # N(·hw): how many different tokens stand in front of hw
        count = Counter(longer[1:] for longer in set(ngrams(ids, n + 1)))
    c = Counter({gram[-1]: count[gram] for gram in count if gram[:-1] == h})
    D = discount(count, D)
    rest = D * len(c)
    return [(max(c[w] - D, 0) + rest * below[w]) / c.total() for w in range(V)] if c else below


def backoff(ids, V, order, h, D=None):
    c, below = followers(ids, h), backoff(ids, V, order, h[1:], D) if h else [1 / V] * V
    if not c:
        return below
    if len(c) == V:
        return [c[w] / c.total() for w in range(V)]
    D = discount(Counter(ngrams(ids, len(h) + 1)), D)
    left = D * len(c) / c.total() / sum(below[w] for w in range(V) if not c[w])
    return [(c[w] - D) / c.total() if c[w] else left * below[w] for w in range(V)]


EACH = {
    "none": (none, "none"),
    "add": (add, "add"),
    "add a little": (lambda *a: add(*a, delta=0.1), smoothing.Add(0.1)),
    "backoff": (backoff, "backoff"),
    "backoff, discount": (lambda *a: backoff(*a, D=0.9), smoothing.Backoff(0.9)),
    "interpolate": (interpolate, "interpolate"),
    "interpolate, weights": (
        lambda *a: interpolate(*a, weight=[0.9, 0.6, 0.3, 0.2]),
        smoothing.Interpolate([0.9, 0.6, 0.3, 0.2]),
    ),
    "witten-bell": (witten_bell, "witten-bell"),
    "kneser-ney": (kneser_ney, "kneser-ney"),
    "kneser-ney, discount": (lambda *a: kneser_ney(*a, D=0.3), smoothing.KneserNey(0.3)),
}


@st.composite
def texts(draw):
    """An order, how many tokens there are, and a text in which some may not come."""
    order, size = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    tokens = st.integers(0, draw(st.integers(0, size - 1)))
    return order, size, tuple(draw(st.lists(tokens, min_size=order, max_size=25)))


@pytest.mark.parametrize("name", EACH)
@given(drawn=texts())
def test_every_probability_is_that_of_the_formula(name, drawn):
    (order, V, ids), (formula, how) = drawn, EACH[name]
    model = NGram(order, V, smoothing=how).fit(ids)
    for read in range(1, max(order, 2)):  # fewer than order - 1 at the beginning of a text
        for h in product(range(V), repeat=read):
            found = np.exp(model.step([h[-1]], model.advance(h[:-1]))[0][0])
            h = h if order > 1 else ()
            np.testing.assert_allclose(
                found, formula(ids, V, order, h), rtol=1e-12, atol=1e-15, err_msg=f"{h}"
            )
            if name != "none" or followers(ids, h):
                assert found.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", EACH)
@given(drawn=texts(), data=st.data())
def test_a_whole_text_is_scored_as_step_by_step(name, drawn, data):
    order, V, ids = drawn
    model = NGram(order, V, smoothing=EACH[name][1]).fit(ids)
    other = data.draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=12))
    state, steps = model.start(), []
    for now, after in pairwise(other):
        log_probs, state = model.step([now], state)
        steps.append(log_probs[0, after])
    np.testing.assert_allclose(model.log_likelihoods(other), steps, rtol=1e-12)
    cut = data.draw(st.integers(0, len(other) - 1))
    rest = model.log_likelihoods(other[cut:], model.advance(other[:cut]))
    np.testing.assert_array_equal(rest, model.log_likelihoods(other)[cut:])


def test_rows_are_independent():
    model = NGram(3, 4).fit([0, 1, 2, 3, 0, 1, 3])
    both, state = model.step([1, 3], np.array([[3, 0], [-1, -1]]))
    np.testing.assert_array_equal(state, [[0, 1], [-1, 3]])
    for row, (token, before) in enumerate([(1, [3, 0]), (3, [-1, -1])]):
        np.testing.assert_array_equal(model.step([token], np.array([before]))[0][0], both[row])
    assert model.start(2).shape == (2, 2)


# ----- with text -----


def test_it_learns_to_spell():
    model = NGram(3, text.Characters.of("hello ")).fit("hello hello hello hello")
    (piece, probability), *_ = model.next("hel", 2)
    assert (piece, probability > 0.7) == ("l", True)
    assert model.score("hello").perplexity < 1.5 < 4 < model.score("olleh").perplexity


def test_how_often_what_was_counted():
    letters = text.Characters.of("abc")
    model = NGram(2, letters).fit("abcab")
    assert model.count("ab") == 2
    assert model.count("a") == 2
    assert model.count("ba") == model.count("cc") == 0
    assert [len(model.counts[n]) for n in (1, 2)] == [3, 3]
    with pytest.raises(ShapeError, match="'abc' has 3 tokens, expected 1 to 2, the order"):
        model.count("abc")


def test_the_share_of_n_grams_that_were_never_counted():
    model = NGram(3, text.Characters.of("abcd")).fit("abcab")
    np.testing.assert_allclose(model.unseen("abdab"), [1 / 5, 2 / 4, 3 / 3])


# ----- what it holds -----


@pytest.mark.parametrize("name", EACH)
def test_what_was_counted_is_saved_and_loaded(name, tmp_path):
    model = NGram(3, 4, smoothing=EACH[name][1]).fit([0, 1, 2, 1, 0, 1, 1, 2])
    model.save(tmp_path)
    again = models.load(tmp_path)
    assert again.smoothing == model.smoothing
    ids = [0, 1, 2, 1, 3, 3, 1]
    np.testing.assert_array_equal(again.log_likelihoods(ids), model.log_likelihoods(ids))


@pytest.mark.parametrize(
    ("kind", "of_numpy", "plain"),
    [
        (smoothing.Add, np.float32(0.5), 0.5),
        (smoothing.KneserNey, np.float32(0.5), 0.5),
        (smoothing.Backoff, np.float32(0.5), 0.5),
        (smoothing.Interpolate, np.float32(0.5), 0.5),
        (smoothing.Interpolate, np.array([0.1, 0.2]), [0.1, 0.2]),
    ],
)
def test_numbers_of_numpy_are_numbers(kind, of_numpy, plain, tmp_path):
    assert kind(of_numpy) == kind(plain)
    NGram(2, 4, smoothing=kind(of_numpy)).fit([0, 1, 2, 1, 0]).save(tmp_path)
    assert models.load(tmp_path).smoothing == kind(plain)


def damaged(**changes):
    state = NGram(2, 4).fit([0, 1, 2, 1, 0]).state_dict()
    for name, value in changes.items():
        state[name.replace("_", ".")] = np.array(value)
    return state


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({}, "keys.1 is missing"),
        (damaged(keys_1=[0.5, 1, 2]), r"keys.1 has shape \(3,\) and dtype float64"),
        (damaged(keys_1=[0, 2, 1]), "keys.1 and counts.1 are not those of n-grams of 4 tokens"),
        (damaged(keys_1=[0, 1, 4]), "expected 4 different keys at most"),
        (damaged(counts_2=[1, 1, 1, 0]), "keys.2 and counts.2"),
        (damaged(counts_2=[1]), "keys.2 and counts.2"),
        (damaged(keys_2=[1, 3, 4, 9]), "of length 2 lack the shorter ones"),
        (damaged(keys_3=[1]), "keys.3 is too many for order = 2"),
    ],
)
def test_damaged_counts_are_told_and_leave_all_as_it_was(state, problem):
    model = NGram(2, 4).fit([0, 1])
    before = model.log_likelihoods([0, 1, 2])
    with pytest.raises(StateDictError, match=problem):
        model.load_state_dict(state)
    np.testing.assert_array_equal(model.log_likelihoods([0, 1, 2]), before)


# ----- what is wrong -----


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: NGram(0, 4), "order is 0, expected a whole number from 1 up"),
        (lambda: NGram(2, "abc"), "vocabulary is 'abc', expected a text.Vocabulary"),
        (lambda: NGram(2, 4, smoothing="laplace"), "smoothing is 'laplace', expected one of"),
        (lambda: smoothing.Add(0), "Add: delta is 0, expected a number above 0"),
        (lambda: smoothing.Add("1"), "Add: delta is '1'"),
        (lambda: smoothing.Interpolate(1.0), "Interpolate: weight is 1.0, expected a number above"),
        (lambda: smoothing.Interpolate([0.5, 2]), "Interpolate: weight is 2"),
        (lambda: smoothing.KneserNey(1), "KneserNey: discount is 1, expected a number above 0"),
        (lambda: smoothing.Backoff(0), "Backoff: discount is 0"),
        (lambda: smoothing.Interpolate(None), "Interpolate: weight is None, expected a number"),
        (
            lambda: NGram(2, 4, smoothing={"kind": "add", "foo": 1}),
            "smoothing has 'foo', expected of 'add' none but kind, delta",
        ),
        (
            lambda: NGram(2, 4, smoothing={"kind": "none", "delta": 1}),
            "smoothing has 'delta', expected of 'none' none but kind",
        ),
        (
            lambda: NGram(2, 4, smoothing=smoothing.Interpolate([0.5])).fit([0, 1, 2]),
            "weight is .*, expected one for each length up to the order",
        ),
    ],
)
def test_settings_that_are_none(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


def test_texts_that_are_none():
    model = NGram(4, text.Characters.of("abcd"))
    with pytest.raises(ArgumentError, match="nothing was counted yet"):
        model.score("abc")
    with pytest.raises(ShapeError, match="'abc' has 3 tokens, expected order = 4 at least"):
        model.fit("abc")
    with pytest.raises(ShapeError, match="has 0 tokens"):
        model.fit("")
    with pytest.raises(IndexRangeError, match=r"ids\[4\] is 4, expected 0 to 3"):
        model.fit([0, 1, 2, 3, 4])
    assert model.fit("abcd").score("ab").tokens == 1  # shorter than the order, and fine


def test_a_step_looks_at_its_tokens():
    model = NGram(2, 4).fit([0, 1, 2])
    with pytest.raises(IndexRangeError, match=r"ids\[0\] is 4"):
        model.step([4], model.start())
    with pytest.raises(ShapeError, match="2 tokens for a state of 1 rows"):
        model.step([1, 2], model.start())
