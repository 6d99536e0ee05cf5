"""Specs of ``tinygrad_rnn.ops.index``: reading and writing by index."""

import numpy as np
from hypothesis import strategies as st

from tests.ops.compare import same
from tinygrad_rnn import ops
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import apart, broadcastable, elements, in_sizes, shapes


def _result(shape, index):
    return np.empty(shape, np.bool_)[index].shape


def _indexed(*, advanced=True, only_advanced=False):
    @st.composite
    def sample(draw, side):
        shape = draw(shapes(1 if only_advanced else 0, 3, side))
        index = draw(gs.indices(shape, advanced=advanced).filter(
            lambda i: not only_advanced or not _is_basic(i)))  # fmt: skip
        return Case((draw(gs.arrays(shape)),), {"index": index})

    return sample


def _is_basic(index):
    parts = index if isinstance(index, tuple) else (index,)
    return not any(isinstance(p, np.ndarray) for p in parts)


@st.composite
def _write(draw, side, *, unique):
    """A target, an index, and a value that broadcasts to what the index reads."""
    case = draw(_indexed()(side).filter(
        lambda c: not unique or _names_once(c.inputs[0].shape, c.attrs["index"])))  # fmt: skip
    x, index = case.inputs[0], case.attrs["index"]
    shape = list(_result(x.shape, index))
    cut = draw(st.integers(0, len(shape)))
    shape = [1 if draw(st.integers(0, 3)) == 0 else n for n in shape[cut:]]
    basic = _is_basic(index)
    if basic and shape and not cut and unique and draw(st.booleans()):
        shape = [1, *shape]  # assignment drops axes of size 1 in front, np.add.at does not
    return Case((x, draw(gs.arrays(tuple(shape)))), {"index": index})


def _names_once(shape, index):
    counts = np.zeros(shape, int)
    np.add.at(counts, index, np.ones(_result(shape, index), int))
    return counts.max(initial=0) <= 1


def _update_reference(x, value, index):
    result = x.copy()
    result[index] = value
    return result


def _add_reference(x, value, index):
    result = x.copy()
    np.add.at(result, index, np.broadcast_to(value, _result(x.shape, index)))
    return result


@st.composite
def _scattered(draw, side):
    """The gradient of a read: values of the shape that an index reads from ``shape``."""
    shape = draw(shapes(1, 3, side))
    index = draw(gs.indices(shape).filter(lambda i: not _is_basic(i)))
    return Case((draw(gs.arrays(_result(shape, index))),), {"index": index, "shape": shape})


@st.composite
def _placed(draw, side):
    shape = draw(shapes(0, 3, side))
    index = draw(gs.indices(shape, advanced=False))
    return Case((draw(gs.arrays(_result(shape, index))),), {"index": index, "shape": shape})


def _spread_reference(x, index, shape):
    return _add_reference(np.zeros(shape, x.dtype), x, index)


@st.composite
def _rows_by_id(draw, side):
    """Ids repeat, and come from few rows of a table."""
    count = draw(st.integers(1, 4))
    width = draw(shapes(0, 2, side))
    ids = np.array(draw(gs.arrays(draw(shapes(0, 2, side)), low=0, high=count - 0.01)), int)
    return Case((draw(gs.arrays((count, *width))),), {"ids": np.minimum(ids, count - 1)})


@st.composite
def _rows_to_sum(draw, side):
    case = draw(_rows_by_id(side))
    table, ids = case.inputs[0], case.attrs["ids"]
    x = draw(gs.arrays((*ids.shape, *table.shape[1:])))
    return Case((x,), {"ids": ids, "count": table.shape[0]})


def _sum_rows_reference(x, ids, count):
    return _add_reference(np.zeros((count, *x.shape[ids.ndim :]), x.dtype), x, ids)


@st.composite
def _picks(draw, side, *, source=False, broadcast=False):
    """An index along an axis; with a source, values to add there."""
    shape = draw(shapes(1, 3, max(side, 1)))
    axis = draw(gs.axis(len(shape)))
    sizes = list(shape)
    sizes[axis] = draw(st.integers(side, 4))
    rng = np.random.default_rng(draw(gs.seeds()))
    index = rng.integers(-shape[axis], shape[axis], sizes)
    inputs = [draw(gs.arrays(shape))]
    if source:
        inputs.append(draw(gs.arrays(tuple(sizes))))
    else:  # a shorter index; for NumPy one of size 1, which goes for all, on either side
        other = draw(st.sampled_from(range(len(shape))))
        if other != axis % len(shape):
            cut = (slice(None),) * other + (slice(1 if broadcast else draw(st.integers(1, 4))),)
            if broadcast and draw(st.booleans()):
                inputs[0] = inputs[0][cut]
            else:
                index = index[cut]
    return Case(tuple(inputs), {"index": index, "axis": axis})


