"""Reading and writing by index.

Basic indices (numbers, slices, None, ...) give views; index arrays and masks give copies.
An index may repeat: gradients of repeated reads add up. Writing never changes a tensor:
``index_update`` and its likes return a new one. Indices out of range raise.

``places.py`` says what becomes of index arrays on a GPU.
"""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, array_module, beside, there, where_it_is
from tinygrad_rnn.engine import ARRAYS, Part, SliceGrad
from tinygrad_rnn.errors import DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.kernels._room import zeros
from tinygrad_rnn.kernels.rows import add_rows
from tinygrad_rnn.ops.arithmetic import operand, where
from tinygrad_rnn.ops.axes import axis_of
from tinygrad_rnn.ops.places import (
    add_at,
    along,
    check_held,
    check_once,
    integers,
    is_basic,
    kept,
    plain,
    read,
    sent,
    sent_along,
    unfit,
    within,
)
from tinygrad_rnn.ops.shape import reshape
from tinygrad_rnn.primitive import Along, nary, unary
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

__all__ = [
    "embedding", "gather", "getitem", "index_add", "index_update", "masked_fill", "scatter_add",
    "take_along_axis", "topk",
]  # fmt: skip


# ----- reading -----

# The gradient of a read is zero outside the index. Over arrays it stays sparse until the
# engine adds it into place; recorded, it is an operation like any other.
_getitem = unary(
    "getitem",
    lambda x, index, before: x[index],
    lambda F, g, _out, _x, index, before: F.place(g, index=index, shape=before),
    view=True,
    floats=False,
)


