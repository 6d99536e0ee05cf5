"""Stochastic beams: samples of sequences without replacement.

Of log-probabilities with Gumbel noise the k largest are a sample of k without replacement. For
what all sequences begin with alike, that of the beginning is the largest of theirs; so a beam
that keeps the k largest loses none, if those after a beginning are drawn with its own for their
maximum. Kool, van Hoof and Welling, Stochastic Beams and Where to Find Them, 2019.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_rnn.decoding.hypotheses import Hypothesis
from tinygrad_rnn.decoding.sampling import generators_of
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.random import row_ids

__all__ = ["Noise", "with_inclusion", "with_maximum"]


class Noise:
    """Gumbel noise, for each source of its own, by the source's name."""

    def __init__(self, where: str, seed: Any, names: Any, sources: int) -> None:
        ids = np.arange(sources) if names is None else row_ids(where, "row_ids", names)
        if len(ids) != sources:
            raise ShapeError(f"{where}: row_ids names {len(ids)} sources, expected {sources}.")
        own = generators_of(where, seed)
        self.of_source = [own(name) for name in ids.tolist()]

    def begin(self) -> Array:
        """Of what each source begins with, (sources,)."""
        return np.array([one.gumbel() for one in self.of_source])

    def rows(self, source: Array, width: int) -> Array:
        """Of ``width`` tokens for each hypothesis; those of a source are neighbours."""
        noise = np.empty((len(source), width))
        ends = np.flatnonzero(np.diff(source, append=-1)) + 1
        for begin, end in zip([0, *ends], ends, strict=False):
            self.of_source[source[begin]].standard_exponential(out=noise[begin:end])
        np.maximum(noise, np.finfo(float).tiny, out=noise)  # 0 would be an infinite Gumbel
        return np.negative(np.log(noise, out=noise), out=noise)


def with_maximum(values: Array, best: Array, maximum: Array) -> Array:
    """Gumbels of which ``best`` is the largest, as if it had come out as ``maximum``.

    -log(exp(-maximum) - exp(-best) + exp(-value)), without exponentials that run over.
    """
    with np.errstate(divide="ignore"):
        gap = maximum - values + np.log(-np.expm1(values - best))
    found: Array = maximum - np.maximum(gap, 0.0) - np.log1p(np.exp(-np.abs(gap)))
    return found


def with_inclusion(drawn: Sequence[Hypothesis], count: int) -> list[Hypothesis]:
    """The first ``count``, each with how probable it was to be above what comes behind them."""
    threshold = drawn[count].score if count < len(drawn) else -np.inf
    with np.errstate(over="ignore"):
        odds = np.exp(np.array([one.drawn for one in drawn[:count]], float) - threshold)
    shares = -np.expm1(-odds)
    return [
        replace(one, inclusion=share) for one, share in zip(drawn, shares.tolist(), strict=False)
    ]
