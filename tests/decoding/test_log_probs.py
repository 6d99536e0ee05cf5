"""Log-probabilities that are written out when asked for are those of the scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.standin import cuda
from tinygrad_rnn import decoding, errors
from tinygrad_rnn.decoding.candidates import likely

V, END = 12, 0


def written(scores):
    return np.asarray(decoding.LogProbs(scores))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_they_are_those_of_a_softmax(dtype):
    scores = np.random.default_rng(0).standard_normal((5, 40)).astype(dtype) * 5
    rows = decoding.LogProbs(scores)
    assert (rows.shape, len(rows), rows.dtype) == ((5, 40), 5, dtype)
    wide = scores.astype("float64")
    expected = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(written(scores), expected, atol=64 * np.finfo(dtype).eps)
    row, token = np.array([[0], [3]]), np.array([[1, 2], [39, 0]])
    assert np.array_equal(rows[row, token], written(scores)[row, token])
    assert np.asarray(rows, "float64").dtype == np.float64


@given(seed=st.integers(0, 999), values=st.sampled_from([3, 1000]), count=st.integers(1, 15))
def test_the_likely_ones_are_those_of_the_array(seed, values, count):
    """Of few values many tokens are equal, of many ones some only after rounding."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, values, (3, 90)).astype("float32") * np.float32(
        1 if values < 9 else 1e-7
    )
    row, token, best = likely(decoding.LogProbs(scores), count)
    rows = written(scores)
    for n in range(3):
        bound = np.sort(rows[n])[-count]
        assert set(np.flatnonzero(rows[n] >= bound)) <= set(token[row == n])
    assert np.array_equal(np.lexsort((token, row)), np.arange(len(row)))
    assert np.array_equal(best, rows.max(axis=1))


@pytest.mark.parametrize("row", [[np.nan] * 3, [0.0, np.nan, 1.0], [0.0, 1.0, np.inf]])
def test_nan_is_found_by_whoever_reads_rows(row):
    step = lambda tokens, state: (decoding.LogProbs(np.tile(row, (len(tokens), 1))), state)
    with pytest.raises(errors.NotFiniteError, match="score: step gave NaN in row 0"):
        decoding.score(step, None, [[1]], bos=0)
    with pytest.raises(errors.NotFiniteError, match="exhaustive: step gave NaN in row 0"):
        decoding.exhaustive(step, None, bos=0, eos=1, vocabulary=3, max_length=2)
    with pytest.raises(errors.NotFiniteError, match="greedy: step gave NaN in row 0"):
        decoding.greedy(step, None, [0], length=2, end=1)


def table(seed, values=8):
    """A model whose scores are a table by place and token, and its state the place."""
    scores = np.random.default_rng(seed).integers(0, values, (6, V, V)).astype("float32") / 2

    def step(tokens, place):
        return decoding.LogProbs(scores[place[:, 0], tokens]), place + 1

    def written_out(tokens, place):
        rows, place = step(tokens, place)
        return np.asarray(rows), place

    return step, written_out


def described(found):
    return [
        [(*one.tokens, one.score, one.log_prob, one.finished) for one in best] for best in found
    ]


@pytest.mark.parametrize(
    "how",
    [
        {}, {"length_rule": "none", "n_best": 4}, {"rules": [decoding.Temperature(0.7)]},
        {"prefix": [3, 4]}, {"no_repeat_ngram": 2}, {"min_length": 3},
        {"groups": 2, "diversity": 1.0}, {"constraints": [[5, 6]]},
    ],
)  # fmt: skip
@given(seed=st.integers(0, 99))
def test_a_search_finds_what_it_finds_by_arrays(seed, how):
    by_scores, by_arrays = table(seed)
    place = np.zeros((3, 1), np.int64)
    given = {"bos": [1, 2, 3], "eos": END, "beam": 4, "max_length": 5, **how}
    found, expected = (
        decoding.beam_search(step, place, **given) for step in (by_scores, by_arrays)
    )
    assert described(found) == described(expected)


def test_everything_else_takes_them_as_arrays():
    by_scores, by_arrays = table(0)
    place, begins = np.zeros((2, 1), np.int64), np.array([1, 2])
    for search in (
        lambda step: decoding.greedy(step, place, begins, 4, end=END).tokens,
        lambda step: decoding.sample(step, place, begins, 4, end=END, seed=0).log_probs,
        lambda step: decoding.score(step, place, [[3, 4], [5]], bos=begins)[0],
        lambda step: decoding.beam_search(
            decoding.ensemble([step, step]), [place, place], bos=begins, eos=END, max_length=4
        )[0][0].tokens,
    ):  # fmt: skip
        assert np.array_equal(search(by_scores), search(by_arrays))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_distribution_is_named(bad):
    def step(tokens, state):
        scores = np.zeros((len(tokens), V))
        if state[0] == 2:
            scores[1, 2] = bad
        return decoding.LogProbs(scores), state + 1

    for begin in (0, 2):
        with np.errstate(all="ignore"), pytest.raises(errors.NotFiniteError, match="NaN in row 1"):
            decoding.beam_search(step, np.full(2, begin), bos=1, eos=None, beam=1, max_length=4)


# ----- scores on a GPU -----


@pytest.fixture
def on_both(on_gpu):
    """Scores that are on a GPU as a Tensor, and the same on the CPU."""
    if on_gpu is not None and cuda.missing():
        pytest.skip(cuda.missing())
    scores = 5 * np.random.default_rng(0).standard_normal((5, 700)).astype("float32")
    return decoding.LogProbs(tg.tensor(scores).to("gpu")), decoding.LogProbs(scores)


def test_scores_on_a_gpu_stay_there_and_give_what_is_asked_for(on_both):
    there, here = on_both
    assert (there.shape, len(there), there.dtype) == ((5, 700), 5, "float32")
    np.testing.assert_allclose(np.asarray(there), np.asarray(here), atol=1e-5)
    row, token, best = there.likely(4)
    expected, others, most = here.likely(4)
    wanted = set(zip(expected.tolist(), others.tolist(), strict=True))
    found = set(zip(row.tolist(), token.tolist(), strict=True))
    assert {pair for pair in wanted if here[pair] >= best_of(here, 4)[pair[0]]} <= found
    assert len(found) <= 5 * (4 * 4 + 8)
    np.testing.assert_allclose(best, most, atol=1e-5)
    assert isinstance(there[row, token], np.ndarray)
    np.testing.assert_allclose(there[row, token], np.asarray(here)[row, token], atol=1e-5)


def best_of(rows, count):
    return np.sort(np.asarray(rows), axis=1)[:, -count]


def test_a_beam_search_over_scores_on_a_gpu_finds_the_same(on_both):
    step, _ = table(3, values=10**6)

    def on_gpu_step(tokens, place):
        rows, place = step(tokens, place)
        return decoding.LogProbs(tg.tensor(rows.scores).to("gpu")), place

    how = {"bos": 1, "eos": END, "beam": 3, "max_length": 5, "n_best": 3}
    state = np.zeros((2, 1), np.int64)
    found = [decoding.beam_search(one, state, **how) for one in (step, on_gpu_step)]
    for here, there in zip(*found, strict=True):
        assert [h.tokens.tolist() for h in here] == [h.tokens.tolist() for h in there]
        np.testing.assert_allclose([h.score for h in here], [h.score for h in there], rtol=1e-5)
