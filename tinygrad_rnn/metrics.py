"""How good texts are beside references: BLEU, chrF, exact matches, perplexity; and how sure.

``hypotheses`` is a list of texts; ``references`` has for each of them one text, or a list of
several.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import choice, flag, shortened, whole
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = ["Bleu", "Comparison", "bleu", "chrf", "exact_match", "paired_bootstrap", "perplexity"]

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
    hypotheses, columns = _checked("bleu", hypotheses, references)
    metric = _sacrebleu("bleu").BLEU(
        lowercase=flag("bleu", "lower", lower), tokenize=tokenize, force=True
    )
    found = metric.corpus_score(hypotheses, columns)
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
    hypotheses, columns = _checked("chrf", hypotheses, references)
    order = whole("chrf", "word_order", word_order, 0)
    return float(_sacrebleu("chrf").CHRF(word_order=order).corpus_score(hypotheses, columns).score)


def exact_match(hypotheses: Sequence[str], references: References) -> float:
    """The share of texts that are one of their references, spaces at the ends aside."""
    hypotheses, columns = _checked("exact_match", hypotheses, references)
    return float(_matches(hypotheses, columns).mean())


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
        metric: "bleu" or "exact_match".
        how: What ``bleu`` takes.
    """
    where = "paired_bootstrap"
    choice(where, "metric", metric, ("bleu", "exact_match"))
    samples = whole(where, "samples", samples, 1)
    sides = [_checked(where, hypotheses, references) for hypotheses in (first, second)]
    if metric == "bleu":
        parts = [_bleu_parts(*side, **how) for side in sides]
        score: Callable[[Array], float] = _bleu_of
    else:
        parts = [_matches(*side)[:, None].astype(np.float64) for side in sides]
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
    hypotheses: list[str], columns: list[list[str]], lower: bool = False, tokenize: str = "13a"
) -> Array:
    """What BLEU adds up, a row a sentence: matches and n-grams of each length, both lengths."""
    metric = _sacrebleu("bleu").BLEU(
        lowercase=lower, tokenize=tokenize, force=True, effective_order=True
    )
    rows = []
    for hypothesis, *own in zip(hypotheses, *columns, strict=True):
        found = metric.sentence_score(hypothesis, own)
        rows.append([*found.counts, *found.totals, found.sys_len, found.ref_len])
    return np.array(rows, np.float64)


def _bleu_of(total: Array) -> float:
    numbers = [int(part) for part in total]
    made = _sacrebleu("bleu").BLEU.compute_bleu(
        numbers[:4], numbers[4:8], numbers[8], numbers[9], smooth_method="exp"
    )
    return float(made.score)


def _matches(hypotheses: list[str], columns: list[list[str]]) -> Array:
    rows = zip(hypotheses, *columns, strict=True)
    return np.array([one.strip() in [r.strip() for r in own] for one, *own in rows])


def _checked(
    where: str, hypotheses: Sequence[str], references: References
) -> tuple[list[str], list[list[str]]]:
    """Texts, and their references as sacrebleu wants them: a list of the first of each, ..."""
    for name, given in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(given, str) or not hasattr(given, "__len__"):
            raise ArgumentError(
                f"{where}: {name} is {shortened(given)}, expected a list, one for each text."
            )
    if not len(hypotheses) or len(hypotheses) != len(references):
        raise ShapeError(
            f"{where}: given {len(hypotheses)} hypotheses and {len(references)} references, "
            "expected as many, and at least one."
        )
    rows = [[given] if isinstance(given, str) else list(given) for given in references]
    for number, (one, row) in enumerate(zip(hypotheses, rows, strict=True)):
        if not row or not all(isinstance(text, str) for text in (one, *row)):
            raise ArgumentError(
                f"{where}: text {number} is {shortened(one)} with references {shortened(row)}, "
                "expected texts, and a reference at least."
            )
        if len(row) != len(rows[0]):
            raise ShapeError(
                f"{where}: text {number} has {len(row)} references and text 0 {len(rows[0])}, "
                "expected as many."
            )
    return list(hypotheses), [list(column) for column in zip(*rows, strict=True)]


def _sacrebleu(part: str) -> Any:
    try:
        from sacrebleu import metrics
    except ImportError:
        raise ImportError(
            f"{part} needs the package sacrebleu. Install it with: pip install 'tinygrad-rnn[text]'"
        ) from None
    return metrics
