"""The definition, over whole arrays."""

import numpy as np


def additive_scores(query, key, vector, seen):
    scores = (_fits(query, key) * vector).sum(axis=-1)
    return scores if seen is None else np.where(seen, scores, 0)


def additive_backward(g, query, key, vector):
    z = _fits(query, key)
    inner = g[..., None] * (1 - z * z) * vector
    return inner.sum(axis=2), inner.sum(axis=1), (g[..., None] * z).sum(axis=(1, 2))


def _fits(query, key):
    return np.tanh(query[:, :, None] + key[:, None])
