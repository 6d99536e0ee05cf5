"""Rows that are standardised: mean 0 and variance 1; the larger half of layer normalisation.

    y[n, c] = (x[n, c] - mean[n]) / sqrt(variance[n] + eps)

over the last axis, whose variance is the mean of the squares of what is left beside the mean.
The gradient of x is made of that of y, and of x alone, so nothing else needs to be kept:

    slope[n, c] = (g[n, c] - mean(g[n]) - y[n, c] mean(g[n] y[n])) / sqrt(variance[n] + eps)

A row's bits depend on that row alone. Rows are at least one number wide.
"""

from tinygrad_rnn.kernels._twin import Array, twin

__all__ = ["standardize", "standardize_slope"]


def standardize(x: Array, eps: float) -> Array:
    """Return y (..., C) of x (..., C)."""
    return twin(__name__, x).standardize(x, eps)


def standardize_slope(g: Array, x: Array, eps: float) -> Array:
    """Return the gradient of x (..., C), from that of y."""
    return twin(__name__, x).standardize_slope(g, x, eps)
