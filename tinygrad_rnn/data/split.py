"""Examples in parts: to train on, to validate, to test."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import number, shortened
from tinygrad_rnn.data import order
from tinygrad_rnn.data.examples import Examples
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = ["split"]


def split(
    examples: Any, shares: Sequence[float], *, seed: int = 0, shuffle: bool = True
) -> tuple[Any, ...]:
    """Split examples into parts that share none; a part is what ``examples`` is.

        train, validation = data.split((x, y), (0.9, 0.1))

    Arrays are copied, lists give lists; of another sequence a part reads an example when it is
    asked for it.

    Args:
        examples: As for ``Batches``.
        shares: Of the whole, as 0.9 and 0.1, or whole numbers of examples.
        shuffle: False keeps the order, the first part first: of what comes later in time.
    """
    known = Examples("split", examples)
    count = len(known)
    ends = _ends(shares, count)
    seed = order.seed_of("split", seed)
    rows = order.permutation(count, seed, 0, order.SPLIT) if shuffle else np.arange(count)
    return tuple(known.part(np.sort(part)) for part in np.split(rows[: ends[-1]], ends[:-1]))


def _ends(shares: Any, count: int) -> list[int]:
    """Where each part ends, of so many examples in a row."""
    if isinstance(shares, str) or not hasattr(shares, "__len__") or not len(shares):
        raise ArgumentError(
            f"split: shares is {shortened(shares)}, expected one for each part, such as (0.9, 0.1)."
        )
    given = [number("split", f"shares[{place}]", share) for place, share in enumerate(shares)]
    counts = all(isinstance(share, int) for share in given)
    total = count if counts else 1
    if not all(share > 0 for share in given) or sum(given) > total + 1e-9:
        raise ArgumentError(
            f"split: shares is {shortened(shares)}, expected numbers above 0 that sum up to "
            f"{total} at most, " + ("the examples." if counts else "the whole.")
        )
    ends = [round(end * count / total) for end in accumulate(given)]
    for place, (begin, end) in enumerate(pairwise([0, *ends])):
        if begin == end:
            raise ShapeError(
                f"split: shares[{place}] is {given[place]}, which of {count} examples is none."
            )
    return ends
