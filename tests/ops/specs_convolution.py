"""Specs of ``tinygrad_rnn.ops.convolution``."""

import numpy as np
from hypothesis import strategies as st

from tests.ops.specs_window import _from_windows, _windows
from tinygrad_rnn import ops
from tinygrad_rnn.kernels.convolution import Windows
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import DENSE


@st.composite
def _shapes(draw, side):
    """Shapes of x, of w and of y, and how windows lie: any that leave one place at least."""
    axes, groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kernel, stride, dilation = (
        tuple(draw(st.integers(1, most)) for _ in range(axes)) for most in (3, 3, 2)
    )
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes))
    windows = Windows(stride, padding, dilation, groups)
    sizes = tuple(
        max(1, (k - 1) * d + 1 - sum(p)) + draw(st.integers(0, 3))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    B, c, o = draw(st.integers(side, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    x, w = (B, c * groups, *sizes), (o * groups, c, *kernel)
    return x, w, (B, o * groups, *windows.places(sizes, kernel)), windows


def _case(*which, primitive):
    """Cases with some of x, w, y and the bias as operands."""

    @st.composite
    def draw_case(draw, side):
        *shapes, windows = draw(_shapes(side))
        shapes.append(shapes[1][:1])
        inputs = tuple(draw(gs.arrays(shapes[n], styles=DENSE, low=-2, high=2)) for n in which)
        how = {"stride": windows.stride, "padding": windows.padding,
               "dilation": windows.dilation, "groups": windows.groups}  # fmt: skip
        if primitive:
            how = {"windows": windows, "sizes": shapes[0][2:], "kernel": shapes[1][2:]}
        return Case(inputs, how)

    return draw_case


def _by_group(x, groups, at=1):
    return x.reshape(*x.shape[:at], groups, x.shape[at] // groups, *x.shape[at + 1 :])


def _read(x, w_sizes, windows):
    """What windows read: (B, G, C / G, places, kernel)."""
    x = np.pad(x, [(0, 0), (0, 0), *windows.padding])
    found = _windows(x, w_sizes, windows.stride, windows.dilation)
    count, size = np.prod(found.shape[2 : x.ndim]), np.prod(w_sizes)
    return _by_group(found.reshape(*x.shape[:2], count, size), windows.groups)


def _convolve(x, w, b=None, *, stride, padding, dilation, groups):
    windows = Windows(stride, padding, dilation, groups)
    read = _read(x, w.shape[2:], windows)
    y = np.einsum("bgcpk,gock->bgop", read, _by_group(w.reshape(*w.shape[:2], -1), groups, 0))
    y = y.reshape(len(x), len(w), *windows.places(x.shape[2:], w.shape[2:]))
    return y if b is None else y + b.reshape(-1, *[1] * len(stride))


def _convolve_input(g, w, windows, sizes, kernel):
    G, places = windows.groups, g.shape[2:]
    flat = _by_group(g.reshape(*g.shape[:2], np.prod(places)), G)
    parts = np.einsum("bgop,gock->bgcpk", flat, _by_group(w.reshape(*w.shape[:2], -1), G, 0))
    whole = tuple(n + sum(p) for n, p in zip(sizes, windows.padding, strict=True))
    before = (len(g), w.shape[1] * G, *whole)
    parts = parts.reshape(*before[:2], *places, *kernel)
    dx = _from_windows(parts, kernel, windows.stride, windows.dilation, before)
    inside = (slice(a, a + n) for (a, _), n in zip(windows.padding, sizes, strict=True))
    return dx[(..., *inside)]


def _convolve_weight(g, x, windows, sizes, kernel):
    G, places = windows.groups, g.shape[2:]
    flat = _by_group(g.reshape(*g.shape[:2], np.prod(places)), G)
    dw = np.einsum("bgop,bgcpk->gock", flat, _read(x, kernel, windows))
    return dw.reshape(g.shape[1], x.shape[1] // G, *kernel)


def _summed(*inputs, **how):
    """Sums are over a kernel and channels, or over all places."""
    return max(1, *(x.size for x in inputs))


SPECS = [
    OpSpec("convolve", ops.convolve, _convolve, _case(0, 1, primitive=False), terms=_summed,
           linear=(0,)),
    OpSpec("convolve_with_bias", ops.convolve, _convolve, _case(0, 1, 3, primitive=False),
           terms=_summed, linear=(1, 2)),
    OpSpec("convolve_input", PRIMITIVES["convolve_input"].call, _convolve_input,
           _case(2, 1, primitive=True), terms=_summed, linear=(1,)),
    OpSpec("convolve_weight", PRIMITIVES["convolve_weight"].call, _convolve_weight,
           _case(2, 0, primitive=True), terms=_summed, linear=(0,)),
]  # fmt: skip
