"""Probabilities from counts: what is left for the tokens that never followed a context.

Each way of smoothing gives the n-grams that were counted a probability, and each context a
weight, so that with h' the context h without its first token

    P(w | h) = probability of hw             if hw was counted
             = weight of h · P(w | h')       if not

where a context that was never counted has the weight 1, and the empty one has 1 / V below it.
c(hw) are counts, c(h) their sum over w, t(h) how many different w follow h, V all tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import bounded, shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.counts import Counts, Level

__all__ = [
    "Add", "Backoff", "Estimate", "Interpolate", "KneserNey", "NoSmoothing", "Smoothing",
    "WittenBell", "smoothing_of",
]  # fmt: skip

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Estimate(NamedTuple):
    """Of one length of n-grams."""

    probability: Floats  # of each n-gram
    weight: Floats  # of each context


class Counted(NamedTuple):
    """What the formulas speak of, for the n-grams of one length."""

    n: int
    count: Any  # c(hw), of each n-gram
    context: Any  # its h
    total: Any  # c(h), of each context; 1 where it is 0, to divide by it
    types: Any  # t(h), of each context
    size: int  # V


class Smoothing(ABC):
    """A way to smooth. ``floor`` · 1 / V is below the empty context."""

    floor = 1.0
    alone = False  # whether every length has the floor below it, and not the shorter context

    def description(self) -> dict[str, Any]:
        """Its name and options, for JSON; ``NGram`` takes it for the smoothing that it is."""
        name = next(name for name, kind in NAMED.items() if kind is type(self))
        return {"kind": name, **asdict(self)}  # type: ignore[call-overload]

    @abstractmethod
    def shares(self, counted: Counted) -> tuple[Any, Any]:
        """A share for each n-gram, and the weight of each context, which the rest goes to."""

    def counts(self, counts: Counts, n: int) -> Any:
        """What counts as the count of the n-grams of one length."""
        return counts[n].counts

    def joined(self, share: Any, weight: Any, below: Any, level: Level) -> Estimate:
        """Of shares and of P(w | h') below: every token has a part of the rest."""
        return Estimate(share + weight[level.context] * below, weight)

    def estimates(self, counts: Counts) -> list[Estimate]:
        """Of each length, the shortest first."""
        found: list[Estimate] = []
        for n in range(1, len(counts) + 1):
            level = counts[n]
            count = self.counts(counts, n)
            total = level.by_context(count)
            counted = Counted(
                n,
                count,
                level.context,
                np.maximum(total, 1),
                level.by_context(count > 0),
                level.vocabulary_size,
            )
            share, weight = self.shares(counted)
            weight = np.where(total > 0, weight, 1.0)
            below = np.full(len(level), self.floor / level.vocabulary_size)
            if n > 1 and not self.alone:
                below = found[-1].probability[counts.suffixes[n - 1]]
            found.append(self.joined(share, weight, below, level))
        return found


@dataclass(frozen=True)
class NoSmoothing(Smoothing):
    """The share itself: what was not counted is impossible, and so are texts that have it.

    P(w | h) = c(hw) / c(h)
    """

    floor = 0.0
    alone = True

    def shares(self, counted: Counted) -> tuple[Any, Any]:
        """The formula above, its share and its weight."""
        return counted.count / counted.total[counted.context], np.zeros(len(counted.total))


@dataclass(frozen=True)
class Add(Smoothing):
    """Every count is larger by delta; 1 is Laplace's.

    P(w | h) = (c(hw) + delta) / (c(h) + delta V)
    """

    delta: float = 1.0
    alone = True

    def __post_init__(self) -> None:
        _keep(self, "delta", bounded("Add", "delta", self.delta, above=0, most=1e300))

    def shares(self, counted: Counted) -> tuple[Any, Any]:
        """The formula above, its share and its weight."""
        added = self.delta * counted.size
        return counted.count / (counted.total + added)[counted.context], added / (
            counted.total + added
        )


@dataclass(frozen=True)
class Interpolate(Smoothing):
    """Shares of all lengths, mixed by weights that are given (Jelinek & Mercer 1980).

    P(w | h) = weight · c(hw) / c(h) + (1 - weight) · P(w | h')

    Args:
        weight: One for all lengths, or a sequence: for single tokens, pairs, triples, ...
    """

    weight: float | Sequence[float] = 0.7

    def __post_init__(self) -> None:
        several = np.ndim(self.weight) > 0
        given: Any = self.weight if several else [self.weight]
        weights = tuple(bounded("Interpolate", "weight", one, above=0, below=1) for one in given)
        _keep(self, "weight", weights if several else weights[0])

    def shares(self, counted: Counted) -> tuple[Any, Any]:
        """The formula above, its share and its weight."""
        weight = self.weight
        if not isinstance(weight, int | float):
            if len(weight) < counted.n:
                raise ArgumentError(
                    f"Interpolate: weight is {shortened(weight)}, expected one for each length up "
                    f"to the order, or one for all; there is none for {counted.n}."
                )
            weight = weight[counted.n - 1]
        share = weight * counted.count / counted.total[counted.context]
        return share, np.full(len(counted.total), 1 - weight)


@dataclass(frozen=True)
class WittenBell(Smoothing):
    """The more different tokens followed a context, the likelier is another (Witten & Bell 1991).

    P(w | h) = (c(hw) + t(h) P(w | h')) / (c(h) + t(h))
    """

    def shares(self, counted: Counted) -> tuple[Any, Any]:
        """The formula above, its share and its weight."""
        both = counted.total + counted.types
        return counted.count / both[counted.context], counted.types / both


@dataclass(frozen=True)
class KneserNey(Smoothing):
    """A discount on every count, and shorter contexts that ask who a token follows, not how often.

    P(w | h) = max(c(hw) - D, 0) / c(h) + D t(h) / c(h) · P(w | h')

    Below the longest n-grams, c is in how many different contexts hw came: N(·hw), the tokens
    in front of it (Kneser & Ney 1995, interpolated as by Chen & Goodman 1999).

    Args:
        discount: D. None: n1 / (n1 + 2 n2) of each length, where n1 and n2 n-grams have the
            counts 1 and 2; 0.5 where there are none.
    """

    discount: float | None = None

    def __post_init__(self) -> None:
        _keep_discount(self)

    def counts(self, counts: Counts, n: int) -> Any:
        """N(·hw) of all lengths but the longest."""
        return counts[n].counts if n == len(counts) else counts.continuations(n)

    def shares(self, counted: Counted) -> tuple[Any, Any]:
        """The formula above, its share and its weight."""
        discount = _discount(self.discount, counted.count)
        share = np.maximum(counted.count - discount, 0) / counted.total[counted.context]
        return share, discount * counted.types / counted.total


@dataclass(frozen=True)
class Backoff(Smoothing):
    """Katz's: the shorter context is asked only for what never followed the longer one.

    P(w | h) = (c(hw) - D) / c(h)      if hw was counted
             = a(h) P(w | h')          if not, where a(h) makes the sum over all w 1

    As in Katz (1987), but with one discount D for all counts in place of Good and Turing's.
    Where every token followed h, nothing is taken away.

    Args:
        discount: D, as for ``KneserNey``.
    """

    discount: float | None = None

    def __post_init__(self) -> None:
        _keep_discount(self)

    def shares(self, counted: Counted) -> tuple[Any, Any]:
        """The formula above, its share and what it leaves for all other tokens together."""
        full = counted.types == counted.size
        discount = np.where(full, 0.0, _discount(self.discount, counted.count))
        share = (counted.count - discount[counted.context]) / counted.total[counted.context]
        return share, discount * counted.types / counted.total

    def joined(self, share: Any, weight: Any, below: Any, level: Level) -> Estimate:
        """What is left goes to the tokens that never followed."""
        others = 1 - level.by_context(below)  # of P(w | h')
        scale = np.divide(weight, others, out=np.zeros_like(weight), where=weight > 0)
        return Estimate(share, scale)


def _keep(smoothing: Smoothing, name: str, value: Any) -> None:
    """Let an option be what was found to be given, which JSON has: a number of NumPy it has not."""
    object.__setattr__(smoothing, name, value)  # as nobody else sets one


def _keep_discount(smoothing: KneserNey | Backoff) -> None:
    if smoothing.discount is not None:
        where = type(smoothing).__name__
        found = bounded(where, "discount", smoothing.discount, above=0, below=1)
        _keep(smoothing, "discount", found)


def _discount(given: float | None, count: Any) -> float:
    if given is not None:
        return given
    once, twice = (int(np.sum(count == times)) for times in (1, 2))
    return once / (once + 2 * twice) if once and twice else 0.5


NAMED: dict[str, type[Smoothing]] = {
    "none": NoSmoothing,
    "add": Add,
    "backoff": Backoff,
    "interpolate": Interpolate,
    "witten-bell": WittenBell,
    "kneser-ney": KneserNey,
}


def smoothing_of(where: str, given: Any) -> Smoothing:
    """A way to smooth: as it is, by its name, or by its description."""
    if isinstance(given, Smoothing):
        return given
    options = dict(given) if isinstance(given, Mapping) else {"kind": given}
    kind = options.pop("kind", None)
    if isinstance(kind, str) and kind in NAMED:
        known = [field.name for field in fields(NAMED[kind])]  # type: ignore[arg-type]
        if unknown := [name for name in options if name not in known]:
            raise ArgumentError(
                f"{where}: smoothing has {unknown[0]!r}, expected of {kind!r} none but "
                f"{', '.join(['kind', *known])}."
            )
        return NAMED[kind](**options)
    raise ArgumentError(
        f"{where}: smoothing is {shortened(given)}, expected one of {tuple(NAMED)}, or one of "
        "models.smoothing, such as smoothing.Add(0.1)."
    )
