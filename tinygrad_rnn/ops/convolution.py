"""Convolution over the last one or two axes.

Its gradients are two operations of their own. The gradients of each of the three are the other
two, so there are derivatives of every order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels import convolution
from tinygrad_rnn.ops.axes import Sizes, each_axis
from tinygrad_rnn.primitive import Along, nary
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["convolve"]

Shape = tuple[int, ...]


def _by_images(
    axis: int, _out: Shape, shapes: Sequence[Shape], _attrs: Mapping[str, Any]
) -> Along | None:
    """Rows are images; the weight and the bias are shared."""
    return None if axis else Along((0, *[None] * (len(shapes) - 1)))


# All take the windows, and the sizes of x and of the kernel, which are the shapes of gradients.

_convolve = nary(
    "convolve",
    lambda x, w, windows, **_sizes: convolution.convolve(x, w, None, windows),
    lambda F, g, _out, _x, w, **how: F.convolve_input(g, w, **how),
    lambda F, g, _out, x, _w, **how: F.convolve_weight(g, x, **how),
    floats=True,
    along=_by_images,
)

_convolve_with_bias = nary(
    "convolve_with_bias",
    lambda x, w, b, windows, **_sizes: convolution.convolve(x, w, b, windows),
    lambda F, g, _out, _x, w, _b, **how: F.convolve_input(g, w, **how),
    lambda F, g, _out, x, _w, _b, **how: F.convolve_weight(g, x, **how),
    lambda _F, g, _out, _x, _w, _b, **_how: g.sum(axis=(0, *range(2, g.ndim))),
    floats=True,
    along=_by_images,
)

_convolve_input = nary(
    "convolve_input",
    lambda g, w, windows, sizes, kernel: convolution.convolve_input(g, w, sizes, windows),
    lambda F, g, _out, _g, w, **how: F.convolve(g, w, **how),
    lambda F, g, _out, given, _w, **how: F.convolve_weight(given, g, **how),
    floats=True,
    along=_by_images,
)

_convolve_weight = nary(
    "convolve_weight",
    lambda g, x, windows, sizes, kernel: convolution.convolve_weight(g, x, kernel, windows),
    lambda F, g, _out, _g, x, **how: F.convolve(x, g, **how),
    lambda F, g, _out, given, _x, **how: F.convolve_input(given, g, **how),
    floats=True,
)


def _widths(given: Any, axes: int) -> tuple[tuple[int, int], ...]:
    """How many zeros stand before and behind each axis."""
    widths = given if isinstance(given, Sequence) else (given,) * axes
    pairs = [tuple(n) if isinstance(n, Sequence) else (n, n) for n in widths]
    if len(pairs) != axes or any(len(pair) != 2 for pair in pairs):
        raise ShapeError(
            f"convolve: padding is {given!r}, expected one number, or for each of {axes} axes a "
            "number or two: before and behind."
        )
    return tuple((_zeros(before), _zeros(behind)) for before, behind in pairs)


def _zeros(count: Any) -> int:
    return whole("convolve", "padding", count, least=0)


def convolve(
    x: object,
    w: object,
    b: object = None,
    stride: Sizes = 1,
    padding: int | Sequence[int | Sequence[int]] = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Sums over windows of the last one or two axes: correlation, as everywhere in deep learning.

        y[b, o, p] = b[o] + Σ_c Σ_k w[o, c, k] x[b, c, p stride + k dilation - padding]

    x (B, C, *sizes), w (O, C / groups, *kernel), b (O)  ->  y (B, O, *places). Where x has no
    place it is 0. Output o reads the channels of its own group.

    Args:
        stride: How far windows are apart: one number, or one for each axis.
        padding: How many zeros stand at both ends of each axis, or pairs of before and behind.
        dilation: How far the places of a window are apart.
        groups: Into how many parts channels are divided, which have nothing to do with each other.
    """
    x, w = as_tensor(x, "convolve"), as_tensor(w, "convolve")
    axes, groups = x.ndim - 2, whole("convolve", "groups", groups, least=1)
    if axes not in (1, 2) or w.ndim != x.ndim or x.shape[1] != w.shape[1] * groups:
        raise ShapeError(
            f"convolve: x has shape {x.shape}, w {w.shape}; expected (B, C, *sizes) and "
            f"(O, C / {groups}, *kernel), of one or two sizes."
        )
    if w.shape[0] % groups:
        raise ShapeError(f"convolve: w has shape {w.shape}, expected {groups} groups of outputs.")
    windows = convolution.Windows(
        each_axis("convolve", "stride", stride, axes, 1), _widths(padding, axes),
        each_axis("convolve", "dilation", dilation, axes, 1), groups,
    )  # fmt: skip
    how = {"windows": windows, "sizes": x.shape[2:], "kernel": w.shape[2:]}
    if min(w.shape[2:]) < 1 or min(windows.places(x.shape[2:], w.shape[2:])) < 1:
        spans = tuple((k - 1) * d + 1 for k, d in zip(w.shape[2:], windows.dilation, strict=True))
        whole_sizes = tuple(n + sum(p) for n, p in zip(x.shape[2:], windows.padding, strict=True))
        raise ShapeError(
            f"convolve: x is {whole_sizes} with its padding, w spans {spans}; expected a kernel of "
            "one place at least, and x as long as that."
        )
    if b is None:
        return _convolve(x, w, **how)
    b = as_tensor(b, "convolve")
    if b.shape != w.shape[:1]:
        raise ShapeError(f"convolve: b has shape {b.shape}, expected {w.shape[:1]} from w.")
    return _convolve_with_bias(x, w, b, **how)
