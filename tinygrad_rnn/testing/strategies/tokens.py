"""Tokens and labels: whole numbers below a bound, many of them equal."""

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.arguments import shape_of, whole
from tinygrad_rnn.testing.strategies.given import Range, sizes
from tinygrad_rnn.testing.strategies.sequences import Lengths, check_lengths, lengths, mask_of
from tinygrad_rnn.testing.strategies.values import EXPLICIT, seeds

__all__ = ["TokenBatch", "label_batches", "token_batches"]

Array = np.ndarray[Any, Any]

# So few different numbers in an array that most of them stand in several places.
DISTINCT = 6


class TokenBatch(NamedTuple):
    """Rows of token ids, padded to equal lengths.

    ids (T, B) int64, lengths (B), and mask (T, B), true where a row has a token.
    """

    ids: Array
    lengths: Array
    mask: Array

    def row(self, b: int) -> Array:
        """Row b alone, without its padding (lengths[b])."""
        return self.ids[: self.lengths[b], b]


def token_batches(
    vocabulary: int,
    time: Range = (1, 6),
    batch: Range = (1, 4),
    *,
    pad_id: int | None = None,
    lengths: Lengths | None = lengths,
) -> st.SearchStrategy[TokenBatch]:
    """Batches of token ids (T, B) from 0 to ``vocabulary`` - 1; ids repeat, as words do.

    Shrinks to the smallest sizes, rows of full length, and id 0.

    Args:
        time, batch: T and B: a number, or (smallest, largest).
        pad_id: What stands behind the end of a row, and nowhere else; it need not be in the
            vocabulary. None: more ids, as if the row went on.
        lengths: As for ``sequence_batches``.
    """
    where = "token_batches"
    T, B = sizes(where, "time", time), sizes(where, "batch", batch)
    check_lengths(where, lengths)
    words = _numbers(where, "vocabulary", vocabulary, "pad_id", pad_id)
    return _token_batches(words, T, B, pad_id, lengths)


def label_batches(
    classes: int, count: int | tuple[int, ...], *, ignore: int | None = None
) -> st.SearchStrategy[Array]:
    """Labels from 0 to ``classes`` - 1: int64, ``count`` of them, or in a shape such as (T, B).

    Shrinks to label 0 everywhere.

    Args:
        ignore: A label that stands for none, such as -100: in some places, never in all.
    """
    shape = shape_of("label_batches", (count,), "count", least=0)
    some = _numbers("label_batches", "classes", classes, "ignore", ignore)
    return _label_batches(some, shape, ignore)


def _numbers(
    where: str, name: str, count: Any, other: str, without: Any
) -> st.SearchStrategy[list[int]]:
    """A few numbers below ``count``, all but one of them."""
    count = whole(where, name, count, least=1)
    without = count if without is None else whole(where, other, without)
    inside = 0 <= without < count
    if inside and count == 1:
        raise ValueError(
            f"{where}: {name} is 1 and {other} {without}, expected another number than {without} "
            "to be left."
        )
    last = count - 1 - inside
    # However many there are, every ninth or so is to be the last: tables end there.
    one = st.integers(0, last + last // 8).map(lambda n: min(n, last))
    if inside:
        one = one.map(lambda n: n + (n >= without))
    return st.lists(one, min_size=1, max_size=DISTINCT)


@st.composite
def _token_batches(
    draw: st.DrawFn,
    words: st.SearchStrategy[list[int]],
    time: st.SearchStrategy[int],
    batch: st.SearchStrategy[int],
    pad_id: int | None,
    lengths: Lengths | None,
) -> TokenBatch:
    T, B = draw(time), draw(batch)
    rows = np.full(B, T, np.int64) if lengths is None else draw(lengths(B, T))
    mask = mask_of(rows, T)
    ids = _spread(draw, draw(words), (T, B))
    if pad_id is not None:
        ids[~mask] = pad_id
    return TokenBatch(ids, rows, mask)


@st.composite
def _label_batches(
    draw: st.DrawFn,
    some: st.SearchStrategy[list[int]],
    shape: tuple[int, ...],
    ignore: int | None,
) -> Array:
    known = draw(some)
    ignored = [] if ignore is None or not draw(st.booleans()) else [ignore]
    labels = _spread(draw, known + ignored, shape)
    if labels.size and (labels == ignore).all():  # the mean of none is not a number
        labels.flat[0] = known[0]
    return labels


def _spread(draw: st.DrawFn, numbers: list[int], shape: tuple[int, ...]) -> Array:
    """The numbers, each in some of the places of an array."""
    size = math.prod(shape)
    if size <= EXPLICIT:
        which = st.lists(st.integers(0, len(numbers) - 1), min_size=size, max_size=size)
        places = np.array(draw(which), np.int64)
    else:
        places = np.random.default_rng(draw(seeds())).integers(len(numbers), size=size)
    return np.array(numbers, np.int64)[places].reshape(shape)
