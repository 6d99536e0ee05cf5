"""Convolution: every sum over windows of an array, and the two gradients that it has.

    y[b, o, p]  = bias[o] + sum over c, k    of w[o, c, k] x[b, c, p stride + k dilation - before]
    dx[b, c, i] =           sum over o, p, k of w[o, c, k] g[b, o, p]
    dw[o, c, k] =           sum over b, p    of g[b, o, p] x[b, c, p stride + k dilation - before]

where i = p stride + k dilation - before in the second line, and x is 0 outside of its sizes.
Places p, offsets k and all that says how far are one number or two, for the last axes. With
G groups, output o reads the C / G channels of its own group, and w has only those.

Each of the three is linear in both of its factors, and the gradients of each are the other two,
so derivatives of every order are made of them.

``reference`` defines the values. ``cpu`` sums in a fixed order: a number of y over k row by row,
and then c; bits do not depend on threads, and those of y and dx not on the rest of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tinygrad_rnn.kernels._twin import Array, twin

__all__ = ["Windows", "convolve", "convolve_input", "convolve_weight"]


@dataclass(frozen=True)
class Windows:
    """How windows lie on the last axes: a number for each of them in every field but the last.

    padding  how many zeros stand before and behind
    groups   G
    """

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def places(self, sizes: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
        """How many windows of this kernel there are along each axis; below 1 if it is too long."""
        return tuple(
            (n + sum(p) - (k - 1) * d - 1) // s + 1
            for n, k, s, p, d in zip(
                sizes, kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )


def convolve(x: Array, w: Array, bias: Array | None, windows: Windows) -> Array:
    """Return y (B, O, *places).

    x (B, C, *sizes)
    w (O, C / G, *kernel)
    bias (O,)  or None
    """
    return twin(__name__, x).convolve(x, w, bias, windows)


def convolve_input(g: Array, w: Array, sizes: tuple[int, ...], windows: Windows) -> Array:
    """Return dx (B, C, *sizes).

    g (B, O, *places)
    w (O, C / G, *kernel)
    """
    return twin(__name__, g).convolve_input(g, w, sizes, windows)


def convolve_weight(g: Array, x: Array, kernel: tuple[int, ...], windows: Windows) -> Array:
    """Return dw (O, C / G, *kernel).

    g (B, O, *places)
    x (B, C, *sizes)
    """
    return twin(__name__, g).convolve_weight(g, x, kernel, windows)
