"""Scores of texts, held to sacrebleu where it has them, and to their definitions."""

import math

import numpy as np
import pytest

from tinygrad_rnn import errors, metrics

HYPOTHESES = ["the cat sat on the mat .", "a dog ran home", "Two birds", ""]
REFERENCES = ["the cat sat on a mat .", "a dog ran home", "two birds flew away", "nothing"]
SEVERAL = [[one, one.replace("a", "the")] for one in REFERENCES]


@pytest.fixture
def sacrebleu():
    return pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")


@pytest.mark.parametrize("lower", [True, False])
def test_bleu_is_that_of_sacrebleu(sacrebleu, lower):
    for references, columns in (
        (REFERENCES, [REFERENCES]),
        (SEVERAL, [list(column) for column in zip(*SEVERAL, strict=True)]),
    ):
        metric = sacrebleu.metrics.BLEU(lowercase=lower)
        expected = metric.corpus_score(HYPOTHESES, columns)
        found = metrics.bleu(HYPOTHESES, references, lower=lower)
        assert found.score == expected.score
        assert found.precisions == tuple(expected.precisions)
        assert found.brevity_penalty == expected.bp
        assert found.signature == str(metric.get_signature())
    assert metrics.bleu(["a b c d e"] * 2, ["a b c d e"] * 2).score == pytest.approx(100)


def test_chrf_is_that_of_sacrebleu(sacrebleu):
    for order in (0, 2):
        expected = sacrebleu.metrics.CHRF(word_order=order).corpus_score(HYPOTHESES, [REFERENCES])
        assert metrics.chrf(HYPOTHESES, REFERENCES, word_order=order) == expected.score


def test_exact_matches_are_counted():
    assert metrics.exact_match(HYPOTHESES, REFERENCES) == 0.25
    assert metrics.exact_match(["a ", "b"], [["x", "a"], ["y", "z"]]) == 0.5


def test_perplexity_is_over_all_tokens():
    logs = [np.log([0.5, 0.25]), np.log([0.5])]
    assert metrics.perplexity(logs) == pytest.approx(16 ** (1 / 3))
    assert metrics.perplexity([-1e6]) == math.inf
    assert math.isnan(metrics.perplexity([math.nan, -1.0]))


def test_a_better_system_is_found_better(sacrebleu):
    rng = np.random.default_rng(0)
    words = [" ".join(map(str, rng.integers(9, size=8))) for _ in range(60)]
    worse = [line if k % 3 else line[::-1] for k, line in enumerate(words)]
    for metric in ("bleu", "exact_match"):
        found = metrics.paired_bootstrap(words, worse, words, metric, samples=200)
        assert found.difference > 0
        assert found.interval[0] < found.difference < found.interval[1]
        assert found.p == 0
        back = metrics.paired_bootstrap(worse, words, words, metric, samples=200)
        assert back.difference == -found.difference
        assert metrics.paired_bootstrap(words, words, words, metric, samples=9).p == 1
    exact = metrics.paired_bootstrap(words, worse, words, "bleu", samples=2)
    of_worse = metrics.bleu(worse, words).score
    assert exact.difference == pytest.approx(100 - of_worse)


def test_without_sacrebleu_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    with pytest.raises(
        ImportError, match=r"bleu needs the package sacrebleu. Install it with: pip"
    ):
        metrics.bleu(["a"], ["a"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.bleu("a", ["a"]), "bleu: hypotheses is 'a', expected a list"),
        (lambda: metrics.chrf(["a"], ["a", "b"]), "chrf: given 1 hypotheses and 2 references"),
        (lambda: metrics.bleu([], []), "given 0 hypotheses and 0 references"),
        (lambda: metrics.bleu(["a", "b"], [["a"], ["b", "c"]]), "text 1 has 2 references and text"),
        (lambda: metrics.exact_match([1], ["a"]), "text 0 is 1 with references"),
        (lambda: metrics.exact_match(["a"], [[]]), r"text 0 is 'a' with references \[\]"),
        (lambda: metrics.perplexity([]), "log_probs has no token"),
        (lambda: metrics.paired_bootstrap(["a"], ["a"], ["a"], "wer"), "metric is 'wer'"),
    ],
)
def test_errors_say_what_was_expected(make, message):
    with pytest.raises(errors.TinygradError, match=message):
        make()
