"""Sequences: how steps are split, how long rows are, and padded batches of them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.arguments import dtype_of, shortened, whole
from tinygrad_rnn.testing.arrays import STYLES, filled
from tinygrad_rnn.testing.strategies.given import Range, check_bounds, check_names, sizes
from tinygrad_rnn.testing.strategies.values import arrays, seeds

__all__ = ["Lengths", "SequenceBatch", "lengths", "mask_of", "partitions", "sequence_batches"]

Array = np.ndarray[Any, Any]

# From the number of rows and of steps to a strategy for how many of them each row has.
Lengths = Callable[[int, int], st.SearchStrategy[Array]]

_POISONS = (np.nan, np.inf, -np.inf, 1e30)


# ----- how steps are split -----


def partitions(total: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Ways to split ``total`` steps into chunks, as truncated backpropagation does.

    Tuples of sizes from 1 up that sum to ``total``; every second one of equal sizes but for
    the last. Shrinks to one chunk.
    """
    total = whole("partitions", "total", total, least=0)
    if total < 2:
        return st.just((total,) if total else ())
    equal = st.integers(0, total - 1).map(lambda less: range(total - less, total, total - less))
    any_places = st.lists(st.integers(1, total - 1), unique=True).map(sorted)
    return st.one_of(equal, any_places).map(lambda cuts: _between([0, *cuts, total]))


def _between(places: Sequence[int]) -> tuple[int, ...]:
    """How far each place is from the one before."""
    return tuple(b - a for a, b in pairwise(places))


# ----- how long rows are -----


def lengths(
    batch: int, max_len: int, *, min_len: int = 0, order: str = "any"
) -> st.SearchStrategy[Array]:
    """How many steps each of ``batch`` rows has: int64, from ``min_len`` to ``max_len``.

    Shrinks to rows that all have ``max_len`` steps.

    Args:
        order: "any", or "sorted", the longest first.
    """
    batch = whole("lengths", "batch", batch, least=0)
    min_len, max_len = check_bounds("lengths", ("min_len", "max_len"), min_len, max_len)
    if order not in ("any", "sorted"):
        raise ValueError(f"lengths: order is {order!r}, expected 'any' or 'sorted'.")
    most = max_len - min_len
    # However long the rows, every ninth or so is to be as short as it can be.
    missing = st.integers(0, most + most // 8).map(lambda n: min(n, most))
    rows = st.lists(missing, min_size=batch, max_size=batch)
    if order == "sorted":
        rows = rows.map(sorted)
    return rows.map(lambda short: max_len - np.array(short, np.int64))


def mask_of(lengths: Array, steps: int) -> Array:
    """(T, B) booleans: true in the first ``lengths[b]`` steps of row b."""
    return np.asarray(np.arange(steps)[:, None] < lengths)


# ----- batches of them -----


class SequenceBatch(NamedTuple):
    """Sequences of different lengths, padded to equal ones.

    data (T, B, F), lengths (B), and mask (T, B), true where a row has a step.
    """

    data: Array
    lengths: Array
    mask: Array

    @property
    def clean(self) -> Array:
        """The data with zeros for padding (T, B, F)."""
        return np.where(self.mask[..., None], self.data, np.zeros((), self.data.dtype))

    def row(self, b: int) -> Array:
        """Row b alone, without its padding (lengths[b], F)."""
        return self.data[: self.lengths[b], b]


def sequence_batches(
    time: Range = (1, 6),
    batch: Range = (1, 4),
    features: Range = (1, 4),
    *,
    pad: str = "poison",
    lengths: Lengths | None = lengths,
    dtype: Any = np.float64,
    styles: Sequence[str] = STYLES,
) -> st.SearchStrategy[SequenceBatch]:
    """Batches of sequences (T, B, F), dense as ``arrays`` is, some rows shorter than others.

    Shrinks to the smallest sizes, rows of full length, and zeros.

    Args:
        time, batch, features: T, B and F: a number, or (smallest, largest).
        pad: What stands behind the end of a row: "poison", all NaN, inf, -inf or 1e30, which
            shows wherever it leaks to; "zeros"; or "noise", numbers like any others.
        lengths: From B and T to a strategy for the lengths, such as
            ``partial(gs.lengths, min_len=1)``; None for full rows only.
        styles: Those of ``arrays``.
    """
    where = "sequence_batches"
    if pad not in ("poison", "zeros", "noise"):
        raise ValueError(f"{where}: pad is {pad!r}, expected 'poison', 'zeros' or 'noise'.")
    check_lengths(where, lengths)
    check_names(where, "styles", styles, STYLES)
    return _sequence_batches(
        sizes(where, "time", time),
        sizes(where, "batch", batch),
        sizes(where, "features", features),
        pad,
        lengths,
        dtype_of(where, dtype, kinds="f"),
        styles,
    )


def check_lengths(where: str, given: Any) -> None:
    """A function that gives a strategy, or None."""
    if given is not None and not callable(given):
        raise ValueError(
            f"{where}: lengths is {shortened(given)}, expected None or a function from the number "
            "of rows and of steps to a strategy, such as gs.lengths."
        )


@st.composite
def _sequence_batches(
    draw: st.DrawFn,
    time: st.SearchStrategy[int],
    batch: st.SearchStrategy[int],
    features: st.SearchStrategy[int],
    pad: str,
    lengths: Lengths | None,
    dtype: Any,
    styles: Sequence[str],
) -> SequenceBatch:
    T, B, F = draw(time), draw(batch), draw(features)
    rows = np.full(B, T, np.int64) if lengths is None else draw(lengths(B, T))
    mask = mask_of(rows, T)
    data = draw(arrays((T, B, F), dtype, styles=styles))
    if not mask.all():
        data[~mask] = _padding(draw, pad, data.shape, dtype)[~mask]
    return SequenceBatch(data, rows, mask)


def _padding(draw: st.DrawFn, pad: str, shape: tuple[int, ...], dtype: Any) -> Array:
    if pad == "noise":
        return filled(shape, "gaussian", draw(seeds())).astype(dtype)
    number = draw(st.sampled_from(_POISONS)) if pad == "poison" else 0.0
    if number == _POISONS[-1]:
        number = min(number, float(np.finfo(dtype).max))
    return np.full(shape, number, dtype)
