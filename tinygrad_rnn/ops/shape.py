"""Shapes: the same numbers in another arrangement. Views where NumPy gives views."""

import math
from collections.abc import Sequence
from itertools import accumulate
from operator import index
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array, array_module, device_of, normalize_device, to_device
from tinygrad_rnn.engine import unbroadcast
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.ops.axes import axis_of
from tinygrad_rnn.primitive import unary, variadic
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = [
    "astype", "broadcast_to", "chunk", "clone", "concat", "expand", "flip", "pad", "permute",
    "repeat", "reshape", "split", "squeeze", "stack", "swapaxes", "tile", "to", "transpose",
    "unbind", "unsqueeze",
]  # fmt: skip


def _whole(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as numbers or as one sequence."""
    if len(shape) == 1 and not isinstance(shape[0], int | np.integer):
        shape = shape[0]
    return tuple(map(index, shape))


# ----- the same elements, other axes -----

_reshape = unary(
    "reshape",
    lambda x, shape, before: x.reshape(shape),
    lambda F, g, _out, _x, shape, before: F.reshape(g, shape=before, before=g.shape),
    view=True,
    floats=False,
)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The order of axes that takes a permutation back."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


_permute = unary(
    "permute",
    lambda x, axes: x.transpose(axes),
    lambda F, g, _out, _x, axes: F.permute(g, axes=_inverse(axes)),
    view=True,
    floats=False,
)


def _broadcast(x: Array, shape: tuple[int, ...], before: tuple[int, ...]) -> Array:
    """A view with strides of 0 where elements repeat: numpy.broadcast_to takes 2 µs for it."""
    extra = len(shape) - x.ndim
    if x.__class__ is not np.ndarray or extra < 0 or not x.flags.c_contiguous:
        return array_module(x).broadcast_to(x, shape)
    strides = [0] * len(shape)
    if x.size != 1:
        for i, old in enumerate(x.shape):
            if old == shape[extra + i]:
                strides[extra + i] = x.strides[i]
            elif old != 1:
                return np.broadcast_to(x, shape)  # which says what is wrong
    view: Array = np.ndarray(shape, x.dtype, x, 0, strides)
    view.flags.writeable = False
    return view


_broadcast_to = unary(
    "broadcast_to",
    _broadcast,
    lambda _F, g, _out, _x, shape, before: unbroadcast(g, before),
    view=True,
    floats=False,
)

_flip = unary(
    "flip",
    lambda x, axis: np.flip(x, axis),
    lambda F, g, _out, _x, axis: F.flip(g, axis=axis),
    view=True,
    floats=False,
)


def reshape(x: object, *shape: Any) -> Tensor:
    """The elements in another shape; one size may be -1."""
    if not isinstance(x, Tensor):
        x = as_tensor(x)
    return _reshape(x, shape=_whole(shape), before=x._data.shape)


def permute(x: object, *axes: Any) -> Tensor:
    """The axes in another order."""
    x = as_tensor(x)
    order = tuple(axis_of("permute", a, x.ndim) for a in _whole(axes))
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"permute: axes {order}, expected each of the {x.ndim} axes once.")
    return _permute(x, axes=order)


def transpose(x: object, *axes: Any) -> Tensor:
    """The axes reversed, or in the order given."""
    x = as_tensor(x)
    return permute(x, *axes) if axes else _permute(x, axes=tuple(range(x.ndim))[::-1])


def swapaxes(x: object, a: int, b: int) -> Tensor:
    """Two axes exchanged."""
    x = as_tensor(x)
    order = list(range(x.ndim))
    a, b = axis_of("swapaxes", a, x.ndim), axis_of("swapaxes", b, x.ndim)
    order[a], order[b] = b, a
    return _permute(x, axes=tuple(order))


def squeeze(x: object, axis: int | Sequence[int] | None = None) -> Tensor:
    """Without the given axes of size 1, or without all of them."""
    x = as_tensor(x)
    if axis is None:
        return reshape(x, [n for n in x.shape if n != 1])
    axes = {axis_of("squeeze", a, x.ndim) for a in ([axis] if isinstance(axis, int) else axis)}
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of shape {x.shape} has size {x.shape[a]}, not 1.")
    return reshape(x, [n for i, n in enumerate(x.shape) if i not in axes])


def unsqueeze(x: object, axis: int) -> Tensor:
    """With a new axis of size 1 at ``axis``."""
    x = as_tensor(x)
    axis = axis_of("unsqueeze", axis, x.ndim + 1)
    return reshape(x, [*x.shape[:axis], 1, *x.shape[axis:]])


def broadcast_to(x: object, *shape: Any) -> Tensor:
    """Repeated along new axes and axes of size 1, without a copy."""
    x = as_tensor(x)
    return _broadcast_to(x, shape=_whole(shape), before=x.shape)


def expand(x: object, *shape: Any) -> Tensor:
    """``broadcast_to`` in which -1 leaves an axis as it is."""
    x = as_tensor(x)
    sizes = _whole(shape)
    extra = len(sizes) - x.ndim
    if extra < 0 or -1 in sizes[:extra]:
        raise ShapeError(f"expand: {x.shape} to {sizes}: -1 stands only for an axis that exists.")
    return broadcast_to(x, [x.shape[i - extra] if n == -1 else n for i, n in enumerate(sizes)])


def flip(x: object, axis: int | Sequence[int] | None = None) -> Tensor:
    """The order of the elements reversed along axes (all of them if None)."""
    x = as_tensor(x)
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    return _flip(x, axis=tuple(axis_of("flip", a, x.ndim) for a in axes))


# ----- joining and cutting -----


def _concat_rule(
    F: Any, g: Any, _out: Any, *_inputs: Any, number: Any, axis: Any, ends: Any
) -> Any:
    start = ends[number - 1] if number else 0
    return F.getitem(g, index=(slice(None),) * axis + (slice(start, ends[number]),), before=g.shape)


_concat = variadic(
    "concat", lambda arrays, axis, ends: np.concatenate(arrays, axis=axis), _concat_rule
)


def concat(tensors: Sequence[object], *more: object, axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis that exists."""
    given: Any = tensors
    parts = [as_tensor(t) for t in ([given, *more] if isinstance(given, Tensor) else given)]
    if not parts:
        raise ShapeError("concat: no tensors to join.")
    axis = axis_of("concat", axis, parts[0].ndim)
    rest = [t.shape[:axis] + t.shape[axis + 1 :] for t in parts]
    for number, other in enumerate(rest):
        if other != rest[0] or parts[number].ndim != parts[0].ndim:
            raise ShapeError(
                f"concat: tensor {number} has shape {parts[number].shape}, but the first has "
                f"{parts[0].shape}; they may differ only along axis {axis}."
            )
    ends = tuple(accumulate(t.shape[axis] for t in parts))
    return _concat(parts, axis=axis, ends=ends)


def stack(tensors: Sequence[object], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    parts = [as_tensor(t) for t in tensors]
    if not parts:
        raise ShapeError("stack: no tensors to join.")
    for number, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise ShapeError(
                f"stack: tensor {number} has shape {part.shape}, the first has {parts[0].shape}."
            )
    axis = axis_of("stack", axis, parts[0].ndim + 1)
    return concat([unsqueeze(part, axis) for part in parts], axis=axis)


def split(x: object, sizes: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Cut along an axis: into pieces of one size (the last may be smaller), or of given sizes."""
    x = as_tensor(x)
    axis = axis_of("split", axis, x.ndim)
    length = x.shape[axis]
    if isinstance(sizes, int):
        if sizes < 1:
            raise ShapeError(f"split: pieces of size {sizes}, expected at least 1.")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    if sum(sizes) != length or min(sizes, default=0) < 0:
        raise ShapeError(f"split: sizes {list(sizes)} do not add up to {length}, axis {axis}.")
    ends = list(accumulate(sizes))
    before = (slice(None),) * axis
    return tuple(
        x[(*before, slice(end - size, end))] for end, size in zip(ends, sizes, strict=True)
    )


def chunk(x: object, chunks: int, axis: int = -1) -> tuple[Tensor, ...]:
    """Cut into ``chunks`` pieces of equal size, along the last axis unless told otherwise."""
    x = as_tensor(x)
    axis = axis_of("chunk", axis, x.ndim)
    if chunks < 1 or x.shape[axis] % chunks:
        raise ShapeError(f"chunk: axis {axis} of size {x.shape[axis]} into {chunks} equal pieces.")
    return split(x, [x.shape[axis] // chunks] * chunks, axis)


def unbind(x: object, axis: int = 0) -> tuple[Tensor, ...]:
    """Every slice along an axis, which disappears."""
    x = as_tensor(x)
    before = (slice(None),) * axis_of("unbind", axis, x.ndim)
    return tuple(x[(*before, i)] for i in range(x.shape[len(before)]))


# ----- growing -----


def _pad_rule(F: Any, g: Any, _out: Any, _x: Any, widths: Any, value: Any) -> Any:
    inner = tuple(slice(low, n - high) for (low, high), n in zip(widths, g.shape, strict=True))
    return F.getitem(g, index=inner, before=g.shape)


_pad = unary(
    "pad",
    lambda x, widths, value: np.pad(x, widths, constant_values=value) if widths else x.copy(),
    _pad_rule,
    floats=False,
)


def pad(x: object, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """With ``value`` around it: for every axis, how many before and how many behind."""
    x = as_tensor(x)
    pairs = tuple((int(low), int(high)) for low, high in widths)
    if len(pairs) != x.ndim or min((n for pair in pairs for n in pair), default=0) < 0:
        raise ShapeError(f"pad: widths {pairs} for shape {x.shape}: a pair from 0 up per axis.")
    return _pad(x, widths=pairs, value=value)


def repeat(x: object, repeats: int, axis: int) -> Tensor:
    """Every element ``repeats`` times in a row along an axis, as ``numpy.repeat``."""
    x = as_tensor(x)
    axis = axis_of("repeat", axis, x.ndim)
    if repeats < 0:
        raise ShapeError(f"repeat: {repeats} times, expected 0 or more.")
    shape = [*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]]
    final = [*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :]]
    return reshape(broadcast_to(unsqueeze(x, axis + 1), shape), final)


def tile(x: object, *repeats: Any) -> Tensor:
    """The whole tensor repeated along its axes, as ``numpy.tile``."""
    x = as_tensor(x)
    counts = _whole(repeats)
    ndim = max(x.ndim, len(counts))
    sizes = (1,) * (ndim - x.ndim) + x.shape
    counts = (1,) * (ndim - len(counts)) + counts
    if min(counts, default=0) < 0:
        raise ShapeError(f"tile: {counts} times, expected 0 or more.")
    pairs = [n for pair in zip(counts, sizes, strict=True) for n in pair]
    apart = reshape(x, [n for size in sizes for n in (1, size)])
    final = [c * n for c, n in zip(counts, sizes, strict=True)]
    return reshape(broadcast_to(apart, pairs), final) if math.prod(pairs) else _empty(x, final)


def _empty(x: Tensor, shape: Sequence[int]) -> Tensor:
    return broadcast_to(reshape(x, -1)[:0].sum(), shape).clone()


# ----- copies -----

_astype = unary(
    "astype",
    lambda x, dtype, before: x.astype(dtype),
    lambda F, g, _out, _x, dtype, before: F.astype(g, dtype=before, before=dtype),
    floats=False,
)

_clone = unary("clone", lambda x: x.copy(), lambda _F, g, _out, _x: g, floats=False)

_to = unary(
    "to",
    lambda x, device, before: to_device(x, device),
    lambda F, g, _out, _x, device, before: F.to(g, device=before, before=device),
    view=True,  # where the tensor is there already, nothing is copied
    floats=False,
)


def astype(x: object, dtype: Any) -> Tensor:
    """A copy with another element type; the gradient is converted back."""
    x = as_tensor(x)
    target = np.dtype(dtype)
    if x.requires_grad and target.kind != "f":
        raise DTypeError(f"astype: {target} has no derivative; detach() the tensor first.")
    return _astype(x, dtype=target, before=x.dtype)


def clone(x: object) -> Tensor:
    """A copy of the numbers, still part of the graph."""
    return _clone(x)


def to(x: object, device: str) -> Tensor:
    """The tensor on another device; the gradient comes back to this one."""
    x = as_tensor(x)
    name = normalize_device(device)
    return x if x.device == name else _to(x, device=name, before=device_of(x._data))
