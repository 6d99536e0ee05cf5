"""Shapes: the same numbers in another arrangement. Views where NumPy gives views."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import index
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import dtype_of, number, shape_of, shortened, whole
from tinygrad_rnn.device import Array, array_module, device_of, normalize_device, to_device
from tinygrad_rnn.engine import unbroadcast
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._room import concatenate
from tinygrad_rnn.ops.axes import axes_of, axis_of
from tinygrad_rnn.primitive import place_for_place, unary, variadic
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = [
    "astype", "broadcast_to", "chunk", "clone", "concat", "expand", "flip", "pad", "permute",
    "repeat", "reshape", "split", "squeeze", "stack", "swapaxes", "tile", "to", "transpose",
    "unbind", "unsqueeze",
]  # fmt: skip


# ----- the same elements, other axes -----

_reshape = unary(
    "reshape",
    lambda x, shape, before: x.reshape(shape),
    lambda _F, g, _out, _x, shape, before: g.reshape(before),
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


@lru_cache(maxsize=4096)
def _spread_strides(
    before: tuple[int, ...], shape: tuple[int, ...], step: int
) -> tuple[int, ...] | None:
    """The strides of contiguous elements that repeat; None if they do not fit."""
    extra = len(shape) - len(before)
    pairs = zip(before, shape[max(extra, 0) :], strict=False)
    if extra < 0 or any(old not in (1, new) for old, new in pairs):
        return None
    strides = [0] * len(shape)
    for i in reversed(range(len(before))):
        if before[i] != 1:
            strides[extra + i] = step
        step *= before[i]
    return tuple(strides)


def _broadcast(x: Array, shape: tuple[int, ...], before: tuple[int, ...]) -> Array:
    """A view with strides of 0 where elements repeat: numpy.broadcast_to takes 2 µs for it."""
    if x.__class__ is not np.ndarray or not x.flags.c_contiguous:
        return array_module(x).broadcast_to(x, shape)
    strides = _spread_strides(x.shape, shape, x.itemsize)
    if strides is None:
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
    along=lambda axis, out, _shapes, attrs: place_for_place(axis, out, [attrs["before"]], attrs),
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
        x = as_tensor(x, "reshape")
    return _reshape(x, shape=shape_of("reshape", shape), before=x._data.shape)


def permute(x: object, *axes: Any) -> Tensor:
    """The axes in another order."""
    return _ordered("permute", as_tensor(x, "permute"), axes)


def _ordered(where: str, x: Tensor, axes: tuple[Any, ...]) -> Tensor:
    order = tuple([axis_of(where, a, x.ndim) for a in shape_of(where, axes, "an axis")])
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"{where}: axes {order}, expected each of the {x.ndim} axes once.")
    return _permute(x, axes=order)


def transpose(x: object, *axes: Any) -> Tensor:
    """The axes reversed, or in the order given."""
    x = as_tensor(x, "transpose")
    if axes:
        return _ordered("transpose", x, axes)
    return _permute(x, axes=tuple(range(x.ndim))[::-1])


def swapaxes(x: object, a: int, b: int) -> Tensor:
    """Two axes exchanged."""
    x = as_tensor(x, "swapaxes")
    order = list(range(x.ndim))
    a, b = axis_of("swapaxes", a, x.ndim), axis_of("swapaxes", b, x.ndim)
    order[a], order[b] = b, a
    return _permute(x, axes=tuple(order))


def squeeze(x: object, axis: int | Sequence[int] | None = None) -> Tensor:
    """Without the given axes of size 1, or without all of them."""
    x = as_tensor(x, "squeeze")
    if axis is None:
        return reshape(x, [n for n in x.shape if n != 1])
    axes = axes_of("squeeze", axis, x)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of shape {x.shape} has size {x.shape[a]}, not 1.")
    return reshape(x, [n for i, n in enumerate(x.shape) if i not in axes])


def unsqueeze(x: object, axis: int) -> Tensor:
    """With a new axis of size 1 at ``axis``."""
    x = as_tensor(x, "unsqueeze")
    axis = axis_of("unsqueeze", axis, x.ndim + 1)
    return reshape(x, [*x.shape[:axis], 1, *x.shape[axis:]])


def broadcast_to(x: object, *shape: Any) -> Tensor:
    """Repeated along new axes and axes of size 1, without a copy."""
    x = as_tensor(x, "broadcast_to")
    return _repeated("broadcast_to", x, shape_of("broadcast_to", shape, least=0))


def _repeated(where: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return _broadcast_to(x, shape=shape, before=x.shape)
    except ShapeError as error:
        raise ShapeError(
            f"{where}: shape {x.shape} to {shape}, expected the same sizes, counted from the last "
            "axis, save where x has size 1 or no axis."
        ) from error


def expand(x: object, *shape: Any) -> Tensor:
    """``broadcast_to`` in which -1 leaves an axis as it is."""
    x = as_tensor(x, "expand")
    sizes = shape_of("expand", shape, least=-1)
    extra = len(sizes) - x.ndim
    if -1 in sizes[: max(extra, 0)]:
        raise ShapeError(f"expand: {x.shape} to {sizes}: -1 stands only for an axis that exists.")
    if extra >= 0:
        sizes = tuple([x.shape[i - extra] if n == -1 else n for i, n in enumerate(sizes)])
    return _repeated("expand", x, sizes)


def flip(x: object, axis: int | Sequence[int] | None = None) -> Tensor:
    """The order of the elements reversed along axes (all of them if None)."""
    x = as_tensor(x, "flip")
    return _flip(x, axis=axes_of("flip", axis, x))


# ----- joining and cutting -----


def _concat_rule(
    F: Any, g: Any, _out: Any, *_inputs: Any, number: Any, axis: Any, ends: Any
) -> Any:
    start = ends[number - 1] if number else 0
    return F.getitem(g, index=(slice(None),) * axis + (slice(start, ends[number]),), before=g.shape)


_concat = variadic("concat", lambda arrays, axis, ends: concatenate(arrays, axis), _concat_rule)


def _parts(where: str, tensors: Any) -> list[Tensor]:
    """The tensors that are to be joined: one at least."""
    if not isinstance(tensors, Iterable):
        raise TypeError(f"{where}: got {shortened(tensors)}, expected a sequence of tensors.")
    parts = [as_tensor(t, where) for t in tensors]
    if not parts:
        raise ShapeError(f"{where}: no tensors to join.")
    return parts


def concat(tensors: Sequence[object], *more: object, axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis that exists."""
    given: Any = tensors
    if more and not isinstance(given, Tensor):
        raise TypeError(
            f"concat: got a sequence of tensors and {shortened(more[0])} behind it; an axis is "
            "given by its name, axis=."
        )
    parts = _parts("concat", [given, *more] if isinstance(given, Tensor) else given)
    axis = axis_of("concat", axis, parts[0].ndim)
    rest = [t.shape[:axis] + t.shape[axis + 1 :] for t in parts]
    for place, other in enumerate(rest):
        if other != rest[0] or parts[place].ndim != parts[0].ndim:
            raise ShapeError(
                f"concat: tensor {place} has shape {parts[place].shape}, but the first has "
                f"{parts[0].shape}; they may differ only along axis {axis}."
            )
    ends = tuple(accumulate(t.shape[axis] for t in parts))
    return _concat(parts, axis=axis, ends=ends)


