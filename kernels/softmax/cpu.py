"""Rows of scores on the CPU: a vector at a time, some rows a slice.

A row is read twice for its sums, for its maximum and for its exponentials: one of 100,000
scores still lies in the second-level cache, and to keep both in one pass would take two
exponentials a score instead of one.
"""

import numpy as np

from tinygrad_rnn.kernels._chain import Link
from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import (
    add,
    exp,
    fill,
    fma,
    gt,
    largest,
    load,
    lt,
    mul,
    store,
    sub,
    total,
    where,
)
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of
from tinygrad_rnn.kernels.softmax.reference import losses_by

__all__ = ["class_losses", "row_best", "row_slopes", "row_sums", "sums_link"]

_FEW = 8  # vectors of which one maximum is taken
_BLOCK = 32  # vectors that are summed before their sum is added: less is lost in long rows
_NOTHING = {char: np.zeros(0, char) for char in "fd"}
_NOWHERE = {char: np.zeros((0, 0), char) for char in "fd"}
_PLACES = {char: np.arange(lanes_of(char), dtype=char) for char in "fd"}


@helper(fastmath=NO_FASTMATH)
def _scores(like, place, count, places):
    """The next scores; past the end of the row -inf, which has no weight."""
    scores = load(like, place, count)
    if count < lanes(like):
        scores = where(lt(places, fill(like, count)), scores, fill(like, -np.inf))
    return scores


@helper(fastmath=NO_FASTMATH)
def _top(like, row, width, places):
    """The largest score, or 0; NaN is passed over, and is found in the sum."""
    size, step = element_size(like), lanes(like)
    most = fill(like, -np.inf)
    for u in range(0, width, step):
        scores = _scores(like, row + u * size, width - u, places)
        most = where(gt(scores, most), scores, most)
    found = largest(most)
    return found if np.isfinite(found) else type(found)(0)


@helper(fastmath=NO_FASTMATH)
def _total(like, row, width, places, top, there):
    size, step = element_size(like), lanes(like)
    summed, top = fill(like, 0.0), fill(like, top)
    for block in range(0, width, _BLOCK * step):
        part = fill(like, 0.0)
        for u in range(block, min(width, block + _BLOCK * step), step):
            powers = exp(sub(_scores(like, row + u * size, width - u, places), top))
            part = add(part, powers)
            if there != 0:
                store(like, there + u * size, width - u, powers)
        summed = add(summed, part)
    return total(summed)


@helper(fastmath=NO_FASTMATH)
def _lean(like, row, weights, width, top):
    size, step = element_size(like), lanes(like)
    summed, top = fill(like, 0.0), fill(like, top)
    for block in range(0, width, _BLOCK * step):
        part = fill(like, 0.0)
        for u in range(block, min(width, block + _BLOCK * step), step):
            shifted = sub(load(like, row + u * size, width - u), top)
            part = fma(load(like, weights + u * size, width - u), shifted, part)
        summed = add(summed, part)
    return total(summed)


@kernel(
    "intp, intp, const(T[:, ::1]), const(T[::1]), const(T[::1]), T[:, ::1], T[:, ::1]",
    fastmath=NO_FASTMATH,
)
def _sums(first, stop, x, weights, places, sums, out):
    size, width, numbers = element_size(x), x.shape[1], load(x, address(places), len(places))
    for n in range(first, stop):
        row = address(x) + n * width * size
        top = _top(x, row, width, numbers)
        sums[0, n] = top
        if len(weights) > 0:
            sums[2, n] = _lean(x, row, address(weights), width, top)
        there = address(out) + n * width * size if len(out) > 0 else 0
        sums[1, n] = _total(x, row, width, numbers, top, there)


@helper(fastmath=NO_FASTMATH)
def _class_maxima(like, row, width, places, maxima):
    """The largest score of each class: columns that are ``len(maxima)`` apart."""
    size, step = element_size(like), lanes(like)
    for c in range(0, len(maxima), step):
        store(like, address(maxima) + c * size, step, fill(like, -np.inf))
    for begin in range(0, width, len(maxima)):
        at = address(maxima) - begin * size
        for u in range(begin, min(width, begin + len(maxima)), step):
            scores = _scores(like, row + u * size, width - u, places)
            most = load(like, at + u * size, step)
            store(like, at + u * size, step, where(gt(scores, most), scores, most))


@helper(fastmath=NO_FASTMATH)
def _bound(maxima, count):
    """The ``count``-th largest maximum, to which they are brought in order; and the largest."""
    for k in range(count):
        best = k
        for c in range(k + 1, len(maxima)):
            if maxima[c] > maxima[best]:
                best = c
        maxima[k], maxima[best] = maxima[best], maxima[k]
    return maxima[count - 1], maxima[0]


