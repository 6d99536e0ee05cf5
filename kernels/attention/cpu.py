"""Additive attention on the CPU: tanh of a vector of units at a time, in registers.

Forward, a slice is some queries of a row; backward, it is some vectors of units, whose
gradients of keys stay in the first cache while all queries go by. Sums go in the order of
the definition: over units forward, over queries and keys backward. The attention of single
queries is one kernel: keys and values of a row, which several queries may share, stay in the
cache, and what lies in between in the weights.
"""

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import (
    add,
    exp,
    fill,
    fma,
    largest,
    load,
    mul,
    store,
    sub,
    tanh,
    total,
)
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of
from tinygrad_rnn.kernels.attention.masks import rows_of

__all__ = [
    "additive_backward", "additive_scores", "attend", "masked_softmax", "softmax_slope",
]  # fmt: skip

_WORTH = 30_000  # numbers of z that are worth another thread: about as long as waking it


@kernel(
    "intp, intp, const(T[:, :, ::1]), const(T[:, :, ::1]), const(T[::1]), "
    "const(uint8[:, :, ::1]), intp, T[:, :, ::1]",
    fastmath=NO_FASTMATH,
)
def _scores(first, stop, query, key, vector, seen, every, scores):
    """``every`` is 0 where one row of ``seen`` is for all queries, 1 where each has its own."""
    T, S, H = query.shape[1], key.shape[1], query.shape[2]
    size, step = element_size(query), lanes(query)
    masked = seen.shape[0] > 0
    for place in range(first, stop):
        b, t = place // T, place % T
        q = address(query) + place * H * size
        for s in range(S):
            if masked and not seen[b, t * every, s]:
                scores[b, t, s] = 0
                continue
            k = address(key) + (b * S + s) * H * size
            v = address(vector)
            result = fill(query, 0.0)
            for h in range(0, H, step):
                at = h * size
                z = tanh(add(load(query, q + at, H - h), load(query, k + at, H - h)))
                result = fma(z, load(query, v + at, H - h), result)
            scores[b, t, s] = total(result)


@kernel(
    "intp, intp, const(T[:, :, ::1]), const(T[:, :, ::1]), const(T[:, :, ::1]), const(T[::1]), "
    "T[:, :, ::1], T[:, :, ::1], T[:, ::1]",
    fastmath=NO_FASTMATH,
)
def _gradients(first, stop, g, query, key, vector, d_query, d_key, d_vector):
    """The slice is of rows and, in each, vectors of units; ``d_key`` is added to."""
    T, S, H = query.shape[1], key.shape[1], query.shape[2]
    size, step = element_size(query), lanes(query)
    vectors = (H + step - 1) // step
    for place in range(first, stop):
        b, h = place // vectors, place % vectors * step
        rest, row = H - h, H * size
        queries, keys = (b * T * H + h) * size, (b * S * H + h) * size
        v = load(query, address(vector) + h * size, rest)
        by_vector = fill(query, 0.0)
        for t in range(T):
            q = load(query, address(query) + queries + t * row, rest)
            by_query = fill(query, 0.0)
            for s in range(S):
                if g[b, t, s] == 0:
                    continue
                weight = fill(query, g[b, t, s])
                here = keys + s * row
                z = tanh(add(q, load(query, address(key) + here, rest)))
                by_vector = fma(weight, z, by_vector)
                slope = mul(weight, sub(fill(query, 1.0), mul(z, z)))
                by_query = add(by_query, slope)
                so_far = load(query, address(d_key) + here, rest)
                store(query, address(d_key) + here, rest, fma(slope, v, so_far))
            store(query, address(d_query) + queries + t * row, rest, mul(by_query, v))
        store(query, address(d_vector) + (b * H + h) * size, rest, by_vector)


@helper(fastmath=NO_FASTMATH)
def _fit(like, q, k, v, H):
    """How well a query fits a key, by addresses; v is 0 for dots."""
    size, step = element_size(like), lanes(like)
    result = fill(like, 0.0)
    for h in range(0, H, step):
        a, b = load(like, q + h * size, H - h), load(like, k + h * size, H - h)
        if v != 0:
            a, b = tanh(add(a, b)), load(like, v + h * size, H - h)
        result = fma(a, b, result)
    return total(result)


@helper(fastmath=NO_FASTMATH)
def _softmax(like, weights, top):
    """Fits become weights, -inf 0; one after the other, so that padding changes nothing."""
    size, step, S = element_size(like), lanes(like), len(weights)
    begin, top = address(weights), fill(like, top)
    for s in range(0, S, step):
        fits = load(like, begin + s * size, S - s)
        store(like, begin + s * size, S - s, exp(sub(fits, top)))
    summed = weights[0]
    for s in range(1, S):
        summed += weights[s]
    summed = summed if summed != 0 else type(summed)(1)
    for s in range(S):
        weights[s] /= summed


