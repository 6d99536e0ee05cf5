"""The definition, in NumPy. Complex numbers, of complex steps, go by their real parts."""

import numpy as np


def row_sums(x, weights=None, out=None):
    top = np.max(x.real, axis=1, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(x.real.dtype)
    with np.errstate(all="ignore"):
        shifted = x - top[:, None]
        powers = np.exp(shifted)
        lean = None if weights is None else (weights * shifted).sum(axis=1)
    if out is not None:
        out[...] = powers
    return top, powers.sum(axis=1), lean


def row_best(x, count):
    top, total, _ = row_sums(x)
    scores = np.where(np.isnan(x.real), -np.inf, x.real)
    token, found = np.zeros(x.shape, np.int64), np.zeros(len(x), np.int64)
    with np.errstate(all="ignore"):
        logs = np.where(
            scores == -np.inf, -np.inf, (scores - top[:, None]) - np.log(total)[:, None]
        )
    for n, row in enumerate(logs):
        (there,) = np.nonzero(row > -np.inf)
        bound = np.sort(row[there])[::-1][:count].min(initial=np.inf)
        good = there[row[there] >= bound]
        found[n] = len(good)
        token[n, : len(good)] = good
    return top, total, scores.max(axis=1, initial=-np.inf), token, found


def row_slopes(x, top, total, g, even=None, weights=None, out=None):
    out = np.empty_like(x) if out is None else out
    idle = g == 0
    with np.errstate(all="ignore"):
        out[...] = np.exp(x - top[:, None]) * (g / total)[:, None]
        if even is not None:
            out -= np.multiply.outer(even, weights)
            idle &= even == 0
    out[idle] = 0
    return out


def class_losses(x, ids, hard, even=None, weights=None):
    return losses_by(row_sums, row_slopes, x, ids, hard, even, weights)


def losses_by(row_sums, row_slopes, x, ids, hard, even, weights):
    """The losses by what sums rows and makes slopes: these, or those of the CPU."""
    rows = np.arange(len(ids))
    own, idle = x[rows, ids], hard == 0
    with np.errstate(all="ignore"):
        if even is None:
            top, total, _ = row_sums(x, out=x)
            losses, factors = hard * (top - own + np.log(total)), hard / total
            x[rows, ids] -= total
        else:
            top, total, lean = row_sums(x, weights)
            log_total, weight = np.log(total), weights.sum()
            losses = hard * (top - own + log_total)
            losses += even * (weight * log_total - lean)
            idle &= even == 0
            row_slopes(x, top, total, hard + even * weight, even, weights, out=x)
            x[rows, ids] -= hard
            factors = np.ones_like(hard)
    losses[idle] = 0
    if even is None:
        factors[idle] = 0
        x[idle] = 0
    return losses, factors
