"""Guessing what went wrong from how a wrong gradient relates to the right one."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_rnn.testing.numeric import Array

__all__ = ["guess"]

# The right gradient with the cotangent kept in one slice only: (output, axis, index) -> gradient.
Part = Callable[[int, int, int], Array]

MOST_BLOCKS = 6  # gates that stand side by side


def guess(
    analytic: Array,
    numeric: Array,
    close: float,
    outputs: list[tuple[int, ...]],
    part: Part | None = None,
) -> str | None:
    """The simplest relation between a wrong gradient and the right one, in words.

    Args:
        close: How far apart two elements may be that count as the same.
        outputs: Shapes of the results.
        part: Gives the right gradient of one row or step of one result.
    """
    for found in _relations(analytic, numeric, close, outputs, part):
        return found
    return None


def _relations(
    a: Array, n: Array, close: float, outputs: list[tuple[int, ...]], part: Part | None
) -> Iterator[str]:
    def same(x: Array, y: Array) -> bool:
        return x.shape == y.shape and bool(np.all(np.abs(x - y) <= close))

    if not np.isfinite(a).all():
        bad = ~np.isfinite(a)
        kind = "NaN" if np.isnan(a[bad]).all() else "infinite or NaN"
        yield f"{kind} at {_where(bad) if a.ndim else 'its only element'}"
        return
    if same(a, np.zeros(a.shape)):
        yield "the gradient is 0: is a path missing, or cut by detach(), None or a plain array?"
    if same(n, np.zeros(n.shape)):
        yield "the true gradient is 0: is this a leak, from padding, a mask or another row?"
    yield from _factor(a, n, close)
    yield from _partly(a, n, close)
    yield from _rearranged(a, n, same)
    if part is not None:
        yield from _one_part(a, n, same, outputs, part)
    yield from _stretch(np.abs(a - n) > close)


def _factor(a: Array, n: Array, close: float) -> Iterator[str]:
    """The same up to one number."""
    size = float(np.sum(n * n))
    if not size:
        return
    c = float(np.sum(a * n)) / size
    if np.abs(a - c * n).max(initial=0) > close * max(1.0, abs(c)) or abs(c) < 1e-6:
        return
    names = {-1.0: "the sign is wrong", 2.0: "counted twice?", 0.5: "a factor 2 is missing?"}
    for value, name in names.items():
        if abs(c - value) < 1e-6:
            yield f"analytic = {value:g} * numeric: {name}"
            return
    whole = round(1 / c) if abs(c) < 1 else round(c)
    exact = 1 / whole if abs(c) < 1 and whole else float(whole)
    if whole not in (0, 1) and abs(c - exact) < 1e-6:
        if abs(c) < 1:
            yield f"analytic = numeric / {whole}: a mean for a sum?"
        else:
            yield f"analytic = {whole} * numeric: a sum for a mean, or counted {whole} times?"
    elif abs(c - 1) < 1e-3:
        off = f"analytic = (1 {'-' if c < 1 else '+'} {abs(c - 1):.1g}) * numeric"
        yield f"{off}: a constant or a step without all its digits?"
    elif a.size > 1:
        yield f"analytic = {c:.6g} * numeric: a factor is missing"


def _rearranged(a: Array, n: Array, same: Callable[[Array, Array], bool]) -> Iterator[str]:
    """The same elements in other places."""
    for axes in itertools.permutations(range(a.ndim)):
        if axes != tuple(range(a.ndim)) and same(a, n.transpose(axes)):
            yield f"analytic is the transpose of numeric (axes {axes}): a factor not transposed?"
    for axis, length in enumerate(a.shape):
        if length < 2:
            continue
        if length > 2 and same(a, np.flip(n, axis)):  # of two, it is a swap
            yield f"analytic is numeric in reverse along axis {axis}"
        yield from _blocks(a, n, axis, same)
        later = same(np.delete(a, 0, axis), np.delete(n, -1, axis))
        if later or same(np.delete(a, -1, axis), np.delete(n, 0, axis)):
            yield f"analytic is numeric shifted by one along axis {axis}: the step before or after?"


def _blocks(a: Array, n: Array, axis: int, same: Callable[[Array, Array], bool]) -> Iterator[str]:
    """Equal blocks along an axis, in another order."""
    for count in range(2, MOST_BLOCKS + 1):
        if a.shape[axis] % count:
            continue
        ours, right = np.split(a, count, axis), np.split(n, count, axis)
        order = []
        for block in ours:
            found = [i for i, other in enumerate(right) if same(block, other)]
            if not found:
                break
            order.append(found[0])
        moved = [i for i, place in enumerate(order) if i != place]
        if len(order) == count and len(set(order)) == count and moved:
            which = " and ".join(map(str, moved)) if len(moved) == 2 else f"in the order {order}"
            yield f"of {count} blocks along axis {axis}, {which} are swapped: gates in wrong order?"


def _partly(a: Array, n: Array, close: float) -> Iterator[str]:
    """Right in some places; in the others 0, or not 0 where it should be."""
    wrong = np.abs(a - n) > close
    if not wrong.any():
        return
    missing = wrong & (np.abs(a) <= close)
    if missing.sum() == wrong.sum() and wrong.sum() < wrong.size:
        yield f"0 instead of the gradient at {_where(wrong)}: a sum that stops too early?"
    if not np.any(np.abs(n[wrong]) > close):
        yield f"not 0 where the true gradient is ({_where(wrong)}): a leak from padding or a mask?"


def _stretch(wrong: Any) -> Iterator[str]:
    """Wrong along a stretch of one axis, right elsewhere."""
    for axis, length in enumerate(wrong.shape):
        rows = np.moveaxis(wrong, axis, 0).reshape(length, -1).any(axis=1)
        places = [int(i) for i in np.flatnonzero(rows)]
        if length > 1 and len(places) == 1:
            yield f"wrong only at index {places[0]} of axis {axis} (of {length})"
        elif len(places) < length and places == list(range(places[0], places[-1] + 1)):
            hint = ": does the way back stop there?" if places[0] == 0 else ""
            yield f"wrong at {places[0]} to {places[-1]} of axis {axis} (of {length}){hint}"


def _one_part(
    a: Array,
    n: Array,
    same: Callable[[Array, Array], bool],
    outputs: list[tuple[int, ...]],
    part: Part,
) -> Iterator[str]:
    """What one row or step of one result alone would give."""
    for output, shape in enumerate(outputs):
        for axis, length in enumerate(shape):
            if length < 2:
                continue
            for index in (length - 1, 0):
                alone = part(output, axis, index)
                if same(a, alone):
                    which = "last" if index else "first"
                    yield (
                        f"analytic is the contribution of the {which} index of axis {axis} of "
                        f"result {output} alone: a sum is missing?"
                    )
                elif same(a, n - alone):
                    which = "last" if index else "first"
                    yield (
                        f"the contribution of the {which} index of axis {axis} of result {output} "
                        "is missing"
                    )


def _where(wrong: Any) -> str:
    places = [tuple(int(i) for i in place) for place in np.argwhere(wrong)]
    shown = ", ".join(str(list(place)) for place in places[:4])
    return shown + (f" and {len(places) - 4} more" if len(places) > 4 else "")
