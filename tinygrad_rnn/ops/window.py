"""Windows that slide over the last axes of an array: what convolution and pooling are made of.

Reading windows and adding into them are each other's derivative, so both have every order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.primitive import unary
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["windows"]

Sizes = tuple[int, ...]


def _places(shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many windows there are along each of the last axes."""
    sizes = shape[len(shape) - len(kernel) :]
    return tuple(
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    )


def _offsets(kernel: Sizes) -> Any:
    """The places in a window, in row-major order."""
    return np.ndindex(*kernel)


def _at(offset: Sizes, places: Sizes, stride: Sizes, dilation: Sizes) -> tuple[Any, ...]:
    """The index of what all windows have at one place of theirs."""
    return (
        ...,
        *(
            slice(o * d, o * d + (n - 1) * s + 1, s)
            for o, n, s, d in zip(offset, places, stride, dilation, strict=True)
        ),
    )


def _windows_forward(
    x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes, before: Sizes
) -> Array:
    places = _places(x.shape, kernel, stride, dilation)
    leading = x.shape[: x.ndim - len(kernel)]
    out = array_module(x).empty((*leading, *places, *kernel), x.dtype)
    for offset in _offsets(kernel):
        out[(..., *offset)] = x[_at(offset, places, stride, dilation)]
    return out


def _from_windows_forward(
    x: Array, kernel: Sizes, stride: Sizes, dilation: Sizes, before: Sizes
) -> Array:
    out = array_module(x).zeros(before, x.dtype)
    places = _places(before, kernel, stride, dilation)
    for offset in _offsets(kernel):
        out[_at(offset, places, stride, dilation)] += x[(..., *offset)]
    return out


_windows = unary(
    "windows",
    _windows_forward,
    lambda F, g, _out, _x, kernel, stride, dilation, before: F.from_windows(
        g, kernel=kernel, stride=stride, dilation=dilation, before=before
    ),
    floats=False,
)

_from_windows = unary(
    "from_windows",
    _from_windows_forward,
    lambda F, g, _out, _x, kernel, stride, dilation, before: F.windows(
        g, kernel=kernel, stride=stride, dilation=dilation, before=before
    ),
    floats=False,
)


def windows(
    x: object, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    """All windows over the last axes: (..., *sizes) -> (..., *places, *kernel), a copy.

        y[..., p, k] = x[..., p stride + k dilation]

    ``kernel``, ``stride`` and ``dilation`` have a whole number for each of those axes.
    """
    x = as_tensor(x, "windows")
    names = {"kernel": kernel, "stride": stride, "dilation": dilation}
    sizes = {n: tuple(whole("windows", n, k, least=1) for k in given) for n, given in names.items()}
    count = len(sizes["kernel"])
    if not count or len(sizes["stride"]) != count or len(sizes["dilation"]) != count:
        raise ShapeError(
            f"windows: kernel, stride and dilation are {', '.join(map(str, sizes.values()))}; "
            "expected a number for each axis in each of them."
        )
    if x.ndim < count or min(_places(x.shape, **sizes)) < 1:
        spans = tuple(
            (k - 1) * d + 1 for k, d in zip(sizes["kernel"], sizes["dilation"], strict=True)
        )
        raise ShapeError(
            f"windows: x has shape {x.shape}, expected the last axes to be {spans} at least, which "
            "is what a window spans."
        )
    return _windows(x, **sizes, before=x.shape)
