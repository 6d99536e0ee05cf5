"""Fused multiply-add in NumPy: what the compiled kernels get from hardware, to the bit."""

import numpy as np

__all__ = ["fma"]


def fma(x, y, z):
    """Return x * y + z rounded once; for complex numbers, plainly rounded twice.

    Exact for float32. For float64 as long as nothing over- or underflows on the way.
    """
    dtype = np.result_type(x, y, z)
    if dtype == np.float32:
        # A float64 holds the product of two float32 without rounding. Rounding the sum to
        # odd keeps the second rounding, to float32, from seeing a tie that is none.
        total, error = _two_sum(np.multiply(x, y, dtype=np.float64), z.astype(np.float64))
        return _to_odd(total, error).astype(np.float32)
    if dtype == np.float64:
        return _fma64(x, y, z)
    return x * y + z


def _fma64(x, y, z):
    """Multiply and add with error-free transformations.

    Boldo and Melquiond 2008, Emulation of a FMA and correctly rounded sums, figure 4.
    """
    high, low = _two_product(x, y)
    t, t_low = _two_sum(z, low)
    u, u_low = _two_sum(high, t)
    result = u + _to_odd(*_two_sum(u_low, t_low))
    # Infinities and NaN break the transformations, and zeros would lose their sign in them;
    # the plain sum is right for both.
    return np.where(np.isfinite(result) & (result != 0), result, x * y + z)


def _two_sum(x, y):
    """Return x + y rounded, and its error."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _two_product(x, y):
    """Return x * y rounded, and its error (Dekker 1971)."""
    product = x * y
    x_high, x_low = _halves(x)
    y_high, y_low = _halves(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def _halves(x):
    """Split a float64 into two numbers of 26 bits (Veltkamp)."""
    scaled = x * 134217729.0  # 2**27 + 1
    high = scaled - (scaled - x)
    return high, x - high


def _to_odd(total, error):
    """Round total + error to odd: if inexact, to the neighbour whose last bit is set."""
    total, error = np.broadcast_arrays(total, error)
    even = (total.view(np.int64) & 1) == 0
    inexact = (error != 0) & np.isfinite(error)
    neighbour = np.nextafter(total, np.copysign(np.inf, error))
    return np.where(inexact & even, neighbour, total)
