"""How good texts are beside references, of captions as well, perplexity; and how sure.

``hypotheses`` is a list of texts; ``references`` has for each of them one text, or a list of
several, not as many for each.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import bounded, choice, flag, shortened, whole
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = [
    "Bleu", "Comparison", "bleu", "chrf", "cider_d", "exact_match", "paired_bootstrap",
    "perplexity", "rouge_l",
]  # fmt: skip

References = Sequence[str] | Sequence[Sequence[str]]
Array = np.ndarray[Any, np.dtype[np.float64]]


class Bleu(NamedTuple):
    """BLEU from 0 to 100, what it is made of, and the signature that others need to have it."""

    score: float
    precisions: tuple[float, ...]  # of n-grams of 1, 2, 3 and 4 words
    brevity_penalty: float
    signature: str


def bleu(
    hypotheses: Sequence[str],
    references: References,
    *,
    lower: bool = False,
    tokenize: str = "13a",
) -> Bleu:
    """Corpus BLEU (Papineni et al. 2002), as sacrebleu has it.

        100 · min(1, exp(1 - r / c)) · exp(¼ Σ_n log p_n),  n = 1 ... 4

    p_n: the share of n-grams that a reference has; c and r: lengths of hypotheses and of the
    nearest references.

    Args:
        lower: Whether capitals do not matter.
        tokenize: How texts are cut: "13a", "none" for those that are in tokens, "intl", "char".
    """
    hypotheses, rows = _checked("bleu", hypotheses, references)
    kind = _sacrebleu("bleu").BLEU
    choice("bleu", "tokenize", tokenize, tuple(kind.TOKENIZERS))
    metric = kind(lowercase=flag("bleu", "lower", lower), tokenize=tokenize, force=True)
    found = metric.corpus_score(hypotheses, _columns(rows))
    return Bleu(
        float(found.score),
        tuple(map(float, found.precisions)),
        float(found.bp),
        str(metric.get_signature()),
    )


def chrf(hypotheses: Sequence[str], references: References, *, word_order: int = 0) -> float:
    """chrF, from 0 to 100: the F-score of n-grams of characters (Popović 2015), by sacrebleu.

    Args:
        word_order: 2 makes it chrF++.
    """
    hypotheses, rows = _checked("chrf", hypotheses, references)
    metric = _sacrebleu("chrf").CHRF(word_order=whole("chrf", "word_order", word_order, 0))
    return float(metric.corpus_score(hypotheses, _columns(rows)).score)


def exact_match(hypotheses: Sequence[str], references: References) -> float:
    """The share of texts that are one of their references, spaces at the ends aside."""
    return float(_matches(*_checked("exact_match", hypotheses, references)).mean())


def perplexity(log_probs: Iterable[Any]) -> float:
    """``exp`` of the mean of -log P, over the tokens of all sequences: a number, or arrays.

    metrics.perplexity(model.log_likelihoods(sources, targets))
    """
    given = [np.ravel(np.asarray(part, np.float64)) for part in log_probs]
    every = np.concatenate(given) if given else np.zeros(0)
    if not every.size:
        raise ShapeError("perplexity: log_probs has no token, expected at least one.")
    with np.errstate(over="ignore"):
        return float(np.exp(-every.mean()))


# ----- captions -----


def rouge_l(hypotheses: Sequence[str], references: References, *, beta: float = 1.2) -> float:
    """ROUGE-L (Lin 2004), from 0 to 100: the mean over texts of an F-score, as COCO has it.

        F = (1 + β²) P R / (R + β² P)
        P = max_r L_r / |hypothesis|,  R = max_r L_r / |r|

    L_r: the length of the longest sequence of words that hypothesis and reference r both hold in
    this order, others in between. Capitals and marks do not count.

    Args:
        beta: How many times as much as precision recall counts.
    """
    beta = bounded("rouge_l", "beta", beta, above=0)
    hypotheses, rows = _checked("rouge_l", hypotheses, references)
    return float(_rouge_l(hypotheses, rows, beta).mean())


def cider_d(
    hypotheses: Sequence[str],
    references: References,
    *,
    sigma: float = 6.0,
    corpus: References | None = None,
) -> float:
    """CIDEr-D (Vedantam et al. 2015), from 0 to 10: the mean over texts; papers print 100 times it.

        10 · mean_n mean_r exp(-(|h| - |r|)² / (2 σ²)) · min(g_n(h), g_n(r)) · g_n(r)
                           / (‖g_n(h)‖ ‖g_n(r)‖),  n = 1 ... 4

    g_n: how often a text has each n-gram, times ``log(N / N_n-gram)``: N texts have references, of
    which N_n-gram have this n-gram in one of theirs. So what is said of everything counts nothing,
    and a text alone scores 0. Capitals and marks do not count.

    Args:
        sigma: How far lengths may differ.
        corpus: References of as many texts as can be had, to count n-grams in, where those of the
            hypotheses are few; None: theirs.
    """
    sigma = bounded("cider_d", "sigma", sigma, above=0)
    hypotheses, rows = _checked("cider_d", hypotheses, references)
    if corpus is not None:
        corpus = _rows("cider_d", "corpus", corpus)
    return float(_cider_d(hypotheses, rows, sigma, corpus).mean())


# As the Penn Treebank cuts, marks left out: "don't" is "do" and "n't", "man's" "man" and "'s".
_WORDS = re.compile(r"\w+?(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m)\b|\w+(?:-\w+)*")


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower().replace("’", "'"))


def _rouge_l(hypotheses: list[str], rows: list[list[str]], beta: float = 1.2) -> Array:
    """Of each text, from 0 to 100."""
    found = np.zeros(len(rows))
    for number, (text, row) in enumerate(zip(hypotheses, rows, strict=True)):
        words, others = _words(text), [_words(reference) for reference in row]
        common = [_in_common(words, other) for other in others]
        if any(common):
            precision = max(common) / len(words)
            recall = max(n / max(len(o), 1) for n, o in zip(common, others, strict=True))
            weighed = recall + beta**2 * precision
            found[number] = 100 * (1 + beta**2) * precision * recall / weighed
    return found


def _in_common(a: list[str], b: list[str]) -> int:
    """The length of the longest common subsequence, a row of its table being the bits of a number.

    A bit is 0 where the table grows by 1 from a word of b to the next (Hyyrö 2004).
    """
    places: dict[str, int] = {}
    for place, word in enumerate(b):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(b)) - 1
    row = every
    for word in a:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & every
    return len(b) - row.bit_count()


Grams = Counter[tuple[str, ...]]


def _cider_d(
    hypotheses: list[str],
    rows: list[list[str]],
    sigma: float = 6.0,
    corpus: list[list[str]] | None = None,
) -> Array:
    """Of each text, from 0 to 10."""
    known = [[_grams(_words(text)) for text in row] for row in (rows if corpus is None else corpus)]
    texts_with: Grams = Counter(gram for row in known for gram in set().union(*row))
    others = known if corpus is None else [[_grams(_words(text)) for text in row] for row in rows]

    def weighed(grams: Grams) -> tuple[dict[tuple[str, ...], float], list[float], int]:
        """Weights of n-grams, their norm for each n, and the number of words."""
        weights = {
            gram: count * math.log(len(known) / max(texts_with[gram], 1))
            for gram, count in grams.items()
        }
        squares = [0.0] * 4
        for gram, weight in weights.items():
            squares[len(gram) - 1] += weight * weight
        words = sum(count for gram, count in grams.items() if len(gram) == 1)
        return weights, [math.sqrt(square) for square in squares], words

    found = np.zeros(len(rows))
    for number, (text, row) in enumerate(zip(hypotheses, others, strict=True)):
        said, norms, length = weighed(_grams(_words(text)))
        for reference in row:
            weights, others_norms, other_length = weighed(reference)
            products = [0.0] * 4
            for gram in said.keys() & weights.keys():
                products[len(gram) - 1] += min(said[gram], weights[gram]) * weights[gram]
            alike = sum(
                product / (a * b)
                for product, a, b in zip(products, norms, others_norms, strict=True)
                if a and b
            )
            near = math.exp(-((length - other_length) ** 2) / (2 * sigma**2))
            found[number] += 10 * near * alike / 4 / len(row)
    return found


def _grams(words: list[str]) -> Grams:
    """How often each sequence of one to four words comes."""
    return Counter(
        tuple(words[begin : begin + n]) for n in range(1, 5) for begin in range(len(words) - n + 1)
    )


# ----- how sure -----


class Comparison(NamedTuple):
    """Two systems on the same sentences.

    difference  the first's score less the second's
    interval    where 95 % of the differences of resampled test sets lie
    p           on which share of those sets the better one is no better
    """

    difference: float
    interval: tuple[float, float]
    p: float


def paired_bootstrap(
    first: Sequence[str],
    second: Sequence[str],
    references: References,
    metric: str = "bleu",
    *,
    samples: int = 1000,
    seed: int = 0,
    **how: Any,
) -> Comparison:
    """Whether one system is better than the other, or its test set was (Koehn 2004).

    Sentences are drawn anew, with repetition, ``samples`` times, for both systems the same.

    Args:
        metric: "bleu", "exact_match", "rouge_l" or "cider_d".
        how: What ``bleu`` takes.
    """
    where = "paired_bootstrap"
    choice(where, "metric", metric, ("bleu", *_OF_TEXTS))
    if how and metric != "bleu":
        raise ArgumentError(f"{where}: given {', '.join(how)} with {metric!r}, expected nothing.")
    samples = whole(where, "samples", samples, 1)
    sides = [_checked(where, hypotheses, references) for hypotheses in (first, second)]
    if metric == "bleu":
        parts = [_bleu_parts(*side, **how) for side in sides]
        score: Callable[[Array], float] = _bleu_of
    else:
        parts = [_OF_TEXTS[metric](*side)[:, None] for side in sides]
        score = lambda total: float(total[0]) / len(first)
    a, b = parts
    rng = np.random.default_rng(seed)
    difference = score(a.sum(axis=0)) - score(b.sum(axis=0))
    found = np.empty(samples)
    for number in range(samples):
        counts = np.bincount(rng.integers(len(a), size=len(a)), minlength=len(a))[:, None]
        found[number] = score((a * counts).sum(axis=0)) - score((b * counts).sum(axis=0))
    low, high = np.quantile(found, (0.025, 0.975))
    worse = found <= 0 if difference > 0 else found >= 0
    return Comparison(difference, (float(low), float(high)), float(worse.mean()))


def _bleu_parts(
    hypotheses: list[str], rows: list[list[str]], lower: bool = False, tokenize: str = "13a"
) -> Array:
    """What BLEU adds up, a row a sentence: matches and n-grams of each length, both lengths."""
    metric = _sacrebleu("bleu").BLEU(
        lowercase=lower, tokenize=tokenize, force=True, effective_order=True
    )
    parts = []
    for hypothesis, row in zip(hypotheses, rows, strict=True):
        found = metric.sentence_score(hypothesis, row)
        parts.append([*found.counts, *found.totals, found.sys_len, found.ref_len])
    return np.array(parts, np.float64)


def _bleu_of(total: Array) -> float:
    numbers = [int(part) for part in total]
    made = _sacrebleu("bleu").BLEU.compute_bleu(
        numbers[:4], numbers[4:8], numbers[8], numbers[9], smooth_method="exp"
    )
    return float(made.score)


def _matches(hypotheses: list[str], rows: list[list[str]]) -> Array:
    pairs = zip(hypotheses, rows, strict=True)
    return np.array([one.strip() in [r.strip() for r in row] for one, row in pairs], np.float64)


_OF_TEXTS = {"exact_match": _matches, "rouge_l": _rouge_l, "cider_d": _cider_d}  # scores of each


def _checked(
    where: str, hypotheses: Sequence[str], references: References
) -> tuple[list[str], list[list[str]]]:
    """Texts, and the references of each."""
    rows = _rows(where, "references", references)
    if isinstance(hypotheses, str) or not hasattr(hypotheses, "__len__"):
        raise ArgumentError(
            f"{where}: hypotheses is {shortened(hypotheses)}, expected a list, one for each text."
        )
    if not len(hypotheses) or len(hypotheses) != len(rows):
        raise ShapeError(
            f"{where}: given {len(hypotheses)} hypotheses and {len(rows)} references, "
            "expected as many, and at least one."
        )
    for number, text in enumerate(hypotheses):
        if not isinstance(text, str):
            raise ArgumentError(
                f"{where}: hypotheses[{number}] is {shortened(text)}, expected a text."
            )
    return list(hypotheses), rows


def _rows(where: str, name: str, given: References) -> list[list[str]]:
    """A list of references for each text."""
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise ArgumentError(
            f"{where}: {name} is {shortened(given)}, expected a list, one for each text."
        )
    rows = [[own] if isinstance(own, str) else list(own) for own in given]
    for number, row in enumerate(rows):
        if not row or not all(isinstance(text, str) for text in row):
            raise ArgumentError(
                f"{where}: {name}[{number}] is {shortened(row)}, expected a text, or a list of "
                "one or more."
            )
    return rows


def _columns(rows: list[list[str]]) -> list[list[str | None]]:
    """References as sacrebleu wants them: a list of the first of each text, ... or None."""
    return [list(column) for column in zip_longest(*rows)]


def _sacrebleu(part: str) -> Any:
    try:
        from sacrebleu import metrics
    except ImportError:
        raise ImportError(
            f"{part} needs the package sacrebleu. Install it with: pip install 'tinygrad-rnn[text]'"
        ) from None
    return metrics
