"""On the CPU: the kernels of recurrences that are normalised, whose rows are whole arrays here."""

from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels.normalization import reference
from tinygrad_rnn.kernels.recurrence import cpu_standard

__all__ = ["standardize", "standardize_slope"]


def standardize(x, eps):
    if x.dtype.char not in "fd":
        return reference.standardize(x, eps)
    return _standardized(x, eps)[0].reshape(x.shape)


def standardize_slope(g, x, eps):
    if x.dtype.char not in "fd":
        return reference.standardize_slope(g, x, eps)
    rows, deviations = _standardized(x, eps)
    gradients = _rows_of(g)
    cpu_standard.standardize_back(rows, gradients, deviations)
    return gradients.reshape(x.shape)


def _standardized(x, eps):
    rows = _rows_of(x)
    deviations = empty((len(rows), 1), x.dtype)
    cpu_standard.standardize(rows, eps, deviations)
    return rows, deviations


def _rows_of(x):
    """A copy, as rows."""
    copy = empty(x.shape, x.dtype)
    copy[...] = x
    return copy.reshape(x.size // x.shape[-1], x.shape[-1])
