"""Sums, extremes and other reductions over axes.

``axis`` is None (all), a number, or a tuple. Where several elements share a maximum or
minimum, they share its gradient equally. argmax and argmin have no derivative and return
plain integer arrays.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import number
from tinygrad_rnn.device import Array, where_it_is
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.ops.arithmetic import abs as absolute
from tinygrad_rnn.ops.arithmetic import mul, square, where
from tinygrad_rnn.ops.axes import Axes, axes_of, axis_of, largest
from tinygrad_rnn.primitive import unary
from tinygrad_rnn.sums import summed
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = [
    "argmax", "argmin", "cumsum", "max", "mean", "min", "norm", "prod", "std", "sum", "var",
]  # fmt: skip


@lru_cache(maxsize=4096)  # a backward pass asks again and again
def _kept(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    """The shape after reducing with the axes kept at size 1."""
    return tuple([1 if i in axis else n for i, n in enumerate(shape)])


# ----- sums -----


def _spread(F: Any, g: Any, axis: Any, shape: Any) -> Any:
    """The gradient of a sum: the same for every element that went in."""
    kept, before = _kept(shape, axis), g.shape
    if before != kept:
        g = F.reshape(g, shape=kept, before=before)
    return F.broadcast_to(g, shape=shape, before=kept)


_sum = unary(
    "sum",
    lambda x, axis, keepdims, shape: summed(x, axis, keepdims),
    lambda F, g, _out, _x, axis, keepdims, shape: _spread(F, g, axis, shape),
    floats=False,
)


def _mean_forward(x: Array, axis: tuple[int, ...], keepdims: bool, shape: object) -> Array:
    count = math.prod(x.shape[i] for i in axis)
    if x.dtype == np.float16:  # which ends at 65504
        return (summed(x.astype(np.float32), axis, keepdims) / np.float32(count)).astype(x.dtype)
    return summed(x, axis, keepdims) / x.dtype.type(count)


_mean = unary(
    "mean",
    _mean_forward,
    lambda F, g, _out, _x, axis, keepdims, shape: (
        _spread(F, g, axis, shape) * (1.0 / math.prod(shape[i] for i in axis))
    ),
)


def sum(x: object, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum over axes."""
    if not isinstance(x, Tensor):
        x = as_tensor(x, "sum")
    return _sum(x, axis=axes_of("sum", axis, x), keepdims=keepdims, shape=x._data.shape)


