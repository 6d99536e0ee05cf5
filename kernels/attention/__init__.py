"""Attention: additive scores (Bahdanau et al. 2015), masked weights, and all for single queries.

    z[b, t, s, h]   = tanh(query[b, t, h] + key[b, s, h])
    scores[b, t, s] = sum over h of vector[h] z[b, t, s, h]

z is T S H numbers for every row of a batch, and the largest thing in attention by far. It
never exists: kernels compute it in registers, forward, and again in ``backward``:

    d_query[b, t, h] = sum over s    of d_scores[b, t, s] vector[h] (1 - z^2)
    d_key[b, s, h]   = sum over t    of the same
    d_vector[b, h]   = sum over t, s of d_scores[b, t, s] z

The last is left apart for each row b. Where ``seen`` is 0 nothing is computed, and the score
is 0; where a gradient of a score is 0, nothing is computed for it.

Weights are the softmax of scores over those keys that are seen, and 0 for the others, and of a
query that sees none; more unseen keys behind the others change no bit:

    weights[s] = exp(scores[s] - top) / sum over seen s of the same    softmax_slope = y (g - Σ g y)

``attend`` is what a step of a decoder asks, forward alone: for query n, whose keys and values
are those of row ``of[n]``,

    fits[s]    = vector · tanh(query[n] + key[of[n], s]), or query[n] · key[of[n], s]
    weights[n] = softmax of fits over those s that are seen
    context[n] = sum over s of weights[n, s] value[of[n], s]
"""

from tinygrad_rnn.kernels._twin import Array, twin

__all__ = [
    "additive_backward", "additive_scores", "attend", "masked_softmax", "softmax_slope",
]  # fmt: skip


def additive_scores(query: Array, key: Array, vector: Array, seen: Array | None) -> Array:
    """Return the scores (B, T, S).

    query (B, T, H)  C-contiguous, as all of them
    key (B, S, H)
    vector (H)
    seen (B, T, S)   one byte, 0 where the score does not matter; T may be 1, for all; or None
    """
    return twin(__name__, query).additive_scores(query, key, vector, seen)


def additive_backward(
    g: Array, query: Array, key: Array, vector: Array, d_key: Array | None = None
) -> tuple[Array, Array, Array]:
    """Return the gradients of query (B, T, H), of key (B, S, H), and of vector by row (B, H).

    g (B, T, S)  that of the scores, 0 where they do not matter
    d_key        what the gradient of key is added to, in place; None for zeros
    """
    found: tuple[Array, Array, Array] = twin(__name__, query).additive_backward(
        g, query, key, vector, d_key
    )
    return found


def attend(
    query: Array, key: Array, vector: Array | None, value: Array, seen: Array | None, of: Array
) -> tuple[Array, Array]:
    """Return the context (N, V) and the weights (N, S).

    query (N, H)   C-contiguous, as all of them
    key (B, S, H)
    vector (H)     of additive scores; None for dots
    value (B, S, V)
    seen (B, S)    one byte, 0 where there is no key; or None. Where no key is seen, all is 0
    of (N,)        int64, from 0 to B - 1
    """
    found: tuple[Array, Array] = twin(__name__, query).attend(query, key, vector, value, seen, of)
    return found


def masked_softmax(x: Array, seen: Array | None) -> Array:
    """Return the weights (..., S) of scores x.

    x (..., S)
    seen       booleans, or bytes, that broadcast to x: 0 where there is no key; or None
    """
    return twin(__name__, x).masked_softmax(x, seen)


def softmax_slope(g: Array, y: Array) -> Array:
    """Return the gradient of scores, from that of their weights y (..., S)."""
    return twin(__name__, y).softmax_slope(g, y)