def stack(tensors: Sequence[object], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    parts = _parts("stack", tensors)
    for place, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise ShapeError(
                f"stack: tensor {place} has shape {part.shape}, the first has {parts[0].shape}."
            )
    axis = axis_of("stack", axis, parts[0].ndim + 1)
    return concat([unsqueeze(part, axis) for part in parts], axis=axis)


def split(x: object, sizes: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Cut along an axis: into pieces of one size (the last may be smaller), or of given sizes."""
    x = as_tensor(x, "split")
    axis = axis_of("split", axis, x.ndim)
    length = x.shape[axis]
    if isinstance(sizes, Iterable):
        pieces = list(shape_of("split", (tuple(sizes),)))
        if sum(pieces) != length or min(pieces, default=0) < 0:
            raise ShapeError(f"split: sizes {pieces} do not add up to {length}, axis {axis}.")
    else:
        size = whole("split", "the size of a piece", sizes, least=1)
        pieces = [min(size, length - start) for start in range(0, length, size)] or [0]
    ends = list(accumulate(pieces))
    before = (slice(None),) * axis
    return tuple(
        x[(*before, slice(end - size, end))] for end, size in zip(ends, pieces, strict=True)
    )


def chunk(x: object, chunks: int, axis: int = -1) -> tuple[Tensor, ...]:
    """Cut into ``chunks`` pieces of equal size, along the last axis unless told otherwise."""
    x = as_tensor(x, "chunk")
    axis = axis_of("chunk", axis, x.ndim)
    chunks = whole("chunk", "chunks", chunks, least=1)
    if x.shape[axis] % chunks:
        raise ShapeError(f"chunk: axis {axis} of size {x.shape[axis]} into {chunks} equal pieces.")
    return split(x, [x.shape[axis] // chunks] * chunks, axis)


def unbind(x: object, axis: int = 0) -> tuple[Tensor, ...]:
    """Every slice along an axis, which disappears."""
    x = as_tensor(x, "unbind")
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
    x = as_tensor(x, "pad")
    value = number("pad", "value", value)
    try:
        pairs = tuple([(index(low), index(high)) for low, high in widths])
    except (TypeError, ValueError):
        pairs = None
    if pairs is None or len(pairs) != x.ndim or min(map(min, pairs), default=0) < 0:
        raise ShapeError(
            f"pad: widths {shortened(widths)} for shape {x.shape}, expected a pair of whole "
            "numbers from 0 up for each axis."
        )
    if x.dtype.kind in "biu" and not float(value).is_integer():  # a fraction needs floats
        x = as_tensor(x._data.astype(np.float32))
    return _pad(x, widths=pairs, value=value)


def repeat(x: object, repeats: int, axis: int) -> Tensor:
    """Every element ``repeats`` times in a row along an axis, as ``numpy.repeat``."""
    x = as_tensor(x, "repeat")
    axis = axis_of("repeat", axis, x.ndim)
    repeats = whole("repeat", "repeats", repeats, least=0)
    shape = [*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]]
    final = [*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :]]
    return reshape(broadcast_to(unsqueeze(x, axis + 1), shape), final)


def tile(x: object, *repeats: Any) -> Tensor:
    """The whole tensor repeated along its axes, as ``numpy.tile``."""
    x = as_tensor(x, "tile")
    counts = shape_of("tile", repeats, "a number of times", least=0)
    ndim = max(x.ndim, len(counts))
    sizes = (1,) * (ndim - x.ndim) + x.shape
    counts = (1,) * (ndim - len(counts)) + counts
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
    x = as_tensor(x, "astype")
    target = dtype_of("astype", dtype)
    if x.requires_grad and target.kind != "f":
        raise DTypeError(f"astype: {target} has no derivative; detach() the tensor first.")
    return _astype(x, dtype=target, before=x.dtype)


def clone(x: object) -> Tensor:
    """A copy of the numbers, still part of the graph."""
    return _clone(x)


def to(x: object, device: str) -> Tensor:
    """The tensor on another device; the gradient comes back to this one."""
    x = as_tensor(x, "to")
    name = normalize_device(device)
    return x if x.device == name else _to(x, device=name, before=device_of(x._data))
