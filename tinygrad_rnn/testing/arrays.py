"""Arrays worth testing with: dense, of any size, named by a style and a seed; and layouts.

``hypothesis.extra.numpy.arrays`` fills 99 % of a 32 x 128 array with one value, and constant
matrices hide bugs: a transposed operand, a sum over the wrong axis. Here a style and a seed
name a whole dense array, so the search moves between kinds of arrays, and shrinking towards
``STYLES[0]`` leaves zeros wherever numbers do not matter.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["LAYOUTS", "STYLES", "filled", "folded", "relayout"]

Array = np.ndarray[Any, Any]

# From simple to wild: a search shrinks to the left. "explicit" is drawn element by element.
STYLES = (
    "zeros", "ones", "one_hot", "lattice", "gaussian", "saturating", "near_kink", "explicit",
)  # fmt: skip

LAYOUTS = (
    "C", "F", "strided", "negative", "offset", "transposed", "broadcast", "read_only", "unaligned",
)  # fmt: skip


def filled(
    shape: tuple[int, ...], style: str, seed: int, *, kinks: Sequence[float] = (0.0,)
) -> Array:
    """A float64 array of one style; equal arguments give equal arrays.

    zeros, ones   constant
    one_hot       a single 1
    lattice       multiples of 1/2 between -2 and 2: exact sums, and ties
    gaussian      standard normal
    saturating    between 2.5 and 4 in size: tanh is flat there, but not yet lost to rounding
    near_kink     on a kink, or from 1e-12 to 0.1 away from it
    """
    rng = np.random.default_rng(seed)
    match style:
        case "zeros":
            return np.zeros(shape)
        case "ones":
            return np.ones(shape)
        case "one_hot":
            array = np.zeros(math.prod(shape))
            if array.size:
                array[rng.integers(array.size)] = 1.0
            return array.reshape(shape)
        case "lattice":
            return np.asarray(rng.integers(-4, 5, shape) / 2)
        case "gaussian":
            return np.asarray(rng.standard_normal(shape))
        case "saturating":
            return np.asarray(rng.uniform(2.5, 4.0, shape) * rng.choice([-1.0, 1.0], shape))
        case "near_kink":
            away = 10.0 ** rng.uniform(-12, -1, shape) * rng.choice([-1.0, 0.0, 1.0], shape)
            return np.asarray(rng.choice(np.asarray(kinks, np.float64), shape) + away)
    raise ValueError(f"filled: style is {style!r}, expected one of {', '.join(STYLES[:-1])}.")


def folded(array: Array, low: float, high: float) -> Array:
    """The numbers reflected at ``low`` and ``high`` until they lie between them, both included."""
    if math.isinf(low) and math.isinf(high):
        return array
    if math.isinf(high):
        return np.asarray(low + np.abs(array - low))
    if math.isinf(low):
        return np.asarray(high - np.abs(array - high))
    width = high - low
    return np.asarray(low + np.abs((array - low + width) % (2 * width) - width))


def relayout(array: Array, layout: str) -> Array:
    """The same numbers elsewhere in memory; NaN lies between and around them.

    "broadcast" repeats the first slice along the longest axis, without a copy, so there the
    numbers are others.
    """
    view: Array
    if layout == "C":
        return np.array(array, order="C")
    if layout == "F":
        return np.array(array, order="F")
    if layout == "read_only":
        copy = np.array(array, order="C")
        copy.flags.writeable = False
        return copy
    if layout == "transposed":  # axes stand in memory in a rotated order
        order = (*range(1, array.ndim), *range(array.ndim)[:1])
        return np.array(array.transpose(order), order="C").transpose(np.argsort(order))
    if layout == "broadcast":
        if not array.size:
            return array.copy()
        axis = int(np.argmax(array.shape)) if array.ndim else 0
        first = array.take([0], axis=axis) if array.ndim else array
        return np.broadcast_to(first, array.shape)
    if layout == "unaligned":  # as in a file that is mapped into memory
        view = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        return view
    if layout not in LAYOUTS:
        raise ValueError(f"relayout: layout is {layout!r}, expected one of {', '.join(LAYOUTS)}.")
    step = {"strided": 2, "negative": -1, "offset": 1}[layout]
    room = [abs(step) * n + 3 for n in array.shape]
    buffer = np.full(room or (3,), np.nan if array.dtype.kind in "fc" else 1, array.dtype)
    if not array.ndim:
        view = buffer[1:2].reshape(())
    else:
        inside = tuple(slice(1, 1 + abs(step) * n, abs(step)) for n in array.shape)
        view = buffer[inside]
        if step < 0:
            view = view[(slice(None, None, -1),) * array.ndim]
    view[...] = array
    return view
