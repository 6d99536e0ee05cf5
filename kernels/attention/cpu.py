"""Additive attention on the CPU: tanh of a vector of units at a time, in registers.

Forward, a slice is some queries of a row; backward, it is some vectors of units, whose
gradients of keys stay in the first cache while all queries go by. Sums go in the order of
the definition: over units forward, over queries and keys backward.
"""

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._memory import empty, zeros
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import add, fill, fma, load, mul, store, sub, tanh, total
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of

__all__ = ["additive_backward", "additive_scores"]

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
    """The slice is of rows and, in each, vectors of units; ``d_key`` holds zeros."""
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
                store(query, address(d_key) + here, rest, add(so_far, slope))
            store(query, address(d_query) + queries + t * row, rest, mul(by_query, v))
        for s in range(S):
            here = address(d_key) + keys + s * row
            store(query, here, rest, mul(load(query, here, rest), v))
        store(query, address(d_vector) + (b * H + h) * size, rest, by_vector)


_ALL_SEEN = np.zeros((0, 1, 1), np.uint8)


def additive_scores(query, key, vector, seen):
    (B, T, H), S = query.shape, key.shape[1]
    scores = empty((B, T, S), query.dtype)
    seen = _ALL_SEEN if seen is None else seen
    every = int(seen.shape[1] != 1)
    grain = 1 + _WORTH // (S * H + 1)
    parallel(_scores, B * T, query, key, vector, seen, every, scores, grain=grain)
    return scores


def additive_backward(g, query, key, vector):
    (B, T, H), S = query.shape, key.shape[1]
    d_query, d_key = empty(query.shape, query.dtype), zeros(key.shape, key.dtype)
    d_vector = empty((B, H), query.dtype)
    step = lanes_of(query.dtype)
    grain = 1 + _WORTH // (T * S * step + 1)
    parallel(
        _gradients, B * -(-H // step), g, query, key, vector, d_query, d_key, d_vector, grain=grain
    )
    return d_query, d_key, d_vector
