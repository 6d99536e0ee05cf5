"""On the GPU: no array of T S H numbers anywhere, and a query of a decoder in one kernel."""

from pathlib import Path

import numpy as np

from tinygrad_rnn.kernels._cuda import launch, load, require
from tinygrad_rnn.kernels.attention import reference
from tinygrad_rnn.kernels.attention.masks import rows_of

__all__ = [
    "additive_backward", "additive_scores", "attend", "masked_softmax", "softmax_slope",
]  # fmt: skip

_SOURCE = Path(__file__).with_name("attention.cu")
_TOGETHER = 4  # queries a warp, as in the source


def _kernel(name, like):
    return load(_SOURCE, Real=like.dtype).get_function(name)


def additive_scores(query, key, vector, seen):
    if query.dtype.char not in "fd":
        return reference.additive_scores(query, key, vector, seen)
    (B, T, H), S = query.shape, key.shape[1]
    scores = require(__name__).empty((B, T, S), query.dtype)
    every = int(seen is not None and seen.shape[1] != 1)
    launch(
        _kernel("additive_scores", query), B * -(-T // _TOGETHER) * S * 32,
        query, key, vector, seen, scores, *map(np.int64, (B, T, S, H, every)),
    )  # fmt: skip
    return scores


def additive_backward(g, query, key, vector, d_key=None):
    if query.dtype.char not in "fd":
        return reference.additive_backward(g, query, key, vector, d_key)
    xp = require(__name__)
    (B, T, H), S = query.shape, key.shape[1]
    d_query, d_vector = xp.empty(query.shape, query.dtype), xp.empty((B, H), query.dtype)
    d_key = xp.zeros(key.shape, key.dtype) if d_key is None else d_key
    strips = -(-H // 32)
    launch(
        _kernel("additive_queries_back", query), (B * strips,),
        g, query, key, vector, d_query, d_vector, *map(np.int64, (T, S, H)),
    )  # fmt: skip
    launch(
        _kernel("additive_keys_back", query), B * S * strips * 32,
        g, query, key, vector, d_key, *map(np.int64, (B, T, S, H)),
    )  # fmt: skip
    return d_query, d_key, d_vector


def attend(query, key, vector, value, seen, of):
    xp = require(__name__)
    (N, H), (S, V) = query.shape, value.shape[1:]
    context, weights = xp.empty((N, V), query.dtype), xp.empty((N, S), query.dtype)
    launch(
        _kernel("attend", query), (N,),
        query, key, vector, value, seen, xp.asarray(of), context, weights,
        *map(np.int64, (S, H, V)),
    )  # fmt: skip
    return context, weights


def masked_softmax(x, seen):
    if x.dtype.char not in "fd":
        return reference.masked_softmax(x, seen)
    xp = require(__name__)
    x, out, S = xp.ascontiguousarray(x), xp.empty(x.shape, x.dtype), x.shape[-1]
    if x.size:
        period = inner = 1
        if seen is not None:
            seen, period, inner = rows_of(xp, seen, x.shape)
        sizes = map(np.int64, (x.size // S, S, period, inner))
        launch(_kernel("masked_softmax", x), x.size // S * 32, x, seen, out, *sizes)
    return out


def softmax_slope(g, y):
    if y.dtype.char not in "fd":
        return reference.softmax_slope(g, y)
    xp = require(__name__)
    g, y = map(xp.ascontiguousarray, (g, y))
    out, S = xp.empty(y.shape, y.dtype), y.shape[-1]
    if y.size:
        sizes = map(np.int64, (y.size // S, S))
        launch(_kernel("softmax_slope", y), y.size // S * 32, g, y, out, *sizes)
    return out