@helper(fastmath=NO_FASTMATH)
def _passing(like, x, row, places, bound, token):
    """Note where scores pass a bound; a block in which none does is passed over quickly."""
    size, step, width = element_size(like), lanes(like), len(x)
    found = 0
    for block in range(0, width, _FEW * step):
        stop = min(width, block + _FEW * step)
        most = fill(like, -np.inf)
        for u in range(block, stop, step):
            scores = _scores(like, row + u * size, width - u, places)
            most = where(gt(scores, most), scores, most)
        if largest(most) >= bound:
            for c in range(block, stop):
                if x[c] >= bound:
                    if found < len(token):
                        token[found] = c
                    found += 1
    return found


@kernel(
    "intp, intp, const(T[:, ::1]), intp, const(T[::1]), T[:, ::1], T[:, ::1], int64[:, ::1], "
    "int64[::1]",
    fastmath=NO_FASTMATH,
)
def _best(first, stop, x, count, places, maxima, sums, token, found):
    """``places`` ends with the least number that is not -inf, and how far rounding may go."""
    width, numbers = x.shape[1], load(x, address(places), lanes(x))
    least, room = places[-2], places[-1]
    for n in range(first, stop):
        row = address(x) + n * width * element_size(x)
        _class_maxima(x, row, width, numbers, maxima[n])
        bound, most = _bound(maxima[n], count)
        top = most if np.isfinite(most) else type(most)(0)
        sums[0, n], sums[2, n] = top, most
        sums[1, n] = _total(x, row, width, numbers, top, 0)
        if bound > -np.inf:
            bound -= room * (top - bound + type(top)(1))
        found[n] = _passing(x, x[n], row, numbers, max(bound, least), token[n])


@kernel(
    "intp, intp, const(T[:, ::1]), const(T[:, ::1]), const(T[::1]), T[:, ::1]",
    fastmath=NO_FASTMATH,
)
def _slopes(first, stop, x, factors, weights, out):
    size, step, width = element_size(x), lanes(x), x.shape[1]
    for n in range(first, stop):
        here, there = address(x) + n * width * size, address(out) + n * width * size
        factor, even = factors[1, n], factors[2, n]
        idle = factor == 0 and even == 0
        top, scale, less = fill(x, factors[0, n]), fill(x, factor), fill(x, -even)
        for u in range(0, width, step):
            slopes = fill(x, 0.0)
            if not idle:
                slopes = mul(scale, exp(sub(load(x, here + u * size, width - u), top)))
                if len(weights) > 0:
                    row = load(x, address(weights) + u * size, width - u)
                    slopes = fma(less, row, slopes)
            store(x, there + u * size, width - u, slopes)


def row_sums(x, weights=None, out=None):
    x, char = np.ascontiguousarray(x), x.dtype.char
    sums = np.empty((3, len(x)), x.dtype)
    weights = _NOTHING[char] if weights is None else np.ascontiguousarray(weights)
    target = _NOWHERE[char] if out is None else out
    parallel(_sums, len(x), x, weights, _PLACES[char], sums, target, grain=_grain(x))
    return sums[0], sums[1], sums[2] if len(weights) else None


def row_best(x, count):
    x, char = np.ascontiguousarray(x), x.dtype.char
    height, width = x.shape
    sums = np.empty((3, height), x.dtype)
    token = np.empty((height, 4 * count + 8), np.int64)
    found = np.empty(height, np.int64)
    step = lanes_of(x.dtype)
    classes = step * -(-max(64, 4 * count) // step)
    maxima = empty((height, classes), x.dtype)
    info = np.finfo(x.dtype)
    # log P is off by less than eps (top - x + log total), and log total at most log(width).
    room = 4 * info.eps * (2 + np.log(width + 1))
    places = np.append(_PLACES[char], np.array([info.min, room], x.dtype))
    parallel(_best, height, x, count, places, maxima, sums, token, found, grain=_grain(x))
    return *sums, token, found


def sums_link(x, sums):
    """The sums of rows as a link of a chain: ``sums`` (3, N) gets top and total."""
    char = x.dtype.char
    return Link(_sums, len(x), (x, _NOTHING[char], _PLACES[char], sums, _NOWHERE[char]))


def row_slopes(x, top, total, g, even=None, weights=None, out=None):
    x, char = np.ascontiguousarray(x), x.dtype.char
    out = empty(x.shape, x.dtype) if out is None else out
    target = out if out.flags.c_contiguous else empty(x.shape, x.dtype)
    factors = np.zeros((3, len(x)), x.dtype)
    factors[0] = top
    with np.errstate(all="ignore"):
        np.divide(g, total, out=factors[1], where=g != 0)
    if even is not None:
        factors[2] = even
    weights = _NOTHING[char] if even is None else np.ascontiguousarray(weights)
    parallel(_slopes, len(x), x, factors, weights, target, grain=_grain(x))
    if target is not out:
        out[...] = target
    return out


def class_losses(x, ids, hard, even=None, weights=None):
    return losses_by(row_sums, row_slopes, x, ids, hard, even, weights)


def _grain(x):
    return 1 + 10_000 // (x.shape[1] + 1)
