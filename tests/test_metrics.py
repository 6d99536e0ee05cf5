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


@pytest.mark.usefixtures("sacrebleu")
def test_ways_of_cutting_that_sacrebleu_lacks_are_refused():
    with pytest.raises(errors.ArgumentError, match="tokenize is 'x', expected one of"):
        metrics.bleu(["a"], ["a"], tokenize="x")


def test_chrf_is_that_of_sacrebleu(sacrebleu):
    for order in (0, 2):
        expected = sacrebleu.metrics.CHRF(word_order=order).corpus_score(HYPOTHESES, [REFERENCES])
        assert metrics.chrf(HYPOTHESES, REFERENCES, word_order=order) == expected.score


def test_exact_matches_are_counted():
    assert metrics.exact_match(HYPOTHESES, REFERENCES) == 0.25
    assert metrics.exact_match(["a ", "b"], [["x", "a"], ["y", "z"]]) == 0.5


def test_texts_may_have_references_in_different_numbers(sacrebleu):
    uneven = [own[::-1] if k % 2 else own[:1] for k, own in enumerate(SEVERAL)]
    columns = [[own[0] for own in uneven], [own[1] if own[1:] else None for own in uneven]]
    expected = sacrebleu.metrics.BLEU().corpus_score(HYPOTHESES, columns).score
    assert metrics.bleu(HYPOTHESES, uneven).score == expected
    expected = sacrebleu.metrics.CHRF().corpus_score(HYPOTHESES, columns).score
    assert metrics.chrf(HYPOTHESES, uneven) == expected
    assert metrics.exact_match(["b", "c"], [["a", "b"], "d"]) == 0.5


# ----- captions -----

SAID = ["a red ball bounces", "the dog", "Red, red ball!", "", "the cat's on a mat", "a"]
KNOWN = [
    ["the red ball bounces high", "a ball bounces"],
    "a dog runs home",
    ["a red ball", "the ball is red", "a ball"],
    "nothing",
    "the cat is on the mat",
    ["a", ""],
]


def test_rouge_l_by_hand():
    """Two references: 3 of 4 words of one that has 5; of the other 3 of 4 and all 3 of it."""
    precision, recall = 3 / 4, 1.0
    expected = 100 * 2.44 * precision * recall / (recall + 1.44 * precision)
    assert metrics.rouge_l(SAID[:1], KNOWN[:1]) == pytest.approx(expected, rel=1e-12)
    assert metrics.rouge_l(["a b c d"], ["b d a c"], beta=1) == pytest.approx(50)
    assert metrics.rouge_l(["The mat's on Don't!"], ["the mat 's on do n't"]) == 100
    assert metrics.rouge_l(["the dog’s"], ["the dog's"]) == 100
    assert metrics.rouge_l(["don't"], ["do"]) == pytest.approx(100 * 2.44 * 0.5 / (1 + 0.72))
    assert metrics.rouge_l(["a", ""], ["b", "c"]) == 0


def test_cider_d_by_hand():
    """Three texts: "a" is in all of them and counts log(3/3) = 0, "red" and "ball" log(3/1)."""
    known = ["a red ball", "a dog runs", "a cat"]
    # n = 1: the same two words of weight w; n = 2: "a red", "red ball", of which one is shared;
    # n = 3: one each, different. One word less: exp(-1 / 72).
    expected = 10 * math.exp(-1 / 72) * (1 + 1 / math.sqrt(2) + 0) / 4
    found = metrics.cider_d(["red ball", "a dog", "a dog"], known)
    # "a dog" for "a dog runs": 1/√2 of words, 1/√2 of pairs, a word less; for "a cat" nothing.
    dog = 10 * math.exp(-1 / 72) * (1 / math.sqrt(2) + 1 / math.sqrt(2)) / 4
    assert found == pytest.approx((expected + dog) / 3, rel=1e-12)
    assert metrics.cider_d(["a red ball here"], ["a red ball here"]) == 0  # is said of everything
    both = ["a red ball here", "two of them"]
    assert metrics.cider_d(both[:1], both[:1], corpus=both) == pytest.approx(10)


def naive_common(a, b):
    if not a or not b:
        return 0
    if a[-1] == b[-1]:
        return 1 + naive_common(a[:-1], b[:-1])
    return max(naive_common(a[:-1], b), naive_common(a, b[:-1]))


def naive_rouge_l(text, references, beta):
    common = [naive_common(text, reference) for reference in references]
    if not max(common):
        return 0.0
    p = max(n / len(text) for n in common)
    r = max(n / len(reference) for n, reference in zip(common, references, strict=True) if n)
    return (1 + beta**2) * p * r / (r + beta**2 * p)