@kernel(
    "intp, intp, const(T[:, ::1]), const(T[:, :, ::1]), const(T[::1]), const(T[:, :, ::1]), "
    "const(uint8[:, ::1]), const(int64[::1]), T[:, ::1], T[:, ::1]",
    fastmath=NO_FASTMATH,
)
def _attend(first, stop, query, key, vector, value, seen, of, context, weights):
    (S, H), V = key.shape[1:], value.shape[2]
    size, step = element_size(query), lanes(query)
    v = address(vector) if len(vector) > 0 else 0
    for n in range(first, stop):
        b, own = of[n], weights[n]
        nothing = largest(fill(query, -np.inf))
        top = nothing
        for s in range(S):
            own[s] = nothing
            if len(seen) == 0 or seen[b, s]:
                k = address(key) + (b * S + s) * H * size
                own[s] = _fit(query, address(query) + n * H * size, k, v, H)
                top = max(top, own[s])
        if top == nothing:
            own[:] = 0
        else:
            _softmax(query, own, top if np.isfinite(top) else type(top)(0))
        for u in range(0, V, step):
            found = fill(query, 0.0)
            for s in range(S):
                if own[s] != 0:
                    at = address(value) + ((b * S + s) * V + u) * size
                    found = fma(fill(query, own[s]), load(query, at, V - u), found)
            store(query, address(context) + (n * V + u) * size, V - u, found)


@kernel(
    "intp, intp, const(T[:, ::1]), const(uint8[:, ::1]), intp, intp, T[:, ::1]",
    fastmath=NO_FASTMATH,
)
def _weights(first, stop, x, seen, period, inner, out):
    for r in range(first, stop):
        scores, own, there = x[r], out[r], seen[r // period * inner + r % inner]
        top = largest(fill(x, -np.inf))
        for s in range(len(own)):
            if there[s] and scores[s] > top:
                top = scores[s]
        top = top if np.isfinite(top) else type(top)(0)
        for s in range(len(own)):
            own[s] = scores[s] if there[s] else largest(fill(x, -np.inf))
        _softmax(x, own, top)


@kernel("intp, intp, const(T[:, ::1]), const(T[:, ::1]), T[:, ::1]", fastmath=NO_FASTMATH)
def _slopes(first, stop, g, y, out):
    size, step, S = element_size(y), lanes(y), y.shape[1]
    for r in range(first, stop):
        here, summed = r * S * size, fill(y, 0.0)
        for s in range(0, S, step):
            at = here + s * size
            a, b = load(y, address(g) + at, S - s), load(y, address(y) + at, S - s)
            summed = fma(a, b, summed)
        mean = fill(y, total(summed))
        for s in range(0, S, step):
            at = here + s * size
            a, b = load(y, address(g) + at, S - s), load(y, address(y) + at, S - s)
            store(y, address(out) + at, S - s, mul(b, sub(a, mean)))


_ALL_SEEN, _ALL_THERE = np.zeros((0, 1, 1), np.uint8), np.zeros((0, 1), np.uint8)
_NO_VECTOR = {char: np.zeros(0, char) for char in "fd"}


def additive_scores(query, key, vector, seen):
    (B, T, H), S = query.shape, key.shape[1]
    scores = empty((B, T, S), query.dtype)
    seen = _ALL_SEEN if seen is None else seen
    every = int(seen.shape[1] != 1)
    grain = 1 + _WORTH // (S * H + 1)
    parallel(_scores, B * T, query, key, vector, seen, every, scores, grain=grain)
    return scores


def additive_backward(g, query, key, vector, d_key=None):
    (B, T, H), S = query.shape, key.shape[1]
    d_query = empty(query.shape, query.dtype)
    d_key = zeros(key.shape, key.dtype) if d_key is None else d_key
    d_vector = empty((B, H), query.dtype)
    step = lanes_of(query.dtype)
    grain = 1 + _WORTH // (T * S * step + 1)
    parallel(
        _gradients, B * -(-H // step), g, query, key, vector, d_query, d_key, d_vector, grain=grain
    )
    return d_query, d_key, d_vector


def attend(query, key, vector, value, seen, of):
    (N, H), (S, V), dtype = query.shape, value.shape[1:], query.dtype
    context, weights = empty((N, V), dtype), empty((N, S), dtype)
    vector = _NO_VECTOR[dtype.char] if vector is None else vector
    seen = _ALL_THERE if seen is None else seen
    grain = 1 + _WORTH // (S * (H + V) + 1)
    parallel(_attend, N, query, key, vector, value, seen, of, context, weights, grain=grain)
    return context, weights


def masked_softmax(x, seen):
    out = empty(x.shape, x.dtype)
    if x.size:
        seen, period, inner = rows_of(np, seen, x.shape)
        rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
        grain = 1 + _WORTH // rows.shape[1]
        parallel(
            _weights, len(rows), rows, seen, period, inner, out.reshape(rows.shape), grain=grain
        )
    return out


def softmax_slope(g, y):
    out = empty(y.shape, y.dtype)
    if y.size:
        g, y, there = (np.ascontiguousarray(a).reshape(-1, y.shape[-1]) for a in (g, y, out))
        parallel(_slopes, len(y), g, y, there, grain=1 + _WORTH // y.shape[1])
    return out
