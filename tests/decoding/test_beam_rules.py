"""Rules, prefixes and coverage in beams, and steps that are made of steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decoding.distributions import TableModel, normalised
from tinygrad_rnn import decoding
from tinygrad_rnn.decoding import Banned, Forced, NoRepeatNgram
from tinygrad_rnn.decoding.lengths import coverage
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, NotFiniteError, ShapeError

SEARCH = {"bos": [0, 1], "eos": 2, "max_length": 4, "length_rule": "gnmt"}
seeds = st.integers(0, 999)


def wide(model, **more):
    settings = {**SEARCH, "beam": 200, "n_best": 9, **more}
    return decoding.beam_search(model.step, model.start(2), **settings)


def every(model, **more):
    settings = {**SEARCH, "vocabulary": model.size, "n_best": 9, **more}
    return decoding.exhaustive(model.step, model.start(2), **settings)


def tokens_of(found):
    return [[one.tokens.tolist() for one in hypotheses] for hypotheses in found]


def repeats(tokens, n):
    grams = [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]
    return len(set(grams)) < len(grams)


@given(seeds, st.integers(1, 3), st.integers(1, 4))
def test_no_ngram_repeats(seed, n, beam):
    model = TableModel(4, seed)
    found = decoding.beam_search(
        model.step, model.start(2), **{**SEARCH, "max_length": 5}, beam=beam, n_best=beam,
        no_repeat_ngram=n,
    )  # fmt: skip
    assert not any(repeats(tokens, n) for one in tokens_of(found) for tokens in one)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_wide_beam_finds_the_best_without_repeats(n):
    model = TableModel(4)
    left = tokens_of(every(model, n_best=400))
    expected = [[tokens for tokens in one if not repeats(tokens, n)][:9] for one in left]
    assert tokens_of(wide(model, no_repeat_ngram=n)) == expected


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1), st.data())
def test_masks_do_what_they_say(tokens, data):
    tokens = np.array(tokens)
    rows = normalised(np.random.default_rng(0).random((len(tokens), 4)))
    n = data.draw(st.integers(1, 3))
    banned = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=3))
    repeated, left = NoRepeatNgram(n)(rows, tokens), Banned(banned)(rows, tokens)
    for row, before in enumerate(tokens.tolist()):
        for token in range(4):
            longer = [*before, token]
            old = {tuple(before[1:][at : at + n]) for at in range(5 - n)}
            assert (repeated[row, token] == -np.inf) == (tuple(longer[-n:]) in old)
            ends = any(longer[-len(one) :] == one for one in banned)
            assert (left[row, token] == -np.inf) == ends
    kept = left > -np.inf
    np.testing.assert_array_equal(left[kept], rows[kept])
    only = Forced({4: 1})(rows, tokens)
    np.testing.assert_array_equal(only[:, 1], rows[:, 1])
    assert (only[:, [0, 2, 3]] == -np.inf).all()
    np.testing.assert_array_equal(Forced({3: 1})(rows, tokens), rows)


def test_masks_in_beams_are_masks_in_exhaustive_search():
    for seed in range(5):
        model = TableModel(4, seed)
        rules = [Banned([1, [3, 3]]), Forced({1: 3})]
        found = tokens_of(wide(model, rules=rules))
        assert found == tokens_of(every(model, rules=rules))
        for tokens in found[0]:
            assert 1 not in tokens
            assert tokens[1:2] in ([], [3])


def test_log_prob_is_the_models_whatever_the_rules():
    model = TableModel(4)
    rules = [decoding.RepetitionPenalty(2.0)]
    changed = 0
    for source, hypotheses in enumerate(wide(model, rules=rules)):
        for one in hypotheses:
            forced = decoding.score(model.step, model.start(1), [one.tokens], bos=source)
            np.testing.assert_allclose(one.log_prob, forced.sum(), rtol=1e-12)
            unchanged = one.log_prob / ((5 + len(one.tokens)) / 6) ** 0.6
            changed += abs(one.score - unchanged) > 1e-6
    assert changed > 5


@given(seeds, st.lists(st.lists(st.sampled_from([0, 1, 3]), max_size=4), min_size=2, max_size=2))
def test_prefixes(seed, prefix):
    model = TableModel(4, seed)
    found = wide(model, prefix=prefix, rules=[Banned([3])])
    for source, told in enumerate(prefix):
        rules = [Forced(dict(enumerate(told)))]
        alone = lambda rows, tokens, told=told: (
            Banned([3])(rows, tokens) if tokens.shape[1] > len(told) else rows
        )
        expected = every(model, rules=[alone, *rules])[source]
        assert tokens_of([found[source]]) == tokens_of([expected])
        assert [one.score for one in found[source]] == [one.score for one in expected]
    same = wide(model, prefix=prefix[0])
    assert tokens_of(same[:1]) == tokens_of(wide(model, prefix=[prefix[0], []])[:1])


@pytest.mark.parametrize("places", [1, 3, 17, 200])
def test_padding_changes_no_bit_of_the_coverage(places):
    attention = np.random.default_rng(places).random((5, 40, places), np.float32) / 30
    padded = np.pad(attention, ((0, 0), (0, 0), (0, 61)))
    np.testing.assert_array_equal(coverage(padded), coverage(attention))
    np.testing.assert_allclose(
        coverage(attention), np.log(np.minimum(attention.sum(1, np.float64), 1)).sum(1)
    )


def test_coverage_is_what_the_formula_says():
    model, weights = TableModel(4), np.random.default_rng(0).dirichlet(np.ones(3), 4)
    weights = np.concatenate([weights, np.zeros((4, 2))], axis=1)  # two places of padding
    step = lambda tokens, state: (*model.step(tokens, state), {"attention": weights[tokens]})
    settings = {**SEARCH, "beam": 200, "n_best": 40}
    plain = decoding.beam_search(step, model.start(2), **settings)
    found = decoding.beam_search(step, model.start(2), coverage_penalty=0.5, **settings)
    moved = False
    for before, after in zip(plain, found, strict=True):
        expected = {}
        for one in before:
            seen = one.alignment.sum(axis=0)[:3]
            total = sum(np.log(min(value, 1.0)) for value in seen)
            expected[tuple(one.tokens)] = one.score + 0.5 * total
        for one in after:
            if tuple(one.tokens) in expected:
                np.testing.assert_allclose(one.score, expected[tuple(one.tokens)], rtol=1e-12)
        moved |= tokens_of([before]) != tokens_of([after])
        assert [one.score for one in after] == sorted((one.score for one in after), reverse=True)
    assert moved


def two_models():
    return TableModel(4, 1), TableModel(4, 2, ties=True)


def test_an_ensemble_is_the_mean_of_its_models():
    one, two = two_models()
    tokens, states = np.array([0, 1, 3]), (one.start(3), two.start(3))
    (a, _), (b, _) = (model.step(tokens, model.start(3)) for model in (one, two))
    rows, (first, second), _ = decoding.ensemble([one.step, two.step])(tokens, states)
    np.testing.assert_allclose(rows, decoding.rules.normalised((a + b) / 2), rtol=1e-12)
    rows, *_ = decoding.ensemble([one.step, two.step], "prob", weights=[3, 1])(tokens, states)
    np.testing.assert_allclose(np.exp(rows), 0.75 * np.exp(a) + 0.25 * np.exp(b), rtol=1e-12)
    assert first["sum"].tolist() == second["sum"].tolist() == tokens.tolist()
    alone = decoding.beam_search(one.step, one.start(2), **SEARCH)
    twice = decoding.ensemble([one.step, one.step])
    both = decoding.beam_search(twice, (one.start(2), one.start(2)), **SEARCH)
    assert tokens_of(both) == tokens_of(alone)


def test_fusion_adds_what_a_language_model_says():
    one, two = two_models()
    tokens, states = np.array([0, 1, 3]), (one.start(3), two.start(3))
    (a, _), (b, _) = (model.step(tokens, model.start(3)) for model in (one, two))
    rows, after, more = decoding.fuse(one.step, two.step, 0.3)(tokens, states)
    np.testing.assert_allclose(rows, a + 0.3 * b, rtol=1e-12)
    assert len(after) == 2
    assert more == {}
    told = lambda tokens, state: (*one.step(tokens, state), {"attention": np.eye(4)[tokens]})
    fused = decoding.fuse(told, two.step, 0.3)
    found = decoding.beam_search(fused, (one.start(2), two.start(2)), **SEARCH)
    assert found[0][0].alignment is not None
    rows, *_ = decoding.fuse(one.step, two.step, 0)(tokens, states)
    np.testing.assert_array_equal(rows, a)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefix": [1, 2]}, r"prefix\[0\]\[1\] is eos, 2, expected tokens that end nothing"),
        ({"prefix": [1, 9]}, "the tokens of prefix go from 1 to 9, expected 0 to 3"),
        ({"prefix": [[1], [-1]]}, r"prefix\[1\]\[0\] is -1, expected a whole number from 0 up"),
        ({"prefix": [[1]]}, "prefix has 1 sequences for 2 sources"),
        ({"prefix": [1] * 5}, r"prefix is \[.*\], of 5 tokens, expected at most max_length, 4"),
        ({"prefix": [0.5]}, r"prefix\[0\]\[0\] is 0.5, expected a whole number"),
        ({"prefix": 3}, "prefix is 3, expected a sequence of tokens, or one for each source"),
        ({"prefix": [[1], 2]}, r"prefix\[1\] is 2, expected a sequence of tokens, as others are"),
        ({"prefix": [None, [1]]}, r"prefix\[0\] is None, expected a sequence .* \[\] for none"),
        ({"length_rule": decoding.GNMT}, r"length_rule is the class GNMT, expected .* GNMT\(\)"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram is -1, expected a whole number from 0 up"),
        ({"coverage_penalty": -1}, "coverage_penalty is -1, expected a number from 0"),
        ({"coverage_penalty": 1}, "coverage_penalty is 1, but step does not give"),
        ({"rules": [Banned([4])]}, "Banned: a token is 4, expected 0 to 3"),
        ({"rules": [Forced({0: 4})]}, "Forced: a token is 4, expected 0 to 3"),
    ],
)
def test_settings_that_are_none(changes, message):
    model = TableModel(4)
    with pytest.raises((ArgumentError, IndexRangeError, ShapeError), match=message):
        decoding.beam_search(model.step, model.start(2), **{**SEARCH, **changes})


def test_a_prefix_that_cannot_be():
    step = lambda tokens, state: (np.log([[0.5, 0.5, 1e-300 * 0]] * len(tokens)), state)
    with (
        np.errstate(divide="ignore"),
        pytest.raises(NotFiniteError, match=r"prefix\[0\]\[1\] is 2, which cannot be there"),
    ):
        decoding.beam_search(step, None, bos=0, eos=None, prefix=[1, 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoRepeatNgram(0), "NoRepeatNgram: n is 0, expected a whole number from 1 up"),
        (lambda: Banned([[]]), "Banned: tokens holds an empty sequence"),
        (lambda: Banned([-1]), "Banned: a token is -1, expected a whole number from 0 up"),
        (lambda: Banned(3), "Banned: tokens is 3, expected tokens, or sequences"),
        (lambda: Forced({0: -1}), "Forced: a token is -1"),
        (lambda: Forced([7]), r"Forced: tokens is \[7\], expected a token for each place"),
        (lambda: decoding.ensemble([len], weights=[np.inf]), r"weights\[0\] is inf, expected"),
        (lambda: decoding.beam_search(3, None, bos=0, eos=1), "beam_search: step is 3, expected a"),
        (lambda: decoding.greedy(3, None, [0], 2), "greedy: step is 3, expected a function"),
        (lambda: decoding.ensemble([]), "ensemble: steps is empty"),
        (lambda: decoding.ensemble([len], "mean"), "how is 'mean', expected one of"),
        (lambda: decoding.ensemble([len], weights=[1, 2]), r"weights is \[1, 2\], expected one"),
        (lambda: decoding.ensemble([len], weights=[0]), r"weights\[0\] is 0, expected a number"),
        (lambda: decoding.fuse(len, 3, 1.0), "fuse: lm_step is 3, expected a function"),
        (lambda: decoding.fuse(len, len, -1.0), "fuse: weight is -1.0, expected a number"),
        (lambda: decoding.fuse(len, len, 1.0)([0], 3), "fuse: the state is 3, expected a tuple"),
    ],
)
def test_what_cannot_be_made(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_what_is_banned_may_come_from_a_generator():
    rows = np.zeros((1, 3))
    for _ in range(2):
        banned = Banned(token for token in (0, 2))
        assert banned(rows, rows.astype(np.int64)).tolist() == [[-np.inf, 0, -np.inf]]
        assert banned(rows, rows.astype(np.int64)).tolist() == [[-np.inf, 0, -np.inf]]


def test_the_unit_of_an_ensembles_weights_may_be_large():
    one, two = TableModel(3), TableModel(3, 1)
    state = one.start(1), two.start(1)
    large, small = (
        decoding.ensemble([one.step, two.step], weights=weights)(np.array([0]), state)[0]
        for weights in ([1.5e308, 0.5e308], [3, 1])
    )
    np.testing.assert_allclose(large, small, rtol=1e-12)


@pytest.mark.parametrize("weight", [np.nan, -0.5])
def test_attention_that_is_none_covers_nothing(weight):
    def step(tokens, state):
        looked = np.tile([weight, 0.1], (len(tokens), 1))
        return np.full((len(tokens), 3), np.log(1 / 3)), state, {"attention": looked}

    with pytest.raises(NotFiniteError, match="step gave attention that is NaN or negative"):
        decoding.beam_search(step, None, bos=0, eos=2, max_length=3, coverage_penalty=1.0)


def test_models_that_do_not_fit_together():
    one, two = TableModel(3), TableModel(4)
    states = one.start(1), two.start(1)
    with pytest.raises(ShapeError, match=r"ensemble: the steps gave .* of \[3, 4\] tokens"):
        decoding.ensemble([one.step, two.step])(np.array([0]), states)
    never = lambda token: lambda tokens, state: (np.log(np.eye(2)[[token]]), state)
    with (
        np.errstate(divide="ignore"),
        pytest.raises(ArgumentError, match="no token is possible to all models in row 0"),
    ):
        decoding.ensemble([never(0), never(1)])(np.array([0]), (None, None))
