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
