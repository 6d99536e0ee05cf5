"""The definition: one place of the kernel after the other, each a product over channels."""

from math import prod

import numpy as np


def convolve(x, w, bias, windows):
    B, (O, _, *kernel), G = len(x), w.shape, windows.groups
    places = windows.places(x.shape[2:], kernel)
    y = np.zeros((B, G, O // G, *places), np.result_type(x, w))
    y += 0 if bias is None else bias.reshape(G, O // G, *[1] * len(places))
    x, w = _grouped(_padded(x, windows), G), w.reshape(G, O // G, *w.shape[1:])
    for offset, at in _offsets(kernel, places, windows):
        y += np.einsum("bgc...,goc->bgo...", x[at], w[(..., *offset)])
    return y.reshape(B, O, *places)


def convolve_input(g, w, sizes, windows):
    B, (O, c, *kernel), G = len(g), w.shape, windows.groups
    dx = np.zeros((B, G * c, *sizes), np.result_type(g, w))
    whole = _padded(dx, windows)
    parts, w = _grouped(whole, G), w.reshape(G, O // G, *w.shape[1:])
    for offset, at in _offsets(kernel, g.shape[2:], windows):
        parts[at] += np.einsum("bgo...,goc->bgc...", _grouped(g, G), w[(..., *offset)])
    inside = tuple(slice(p, p + n) for (p, _), n in zip(windows.padding, sizes, strict=True))
    return np.ascontiguousarray(whole[(..., *inside)])


def convolve_weight(g, x, kernel, windows):
    G, O, C = windows.groups, g.shape[1], x.shape[1]
    dw = np.zeros((G, O // G, C // G, *kernel), np.result_type(g, x))
    places, x, g = g.shape[2:], _grouped(_padded(x, windows), G), _grouped(g, G)
    g = g.reshape(*g.shape[:3], prod(places))
    for offset, at in _offsets(kernel, places, windows):
        part = x[at].reshape(*x.shape[:3], prod(places))
        dw[(..., *offset)] = np.einsum("bgop,bgcp->goc", g, part)
    return dw.reshape(O, C // G, *kernel)


def _padded(x, windows):
    """A copy with the zeros around it."""
    return np.pad(x, [(0, 0), (0, 0), *windows.padding])


def _grouped(x, G):
    """(B, C, *sizes) as (B, G, C / G, *sizes), a view."""
    return x.reshape(len(x), G, x.shape[1] // G, *x.shape[2:])


def _offsets(kernel, places, windows):
    """Each place in a window, and the index of what all windows have there."""
    steps = list(zip(places, windows.stride, windows.dilation, strict=True))
    for offset in np.ndindex(*kernel):
        along = zip(offset, steps, strict=True)
        yield offset, (..., *(slice(k * d, k * d + (n - 1) * s + 1, s) for k, (n, s, d) in along))
