"""The largest number of every window, and where its gradient goes.

    y[b, c, p]  = max over k of x[b, c, p stride + k - before]
    dx[b, c, i] = sum over those p whose largest stands at i of g[b, c, p]

Of equal numbers the first is the largest, row by row, and a NaN is larger than all; what is
outside of x is never the largest. Every window has to reach into x.
"""

from tinygrad_rnn.kernels._twin import Array, twin
from tinygrad_rnn.kernels.convolution import Windows

__all__ = ["max_pool", "max_pool_input"]


def max_pool(x: Array, kernel: tuple[int, ...], windows: Windows) -> tuple[Array, Array]:
    """Return y (B, C, *places), and in int32 where in x, row by row, each of it stands.

    x (B, C, *sizes)  of one or two sizes; ``windows`` without dilation
    """
    found: tuple[Array, Array] = twin(__name__, x).max_pool(x, kernel, windows)
    return found


def max_pool_input(g: Array, places: Array, sizes: tuple[int, ...]) -> Array:
    """Return dx (B, C, *sizes).

    g (B, C, *places)
    places (B, C, *places)  as ``max_pool`` gave them
    """
    return twin(__name__, g).max_pool_input(g, places, sizes)