def _place_forward(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    return SliceGrad(index, x, shape).add_to(None)


_place = unary(
    "place",
    _place_forward,
    lambda F, g, _out, _x, index, shape: F.getitem(g, index=index, before=shape),
    floats=False,
)


def _placed(x: Array, index: Any, shape: tuple[int, ...]) -> Any:
    """What is zero outside the index; where nothing is, the same numbers in another shape."""
    if x.size == math.prod(shape) and not _turns(index):
        return x.reshape(shape)
    return SliceGrad(index, x, shape)


def _turns(index: Any) -> bool:
    """Whether a basic index reads an axis from its end."""
    items = index if index.__class__ is tuple else (index,)
    return any(i.__class__ is slice and i.step is not None and i.step < 0 for i in items)


ARRAYS.place = _placed

_take = unary(
    "take",
    lambda x, index, before: x[index],
    lambda F, g, _out, _x, index, before: F.spread(g, index=index, shape=before),
    floats=False,
)


def _spread_forward(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    total = array_module(x).zeros(shape, x.dtype)
    add_at(total, index, x)
    return total


_spread = unary(
    "spread",
    _spread_forward,
    lambda F, g, _out, _x, index, shape: F.take(g, index=index, before=shape),
    floats=False,
)


def getitem(x: object, index: Any) -> Tensor:
    """``x[index]``, with everything that NumPy allows there."""
    if not isinstance(x, Tensor):
        x = as_tensor(x, "getitem")
    if index.__class__ is int or index.__class__ is slice:  # nothing to be found out
        return _getitem(x, index=index, before=x._data.shape)
    index = plain(index)
    if is_basic(index):
        return _getitem(x, index=index, before=x._data.shape)
    index = sent("getitem", index, x)
    try:
        return _take(x, index=index, before=x._data.shape)
    except IndexRangeError as error:  # callers do not know the operation behind
        raise IndexRangeError(str(error).replace("take", "getitem", 1)) from error


@where_it_is
def take_along_axis(x: object, index: Any, axis: int = -1) -> Tensor:
    """``x[..., index[...], ...]``: for every place of ``index``, the element it names."""
    x = as_tensor(x, "take_along_axis")
    index = integers("take_along_axis", index)
    if index.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: index has shape {index.shape} for {x.shape}.")
    axis = axis_of("take_along_axis", axis, x.ndim)
    return _taken("take_along_axis", x, index, axis, x.shape)


def _taken(where: str, x: Tensor, index: Array, axis: int, shape: tuple[int, ...]) -> Tensor:
    """Read along one axis while the others count along ``shape``."""
    index = sent_along(where, index, x, axis)
    try:
        return _take(x, index=along(index, axis, shape), before=x.shape)
    except IndexRangeError as error:
        raise unfit(where, x, index, axis) from error


@where_it_is
def gather(x: object, axis: int, index: Any) -> Tensor:
    """As PyTorch's: like ``take_along_axis``, but of the shape of ``index``, nothing broadcasts."""
    x = as_tensor(x, "gather")
    index = integers("gather", index)
    axis = axis_of("gather", axis, x.ndim)
    if index.ndim != x.ndim or any(
        n > m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis
    ):
        raise ShapeError(
            f"gather: index has shape {index.shape}, x {x.shape}; expected as many axes, none "
            f"longer than x's but axis {axis}."
        )
    return _taken("gather", x, index, axis, index.shape)


@where_it_is
def topk(x: object, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Array]:
    """The k largest elements in order, differentiable, and their places; the first of equals.

    The places are an integer array, no Tensor.
    """
    x = as_tensor(x, "topk")
    axis = axis_of("topk", axis, x.ndim)
    k = whole("topk", "k", k)
    if not 0 <= k <= x.shape[axis]:
        raise ShapeError(f"topk: k is {k}, axis {axis} of shape {x.shape} has {x.shape[axis]}.")
    data = x._data.real
    if largest:  # from behind, in reversed order: nothing is negated, and NaN stands first
        order = np.flip(np.argsort(np.flip(data, axis), axis=axis, kind="stable"), axis)
        order = data.shape[axis] - 1 - order
    else:
        order = np.argsort(data, axis=axis, kind="stable")
    places = order[(slice(None),) * axis + (slice(k),)]
    return take_along_axis(x, places, axis), places


def _along_ids(axis: int, _out: Any, _shapes: Any, attrs: Any) -> Along | None:
    """The places of ids are those of their vectors; the table is shared by all."""
    if axis >= attrs["ids"].ndim:
        return None
    named = [name for name in ("ids", "poison") if attrs.get(name) is not None]
    return Along((None,), dict.fromkeys(named, axis))


def _rows_read(weight: Array, ids: Array, count: int, poison: Array | None = None) -> Array:
    rows = weight[ids]
    if poison is not None:
        rows += poison.reshape(poison.shape + (1,) * (rows.ndim - poison.ndim))
    return rows


_embedding = unary(
    "embedding",
    _rows_read,
    lambda F, g, _out, _weight, ids, count, poison=None: F.sum_rows(g, ids=ids, count=count),
    floats=False,
    along=_along_ids,
)


class RowsGrad(Part):
    """For each of ``count`` ids, the sum of its rows of x, in the order in which they stand."""

    __slots__ = ("count", "ids", "x")

    def __init__(self, x: Array, ids: Array, count: int) -> None:
        self.x = x
        self.ids = ids
        self.count = count

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.count, *self.x.shape[self.ids.ndim :]

    @property
    def dtype(self) -> Any:
        return self.x.dtype

    def add_to(self, total: Array | None) -> Array:
        xp, width = array_module(self.x), math.prod(self.shape[1:])
        if total is None:
            total = zeros(self.shape, self.x)
        rows = xp.ascontiguousarray(self.x).reshape(self.ids.size, width)
        ids = xp.ascontiguousarray(self.ids, np.int64).reshape(self.ids.size)
        table = xp.ascontiguousarray(total)
        add_rows(table.reshape(self.count, width), ids, rows)
        return table


unary(
    "sum_rows",
    lambda x, ids, count: RowsGrad(x, ids, count).add_to(None),
    lambda F, g, _out, _x, ids, count: F.embedding(g, ids=ids, count=count),
    floats=False,
)
ARRAYS.sum_rows = RowsGrad


def embedding(weight: object, ids: Any) -> Tensor:
    """The rows of ``weight`` (V, E) that the integers ``ids`` name: shape (*ids.shape, E)."""
    weight = as_tensor(weight, "embedding")
    ids = integers("embedding", ids)
    if not weight.ndim:
        raise ShapeError("embedding: the weight is a single number, expected rows: (V, E).")
    count = weight.shape[0]
    looked_at = isinstance(ids, np.ndarray) or modes.watched()
    if looked_at and ids.size and (ids.min() < 0 or ids.max() >= count):
        bad = ids.max() if ids.max() >= count else ids.min()
        raise IndexRangeError(
            f"embedding: id {bad} among {ids.size} ids, expected 0 to {count - 1}: "
            f"the weight has {count} rows."
        )
    ids = beside("embedding", ids, weight._data)
    if looked_at or weight.dtype.kind not in "fc":
        return _embedding(weight, ids=ids, count=count)
    with there(ids):
        ids, poison = within(ids, count, weight.dtype)
    return _embedding(weight, ids=ids, count=count, poison=poison)


# ----- writing, into a copy -----


def _updated(x: Array, value: Array, index: Any) -> Array:
    check_held(x, value)
    result = x.copy()
    result[index] = value
    return result


def _added(x: Array, value: Array, index: Any) -> Array:
    check_held(x, value)
    result, xp = x.copy(), array_module(x)
    if is_basic(index):
        result[index] += value
        return result
    # NumPy 2.4 reads past the end of a row that it has to spread over a matrix of indices.
    add_at(result, index, xp.broadcast_to(xp.asarray(value), result[index].shape))
    return result


def _value_rule(F: Any, g: Any, _out: Any, _x: Any, _value: Any, index: Any) -> Any:
    read = F.getitem if is_basic(index) else F.take
    return read(g, index=index, before=g.shape)


_index_update = nary(
    "index_update",
    _updated,
    lambda F, g, _out, _x, _value, index: F.index_update(g, 0.0, index=index),
    _value_rule,
    broadcasts=True,
)

_index_add = nary(
    "index_add", _added, lambda _F, g, _out, _x, _value, index: g, _value_rule, broadcasts=True
)


def index_update(x: object, index: Any, value: object) -> Tensor:
    """A copy of ``x`` with ``x[index] = value``; an index array must not repeat a place."""
    x = as_tensor(x, "index_update")
    index = plain(index)
    if getattr(value, "ndim", 0) > 0:  # axes of size 1 in front go, as in NumPy's assignment
        value = as_tensor(value, "index_update")
        extra = value.ndim - read("index_update", x, index).ndim
        if extra > 0 and value.shape[:extra] == (1,) * extra:
            value = reshape(value, value.shape[extra:])
    arrays = sent("index_update", index, x)
    if not is_basic(index) and x.requires_grad | getattr(value, "requires_grad", False):
        check_once(x, index)
    return _index_update(x, value, index=arrays)


def index_add(x: object, index: Any, value: object) -> Tensor:
    """A copy of ``x`` with ``value`` added at ``index``; repeated places add up."""
    x = as_tensor(x, "index_add")
    return _index_add(x, value, index=sent("index_add", plain(index), x))


@where_it_is
def scatter_add(x: object, axis: int, index: Any, source: object) -> Tensor:
    """A copy of ``x`` with ``source`` added at ``index`` along an axis, as PyTorch's."""
    x, source = as_tensor(x, "scatter_add"), as_tensor(source, "scatter_add")
    index = integers("scatter_add", index)
    if index.shape != source.shape or index.ndim != x.ndim:
        raise ShapeError(
            f"scatter_add: index has shape {index.shape}, source {source.shape}, x {x.shape}; "
            "expected index and source of one shape, with as many axes as x."
        )
    axis = axis_of("scatter_add", axis, x.ndim)
    index = sent_along("scatter_add", index, x, axis)
    try:
        return _index_add(x, source, index=along(index, axis, index.shape))
    except IndexRangeError as error:
        raise unfit("scatter_add", x, index, axis) from error


def masked_fill(x: object, mask: Any, value: float) -> Tensor:
    """``value`` where the mask holds, else ``x``; no gradient passes where it holds."""
    array = as_array(mask, "masked_fill")
    if array.dtype != np.bool_:
        raise DTypeError(f"masked_fill: the mask holds {array.dtype}, expected booleans.")
    value = operand("masked_fill", "value", value)
    try:
        return where(mask if isinstance(mask, np.ndarray) else kept(array), value, x)
    except ShapeError as error:
        raise ShapeError(
            f"masked_fill: the mask has shape {array.shape}, x {as_tensor(x).shape} and value "
            f"{as_tensor(value).shape}, expected shapes that broadcast."
        ) from error
