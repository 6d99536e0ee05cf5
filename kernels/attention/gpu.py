"""On the GPU: the definition, a query at a time, so that T S H numbers are never held."""

from tinygrad_rnn.kernels._cuda import require


def additive_scores(query, key, vector, seen):
    xp = require(__name__)
    rows = [xp.tanh(query[:, t, None] + key) @ vector for t in range(query.shape[1])]
    shape = (*query.shape[:2], key.shape[1])
    scores = xp.stack(rows, axis=1) if rows else xp.zeros(shape, query.dtype)
    return scores if seen is None else xp.where(seen != 0, scores, 0)


def additive_backward(g, query, key, vector, d_key=None):
    xp = require(__name__)
    d_query = xp.zeros_like(query)
    d_key = xp.zeros_like(key) if d_key is None else d_key
    d_vector = xp.zeros((len(query), len(vector)), query.dtype)
    for t in range(query.shape[1]):
        z, here = xp.tanh(query[:, t, None] + key), g[:, t, :, None]
        inner = here * (1 - z * z) * vector
        d_query[:, t] = inner.sum(axis=1)
        d_key += inner
        d_vector += (here * z).sum(axis=1)
    return d_query, d_key, d_vector


def attend(query, key, vector, value, seen, of):
    xp = require(__name__)
    keys = key[of]
    if vector is None:
        fits = (query[:, None] * keys).sum(axis=-1)
    else:
        fits = xp.tanh(query[:, None] + keys) @ vector
    there = xp.ones(fits.shape, bool) if seen is None else seen[of] != 0
    fits = xp.where(there, fits, -xp.inf)
    top = xp.max(fits, axis=1, initial=-xp.inf, keepdims=True)
    e = xp.exp(fits - xp.where(xp.isinf(top), 0, top))
    total = e.sum(axis=1, keepdims=True)
    weights = (e / xp.where(total == 0, 1, total)).astype(query.dtype)
    return (weights[..., None] * xp.where(there[..., None], value[of], 0)).sum(axis=1), weights
