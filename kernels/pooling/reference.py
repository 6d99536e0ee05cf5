"""The definition: one place of the kernel after the other."""

from math import prod

import numpy as np

__all__ = ["added", "largest", "max_pool", "max_pool_input"]


def max_pool(x, kernel, windows):
    return largest(np, x, kernel, windows)


def max_pool_input(g, places, sizes):
    return added(np, g, places, sizes)


def largest(xp, x, kernel, windows):
    """As ``max_pool``, over the arrays of ``xp``; complex numbers go by their real parts."""
    sizes, places = x.shape[2:], windows.places(x.shape[2:], kernel)
    y = xp.zeros((*x.shape[:2], *places), x.dtype)
    at = xp.full(y.shape, -1, np.int32)
    numbers = xp.arange(prod(sizes), dtype=np.int32).reshape(sizes)
    for offset in np.ndindex(*kernel):
        here, there = [...], [...]
        for n, count, s, k, (before, _) in zip(
            sizes, places, windows.stride, offset, windows.padding, strict=True
        ):
            begin, end = max(0, -((k - before) // s)), min(count, (n - 1 - k + before) // s + 1)
            here.append(slice(begin, max(begin, end)))
            there.append(slice(begin * s + k - before, max(begin, end) * s + k - before, s))
        found, best, held = x[tuple(there)], y[tuple(here)], at[tuple(here)]
        more = (held < 0) | (found.real > best.real) | (xp.isnan(found) & ~xp.isnan(best))
        y[tuple(here)] = xp.where(more, found, best)
        at[tuple(here)] = xp.where(more, numbers[tuple(there)], held)
    return y, at


def added(xp, g, places, sizes):
    """As ``max_pool_input``, over the arrays of ``xp``."""
    rows, size = prod(g.shape[:2]), prod(sizes)
    dx = xp.zeros(rows * size, g.dtype)
    starts = xp.arange(rows).reshape(*g.shape[:2], *[1] * (g.ndim - 2)) * size
    xp.add.at(dx, (starts + places).reshape(-1), g.reshape(-1))
    return dx.reshape(*g.shape[:2], *sizes)