def _take_along(x, index, axis):
    return np.take_along_axis(x, index, axis)


def _gather_reference(x, index, axis):
    result = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[axis] = index[place]
        result[place] = x[tuple(source)]
    return result


def _scatter_reference(x, source, index, axis):
    result = x.copy()
    for place in np.ndindex(index.shape):
        target = list(place)
        target[axis] = index[place]
        result[tuple(target)] += source[place]
    return result


@st.composite
def _highest(draw, side):
    shape = draw(shapes(1, 3, side))
    axis = draw(gs.axis(len(shape)))
    k = draw(st.integers(0, shape[axis]))
    return Case((draw(gs.arrays(shape)),), {"k": k, "axis": axis, "largest": draw(st.booleans())})


def _topk_reference(x, k, axis, largest):
    # NaN is the largest of all, as in sorting.
    keys = (-x, ~np.isnan(x)) if largest else (x, np.isnan(x))
    places = np.lexsort(keys, axis=axis).take(range(k), axis=axis)
    return np.take_along_axis(x, places, axis), places


@st.composite
def _filled(draw, side):
    mask, shape = draw(broadcastable(2, side))
    held = draw(gs.arrays(mask)) > 0
    value = draw(st.sampled_from([0.0, -np.inf, 2.5]))
    return Case((draw(gs.arrays(shape)),), {"mask": held, "value": value})


def _call(name, **given):
    """A primitive that has no function of its own; ``before`` is the shape that it is given."""

    def call(x, **attrs):
        if "before" in given:
            attrs["before"] = np.shape(x)
        if "count" in given:
            attrs["count"] = np.shape(x)[0]
        return PRIMITIVES[name].call(x, **attrs)

    return call


# ----- laws -----


def _read_back(x, value, index):
    written = ops.index_update(x, index, value)
    same(written[index], np.broadcast_to(value, np.shape(written[index].numpy()))
          if np.ndim(value) <= written[index].ndim else written[index])  # fmt: skip


def _is_sorted(x, k, axis, largest):
    values, places = ops.topk(x, k, axis, largest)
    order = np.diff(values.numpy(), axis=axis)
    assert ((order <= 0) if largest else (order >= 0)).all()
    same(np.take_along_axis(x, places, axis), values)


_linear = {"exact": True, "linear": (0,)}
_added = {"linear": (0, 1), "terms": elements}

SPECS = [
    OpSpec("getitem", ops.getitem, lambda x, index: x[index], _indexed(advanced=False), **_linear),
    OpSpec("take", _call("take", before=True), lambda x, index: x[index],
           _indexed(only_advanced=True), **_linear),
    OpSpec("place", PRIMITIVES["place"].call, _spread_reference, _placed, **_linear),
    OpSpec("spread", PRIMITIVES["spread"].call, _spread_reference, _scattered, linear=(0,),
           terms=elements, scale=in_sizes(_spread_reference)),
    OpSpec("take_along_axis", ops.take_along_axis, _take_along,
           lambda side: _picks(side, broadcast=True), reaches=("take",), **_linear),
    OpSpec("gather", lambda x, index, axis: ops.gather(x, axis, index), _gather_reference, _picks,
           reaches=("take",), **_linear),
    OpSpec("topk", ops.topk, _topk_reference, _highest, exact=True, dodge=apart,
           bounded=False, laws=(_is_sorted,), reaches=("take",)),
    OpSpec("embedding", ops.embedding, lambda weight, ids: weight[ids], _rows_by_id, **_linear),
    OpSpec("sum_rows", PRIMITIVES["sum_rows"].call, _sum_rows_reference, _rows_to_sum,
           linear=(0,), terms=elements, scale=in_sizes(_sum_rows_reference)),
    OpSpec("index_update", lambda x, value, index: ops.index_update(x, index, value),
           _update_reference, lambda side: _write(side, unique=True), exact=True, linear=(0, 1),
           laws=(_read_back,)),
    OpSpec("index_add", lambda x, value, index: ops.index_add(x, index, value), _add_reference,
           lambda side: _write(side, unique=False), scale=in_sizes(_add_reference), **_added),
    OpSpec("scatter_add",
           lambda x, source, index, axis: ops.scatter_add(x, axis, index, source),
           _scatter_reference, lambda side: _picks(side, source=True), reaches=("index_add",),
           scale=in_sizes(_scatter_reference), **_added),
    OpSpec("masked_fill", ops.masked_fill, lambda x, mask, value: np.where(mask, value, x),
           _filled, exact=True, reaches=("where",)),
]  # fmt: skip
