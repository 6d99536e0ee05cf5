"""Names of labels, and the numbers that losses take for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array, array_module, there
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError
from tinygrad_rnn.models.speaker import IGNORED
from tinygrad_rnn.tensor import Tensor

__all__ = ["check_as_many", "named", "names_of", "number_of", "numbers_of", "right_share"]


def names_of(where: str, labels: Any, what: str = "labels") -> list[str]:
    """Two names or more, each once."""
    names = [] if isinstance(labels, str) else list(labels)
    if (
        not all(isinstance(name, str) for name in names)
        or len(set(names)) != len(names)
        or (len(names) < 2)
    ):
        raise ArgumentError(
            f"{where}: {what} is {shortened(labels)}, expected two names or more, each once."
        )
    return names


def numbers_of(
    where: str,
    names: Sequence[str],
    labels: Any,
    lengths: Array,
    of: str,
    part: str | None,
    what: str = "labels",
) -> Array:
    """Numbers of labels, (B,); or (T, B), where each part of what is labelled has one.

    of    what is labelled, as "clips"
    part  what has a label within it, as "frame of the clip"; None: the whole
    what  what labels are called
    """
    check_as_many(where, len(lengths), of, labels, what)
    if part is None:
        return np.array(
            [number_of(where, names, f"{what}[{n}]", name) for n, name in enumerate(labels)]
        )
    found = np.full((lengths.max(), len(lengths)), IGNORED)
    for b, (own, length) in enumerate(zip(labels, lengths, strict=True)):
        if isinstance(own, str) or len(own) != length:
            raise ShapeError(
                f"{where}: {what}[{b}] is {shortened(own)}, expected a list of {length}, one for "
                f"each {part}."
            )
        found[:length, b] = [
            number_of(where, names, f"{what}[{b}][{t}]", n) for t, n in enumerate(own)
        ]
    return found


def check_as_many(where: str, count: int, of: str, labels: Any, what: str) -> None:
    """Raise unless there are labels of each."""
    if len(labels) != count:
        raise ArgumentError(f"{where}: {count} {of} and {what} of {len(labels)}, expected as many.")


def right_share(scores: Tensor, targets: Array) -> Any:
    """How many labels are the likeliest ones, of those that there are; found where scores are."""
    with there(scores._data):
        right = scores.data.argmax(axis=-1) == array_module(scores._data).asarray(targets)
        return right.sum() / np.count_nonzero(targets != IGNORED)  # which none is equal to


def named(names: Sequence[str], scores: Array, lengths: Array) -> list[Any]:
    """The likeliest names: of scores (B, K) one each, of (T, B, K) a list of as many as parts."""
    best = scores.argmax(axis=-1)
    if best.ndim == 1:
        return [names[k] for k in best]
    rows = zip(best.T, lengths, strict=True)
    return [[names[k] for k in row[:length]] for row, length in rows]


def number_of(where: str, names: Sequence[str], place: str, name: Any) -> int:
    """The number of a name."""
    if name not in names:
        raise IndexRangeError(
            f"{where}: {place} is {shortened(name)}, expected one of {shortened(names)}."
        )
    return names.index(name)
