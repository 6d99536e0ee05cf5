"""On the GPU: one place of the kernel after the other, each a product of matrices by CuPy."""

from math import prod

from tinygrad_rnn.kernels._cuda import require


def convolve(x, w, bias, windows):
    xp = require(__name__)
    B, (O, _, *kernel), G = len(x), w.shape, windows.groups
    places = windows.places(x.shape[2:], kernel)
    y = xp.zeros((B, G, O // G, prod(places)), x.dtype)
    if bias is not None:
        y += bias.reshape(G, O // G, 1)
    x, w = _padded(xp, x, windows), w.reshape(G, O // G, *w.shape[1:])
    for offset, read in _offsets(x, kernel, places, windows):
        y += xp.matmul(w[(..., *offset)], read.reshape(B, G, w.shape[2], prod(places)))
    return y.reshape(B, O, *places)


def convolve_input(g, w, sizes, windows):
    xp = require(__name__)
    B, (O, c, *kernel), G = len(g), w.shape, windows.groups
    places = g.shape[2:]
    whole = _padded(xp, xp.zeros((B, G * c, *sizes), g.dtype), windows)
    g, w = g.reshape(B, G, O // G, prod(places)), w.reshape(G, O // G, *w.shape[1:])
    for offset, read in _offsets(whole, kernel, places, windows):
        part = xp.matmul(w[(..., *offset)].swapaxes(1, 2), g)
        read += part.reshape(read.shape)
    inside = tuple(slice(p, p + n) for (p, _), n in zip(windows.padding, sizes, strict=True))
    return xp.ascontiguousarray(whole[(..., *inside)]).reshape(B, G * c, *sizes)


def convolve_weight(g, x, kernel, windows):
    xp = require(__name__)
    (B, O, *places), C, G = g.shape, x.shape[1], windows.groups
    dw = xp.zeros((G, O // G, C // G, *kernel), g.dtype)
    x, g = _padded(xp, x, windows), g.reshape(B, G, O // G, prod(places))
    for offset, read in _offsets(x, kernel, places, windows):
        columns = read.reshape(B, G, C // G, prod(places)).swapaxes(2, 3)
        dw[(..., *offset)] = xp.matmul(g, columns).sum(axis=0)
    return dw.reshape(O, C // G, *kernel)


def _padded(xp, x, windows):
    """A copy with the zeros around it, by groups."""
    x = xp.pad(x, [(0, 0), (0, 0), *windows.padding])
    return x.reshape(len(x), windows.groups, x.shape[1] // windows.groups, *x.shape[2:])


def _offsets(x, kernel, places, windows):
    """Each place in a window, and a view of what all windows have there."""
    counts = list(zip(places, windows.stride, windows.dilation, strict=True))
    for number in range(prod(kernel)):
        offset = []
        for k in reversed(kernel):
            number, rest = divmod(number, k)
            offset.insert(0, rest)
        starts = [k * d for k, (_, _, d) in zip(offset, counts, strict=True)]
        along = zip(starts, counts, strict=True)
        yield tuple(offset), x[(..., *(slice(a, a + (n - 1) * s + 1, s) for a, (n, s, _) in along))]