def mean(x: object, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean over axes."""
    x = as_tensor(x, "mean")
    axes = axes_of("mean", axis, x)
    if not math.prod(x.shape[i] for i in axes):
        raise ShapeError(f"mean: nothing to average over axes {axes} of shape {x.shape}.")
    return _mean(x, axis=axes, keepdims=keepdims, shape=x.shape)


def var(x: object, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance over axes; ``ddof=1`` divides by n - 1 instead of n."""
    x = as_tensor(x, "var")
    axes = axes_of("var", axis, x)
    freedom = _freedom("var", x, axes, ddof)
    squares = square(x - mean(x, axes, keepdims=True))
    if x.dtype == np.float16:
        return mean(squares, axes, keepdims) * (math.prod(x.shape[i] for i in axes) / freedom)
    return sum(squares, axes, keepdims) * (1.0 / freedom)


def std(x: object, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The standard deviation over axes; its subgradient is 0 where all elements are equal."""
    x = as_tensor(x, "std")
    axes = axes_of("std", axis, x)
    freedom = _freedom("std", x, axes, ddof)
    deviation = x - mean(x, axes, keepdims=True)
    return norm(deviation, axis=axes, keepdims=keepdims) * (1.0 / math.sqrt(freedom))


def _freedom(where: str, x: Tensor, axes: tuple[int, ...], ddof: Any) -> float:
    """What the sum of the squares is divided by."""
    count, less = math.prod(x.shape[i] for i in axes), number(where, "ddof", ddof)
    if not count > less:
        raise ShapeError(f"{where}: {count} elements over axes {axes}, expected more than {less}.")
    return count - less


_cumsum = unary(
    "cumsum",
    lambda x, axis: np.cumsum(x, axis=axis),
    lambda F, g, _out, _x, axis: F.flip(F.cumsum(F.flip(g, axis=axis), axis=axis), axis=axis),
    floats=False,
)


def cumsum(x: object, axis: int = 0) -> Tensor:
    """The running sum along an axis."""
    x = as_tensor(x, "cumsum")
    return _cumsum(x, axis=axis_of("cumsum", axis, x.ndim))


def prod(x: object, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The product over axes; its derivative is right where elements are zero, too."""
    x = as_tensor(x, "prod")
    axes = axes_of("prod", axis, x)
    rest = [i for i in range(x.ndim) if i not in axes]
    count = math.prod(x.shape[i] for i in axes)
    kept = _kept(x.shape, axes)
    if x.dtype.kind in "biu":  # in NumPy's wider type, as sum
        x = as_tensor(x._data.astype(np.multiply.reduce(np.empty(0, x.dtype)).dtype))
    flat = x.permute(*rest, *axes).reshape(*(x.shape[i] for i in rest), count)
    if count == 0:
        result = sum(flat, -1) + 1
    else:
        while count > 1:  # halves multiplied with each other: no division, few operations
            half = count // 2
            product = mul(flat[..., :half], flat[..., half : 2 * half])
            odd = [flat[..., 2 * half :]] if count % 2 else []
            flat = product.concat(*odd, axis=-1) if odd else product
            count = flat.shape[-1]
        result = flat[..., 0]
    return result.reshape(kept) if keepdims else result


# ----- extremes -----


def _extreme_rule(F: Any, g: Any, out: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    shape = _kept(x.shape, axis)
    winners = x == F.reshape(out, shape=shape, before=out.shape)
    share = (winners / winners.sum(axis=axis, keepdims=True)).astype(x.dtype)
    return F.reshape(g, shape=shape, before=g.shape) * share


def _extreme(choose: np.ufunc, find: Any, pick: str) -> Any:
    def forward(x: Array, axis: tuple[int, ...], keepdims: bool) -> Array:
        if x.dtype.kind != "c":
            if isinstance(x, np.ndarray):
                return choose.reduce(x, axis=axis, keepdims=keepdims)
            return find(x, axis=axis, keepdims=keepdims)
        rest = tuple(i for i in range(x.ndim) if i not in axis)
        count = math.prod(x.shape[i] for i in axis)
        flat = x.transpose(*rest, *axis).reshape(*(x.shape[i] for i in rest), count)
        best = getattr(np, pick)(flat.real, axis=-1)[..., None]
        result = np.take_along_axis(flat, best, axis=-1)[..., 0]
        return result.reshape(_kept(x.shape, axis)) if keepdims else result

    return forward


_max = unary("max", _extreme(np.maximum, np.max, "argmax"), _extreme_rule, floats=False)
_min = unary("min", _extreme(np.minimum, np.min, "argmin"), _extreme_rule, floats=False)


def _some(name: str, x: Tensor, axes: tuple[int, ...]) -> None:
    if not math.prod(x.shape[i] for i in axes):
        raise ShapeError(f"{name}: no elements over axes {axes} of shape {x.shape}.")


def max(x: object, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes."""
    x = as_tensor(x, "max")
    axes = axes_of("max", axis, x)
    _some("max", x, axes)
    return _max(x, axis=axes, keepdims=keepdims)


def min(x: object, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes."""
    x = as_tensor(x, "min")
    axes = axes_of("min", axis, x)
    _some("min", x, axes)
    return _min(x, axis=axes, keepdims=keepdims)


@where_it_is
def argmax(x: object, axis: int | None = None) -> Array:
    """The place of the largest element, the first of equals: an integer array, no Tensor."""
    return _place("argmax", np.argmax, x, axis)


@where_it_is
def argmin(x: object, axis: int | None = None) -> Array:
    """The place of the smallest element, the first of equals: an integer array, no Tensor."""
    return _place("argmin", np.argmin, x, axis)


def _place(where: str, find: Any, x: object, axis: Any) -> Array:
    x = as_tensor(x, where)
    axis = None if axis is None else axis_of(where, axis, x.ndim)
    try:
        return find(x._data, axis=axis)
    except ValueError:
        _some(where, x, axes_of(where, axis, x))
        raise


# ----- norms -----


def _norm_rule(F: Any, g: Any, out: Any, x: Any, axis: Any, keepdims: Any, shape: Any) -> Any:
    """x / |x|, and 0 at 0, where every direction is a subgradient."""
    kept = _kept(shape, axis)
    length = F.reshape(out, shape=kept, before=out.shape)
    return x * (F.reshape(g, shape=kept, before=g.shape) / F.where(length == 0, 1.0, length))


_norm = unary(
    "norm",
    lambda x, axis, keepdims, shape: np.sqrt(summed(x * x, axis, keepdims)),
    _norm_rule,
)


@where_it_is
def norm(x: object, ord: float = 2, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The vector norm over axes: ``sum(|x|^ord)^(1/ord)``; ``ord`` may be inf."""
    x = as_tensor(x, "norm")
    axes = axes_of("norm", axis, x)
    if ord == 2:
        return _norm(x, axis=axes, keepdims=keepdims, shape=x.shape)
    if ord == 1:
        return sum(absolute(x), axes, keepdims)
    if ord == math.inf:
        _some("norm", x, axes)
        return max(absolute(x), axes, keepdims)
    ord = number("norm", "ord", ord)
    if not ord > 0:
        raise ValueError(f"norm: ord is {ord}, expected a positive number or inf.")
    return _power_norm(x, float(ord), axes, keepdims)


def _power_norm(x: Tensor, ord: float, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """Any other order: in units of the largest element, whose powers might overflow."""
    sizes = absolute(x)
    top = largest(sizes._data.real, axes, 0)
    top = np.where(np.isfinite(top) & (top > 0), top, 1).astype(top.dtype)
    total = sum((sizes / top) ** ord, axes, keepdims=True)
    zero = total == 0  # where the root would be infinitely steep
    result = where(zero, 0.0, where(zero, 1.0, total) ** (1.0 / ord) * top)
    return (
        result if keepdims else result.reshape([x.shape[i] for i in range(x.ndim) if i not in axes])
    )