def naive_cider_d(texts, references, sigma):
    """The definition, over vectors that have a place for every n-gram."""
    grams = lambda words, n: [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
    found = np.zeros(len(texts))
    for n in range(1, 5):
        said = [grams(text, n) for text in texts]
        known = [[grams(reference, n) for reference in own] for own in references]
        every = sorted({gram for own in (*known, said) for text in own for gram in text})
        count = [sum(any(g in r for r in own) for own in known) for g in every]
        weights = np.log(len(texts) / np.maximum(1, count))
        for k, (text, own) in enumerate(zip(said, known, strict=True)):
            a = weights * [text.count(g) for g in every]
            for reference, words in zip(own, references[k], strict=True):
                b = weights * [reference.count(g) for g in every]
                norms = np.linalg.norm(a) * np.linalg.norm(b)
                alike = (np.minimum(a, b) * b).sum() / norms if norms else 0.0
                near = np.exp(-((len(texts[k]) - len(words)) ** 2) / (2 * sigma**2))
                found[k] += 10 * near * alike / 4 / len(own)
    return found.mean()


def test_scores_of_captions_are_their_definitions():
    rng = np.random.default_rng(0)
    draw = lambda: ["abcde"[k] for k in rng.integers(5, size=rng.integers(1, 9))]
    texts = [draw() for _ in range(30)]
    references = [[draw() for _ in range(rng.integers(1, 4))] for _ in texts]
    as_texts = [" ".join(text) for text in texts]
    rows = [[" ".join(reference) for reference in own] for own in references]
    expected = np.mean([naive_rouge_l(*one, 1.2) for one in zip(texts, references, strict=True)])
    assert metrics.rouge_l(as_texts, rows) == pytest.approx(100 * expected, rel=1e-12)
    expected = naive_cider_d(texts, references, 6.0)
    assert expected > 0.5
    assert metrics.cider_d(as_texts, rows) == pytest.approx(expected, rel=1e-12)
    narrow = naive_cider_d(texts, references, 1.5)
    assert metrics.cider_d(as_texts, rows, sigma=1.5) == pytest.approx(narrow, rel=1e-12)
    assert metrics.cider_d(as_texts, rows, corpus=rows) == metrics.cider_d(as_texts, rows)


def test_order_and_case_of_captions_do_not_matter():
    for score in (metrics.rouge_l, metrics.cider_d):
        found = score(SAID, KNOWN)
        assert found > 0
        backwards = [own if isinstance(own, str) else own[::-1] for own in KNOWN]
        assert score(SAID[::-1], backwards[::-1]) == pytest.approx(found, rel=1e-12)
        assert score([text.upper() + "." for text in SAID], KNOWN) == found
        best = score([own if isinstance(own, str) else own[0] for own in KNOWN], KNOWN)
        assert found < best


def test_perplexity_is_over_all_tokens():
    logs = [np.log([0.5, 0.25]), np.log([0.5])]
    assert metrics.perplexity(logs) == pytest.approx(16 ** (1 / 3))
    assert metrics.perplexity([-1e6]) == math.inf
    assert math.isnan(metrics.perplexity([math.nan, -1.0]))


def test_a_better_system_is_found_better(sacrebleu):
    rng = np.random.default_rng(0)
    words = [" ".join(map(str, rng.integers(9, size=8))) for _ in range(60)]
    worse = [line if k % 3 else line[::-1] for k, line in enumerate(words)]
    for metric in ("bleu", "exact_match", "rouge_l", "cider_d"):
        found = metrics.paired_bootstrap(words, worse, words, metric, samples=200)
        assert found.difference > 0
        assert found.interval[0] < found.difference < found.interval[1]
        assert found.p == 0
        back = metrics.paired_bootstrap(worse, words, words, metric, samples=200)
        assert back.difference == -found.difference
        assert metrics.paired_bootstrap(words, words, words, metric, samples=9).p == 1
    scores = {
        "bleu": lambda texts, known: metrics.bleu(texts, known).score,
        "exact_match": metrics.exact_match, "rouge_l": metrics.rouge_l, "cider_d": metrics.cider_d,
    }  # fmt: skip
    for metric, score in scores.items():
        exact = metrics.paired_bootstrap(words, worse, words, metric, samples=2)
        assert exact.difference == pytest.approx(score(words, words) - score(worse, words))


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
        (lambda: metrics.exact_match([1], ["a"]), r"exact_match: hypotheses\[0\] is 1, expected a"),
        (lambda: metrics.exact_match(["a"], [[]]), r"references\[0\] is \[\], expected a text, or"),
        (lambda: metrics.cider_d(["a"], [["a", 2]]), r"cider_d: references\[0\] is \['a', 2\]"),
        (lambda: metrics.cider_d(["a"], ["a"], corpus="a"), "cider_d: corpus is 'a', expected a l"),
        (lambda: metrics.cider_d(["a"], ["a"], sigma=0), "cider_d: sigma is 0"),
        (lambda: metrics.rouge_l(["a"], ["a"], beta=-1), "rouge_l: beta is -1"),
        (
            lambda: metrics.paired_bootstrap(["a"], ["a"], ["a"], "rouge_l", lower=True),
            "paired_bootstrap: given lower with 'rouge_l', expected nothing",
        ),
        (lambda: metrics.perplexity([]), "log_probs has no token"),
        (lambda: metrics.paired_bootstrap(["a"], ["a"], ["a"], "wer"), "metric is 'wer'"),
    ],
)
def test_errors_say_what_was_expected(make, message):
    with pytest.raises(errors.TinygradError, match=message):
        make()
