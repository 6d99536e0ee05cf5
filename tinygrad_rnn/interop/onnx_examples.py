"""Other examples than the one that was given: what changes with them depends on an input."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from tinygrad_rnn.interop.onnx_trace import Sizes

__all__ = ["others"]

Array = np.ndarray[Any, Any]
Axes = Mapping[int, str]
Range = tuple[int, int]
Change = Callable[[Array, np.random.Generator], Array]
Choice = Callable[[Array], Array]

_NUMBERS_OF_A_PLACE = 8  # of which the smallest or the largest is taken


def others(
    inputs: Sequence[Array], axes: Sequence[Axes], sizes: Sizes
) -> Iterator[Iterator[list[Array]]]:
    """Examples with other values and other sizes of the dynamic axes, the model's choice of each.

    Whole numbers may be ids, lengths or places, so a model may refuse those that were not in the
    example. They come from ranges that narrow towards it, and the first one that the model takes
    will do.
    """
    resized = [_resized(x, n, sizes) for x, n in zip(inputs, axes, strict=True)]
    for seed, (floats, wholes) in enumerate(_CHANGES):
        yield _changed(resized, seed, floats, wholes)


def _changed(
    inputs: Sequence[Array], seed: int, floats: Change, wholes: Choice
) -> Iterator[list[Array]]:
    for ranges in product(*map(_ranges, inputs)):
        rng = np.random.default_rng(seed)
        yield [
            np.asarray(wholes(_drawn_from(chosen, x, rng)) if chosen else floats(x, rng))
            for x, chosen in zip(inputs, ranges, strict=True)
        ]


def _resized(x: Array, axes: Axes, sizes: Sizes) -> Array:
    """An example with other sizes of some axes."""
    for axis, name in axes.items():
        x = np.take(x, np.arange(sizes[name]), axis=axis, mode="wrap")
    return x


# ----- floating-point numbers -----


def _turned(x: Array, _rng: np.random.Generator) -> Array:
    """Other values, near those that were given."""
    return np.asarray(0.25 - np.flip(x) * 0.5, x.dtype)


def _drawn(x: Array, rng: np.random.Generator) -> Array:
    """Numbers small and large, of both signs."""
    return np.asarray(rng.normal(size=x.shape) * 10 ** rng.uniform(-2, 2, x.shape), x.dtype)


# ----- whole numbers and booleans -----


def _ranges(x: Array) -> list[Range | None]:
    """Where other whole numbers may come from; a single one is never among them."""
    if x.dtype.kind == "f" or not x.size:
        return [None]
    if x.dtype.kind == "b":
        return [(0, 1)]
    low, high = int(x.min()), int(x.max())
    # Padding is 0 where there are ids, whether the example has any or not; a length may not be.
    if low == high:
        ranges = [(0, high - 1), (1, high - 1), (high + 1, high + 1)]
    else:
        ranges = [(min(low, 0), high), (min(low, 1), high), (low, high)]
    most = np.iinfo(x.dtype).max
    return list(dict.fromkeys((start, end) for start, end in ranges if start <= end <= most))


def _drawn_from(chosen: Range, x: Array, rng: np.random.Generator) -> Array:
    """Several numbers for each place, along a new first axis."""
    shape = _NUMBERS_OF_A_PLACE, *x.shape
    return rng.integers(*chosen, size=shape, dtype=x.dtype.type, endpoint=True)


# Mostly small ones, mostly large ones, and neither: what is counted is another number then, too.
_CHANGES: tuple[tuple[Change, Choice], ...] = (
    (_turned, lambda drawn: drawn.min(0)),
    (_drawn, lambda drawn: drawn.max(0)),
    (_drawn, lambda drawn: drawn[0]),
)
