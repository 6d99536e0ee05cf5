"""Specs of ``tinygrad_rnn.ops.shape``: the same numbers, elsewhere."""

import itertools

import numpy as np
from hypothesis import strategies as st

from tests.ops.compare import same
from tinygrad_rnn import ops
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import at_least, broadcastable, one, one_with, shapes

_any = at_least(0)
_some = at_least(1)


def _along(shape):
    return gs.axis(len(shape)).map(lambda a: {"axis": a})


@st.composite
def _larger(draw, side):
    """A shape, and one that it broadcasts to."""
    small, other = draw(broadcastable(2, side))
    return Case((draw(gs.arrays(small)),), {"shape": np.broadcast_shapes(small, other)})


def _left_alone(sample):
    """Sizes that an axis has already, written -1 where the test chooses."""

    @st.composite
    def marked(draw, side):
        case = draw(sample(side))
        x, shape = case.inputs[0], list(case.attrs["shape"])
        extra = len(shape) - x.ndim
        for i in range(extra, len(shape)):
            if shape[i] == x.shape[i - extra] and draw(st.booleans()):
                shape[i] = -1
        return Case((x,), {"shape": tuple(shape)})

    return marked


def _expand_reference(x, shape):
    extra = len(shape) - x.ndim
    sizes = [x.shape[i - extra] if n == -1 else n for i, n in enumerate(shape)]
    return np.broadcast_to(x, sizes)


@st.composite
def _pieces(draw, side):
    """Arrays that differ along one axis."""
    shape = draw(shapes(1, 3, side))
    axis = draw(gs.axis(len(shape)))
    inputs = []
    for _ in range(draw(st.sampled_from([2, 1, 2, 3]))):
        sizes = list(shape)
        sizes[axis] = draw(st.integers(side, 3))
        inputs.append(draw(gs.arrays(tuple(sizes))))
    return Case(tuple(inputs), {"axis": axis})


@st.composite
def _alike(draw, side):
    shape = draw(shapes(0, 3, side))
    axis = draw(gs.axis(len(shape) + 1))
    return Case(tuple(draw(gs.arrays(shape)) for _ in range(draw(st.integers(1, 3)))),
                {"axis": axis})  # fmt: skip


def _halves(shape):
    return st.sampled_from(range(len(shape))).flatmap(
        lambda axis: st.fixed_dictionaries(
            {
                "axis": st.just(axis),
                "chunks": st.sampled_from(
                    [n for n in range(1, max(shape[axis], 1) + 1) if shape[axis] % n == 0]
                ),
            }
        )
    )


@st.composite
def _cuts(draw, shape):
    axis = draw(gs.axis(len(shape)))
    length = shape[axis]
    if draw(st.booleans()):
        return {"axis": axis, "sizes": draw(st.integers(1, 5))}
    cuts = sorted(draw(st.lists(st.integers(0, length), max_size=3)))
    ends = [0, *cuts, length]
    return {"axis": axis, "sizes": [b - a for a, b in itertools.pairwise(ends)]}


def _split_reference(x, sizes, axis):
    ends = range(sizes, x.shape[axis], sizes) if isinstance(sizes, int) else np.cumsum(sizes)[:-1]
    return tuple(np.split(x, list(ends), axis))


@st.composite
def _reshaped(draw, shape):
    """The sizes in another order, joined, cut in factors, one of them perhaps -1."""
    sizes = list(draw(st.permutations(shape)))
    if len(sizes) > 1 and draw(st.booleans()):
        sizes[:2] = [sizes[0] * sizes[1]]
    sizes.insert(draw(st.integers(0, len(sizes))), 1)
    if 0 not in sizes and draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return {"shape": tuple(sizes)}


def _order(shape):
    return gs.permutations(len(shape)).map(lambda p: {"axes": p})


@st.composite
def _two_axes(draw, shape):
    return {"a": draw(gs.axis(len(shape))), "b": draw(gs.axis(len(shape)))}


@st.composite
def _flips(draw, shape):
    return {"axis": draw(gs.axes(len(shape)))}


@st.composite
def _widths(draw, shape):
    pair = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return {"widths": [draw(pair) for _ in shape], "value": draw(st.sampled_from([0.0, -1.5]))}


@st.composite
def _with_ones(draw, side):
    """Shapes with axes of size 1, and which of them go."""
    shape = list(draw(shapes(0, 2, side)))
    for _ in range(draw(st.integers(0, 2))):
        shape.insert(draw(st.integers(0, len(shape))), 1)
    ones = [i for i, n in enumerate(shape) if n == 1]
    axis = draw(st.sampled_from([None, tuple(ones), *ones, *(i - len(shape) for i in ones)]))
    return Case((draw(gs.arrays(tuple(shape))),), {"axis": axis})


def _new_axis(shape):
    return gs.axis(len(shape) + 1).map(lambda a: {"axis": a})


@st.composite
def _repeats(draw, shape):
    return {"repeats": draw(st.integers(0, 3)), "axis": draw(gs.axis(len(shape)))}


def _tiles(shape):
    return st.lists(st.integers(0, 3), max_size=3).map(lambda r: {"repeats": tuple(r)})


# ----- laws -----


def _comes_back(x, axes):
    same(ops.permute(ops.permute(x, axes), np.argsort(axes)), x)


def _twice(x, axis):
    same(ops.flip(ops.flip(x, axis), axis), x)


def _cut_again(*parts, axis):
    sizes = [p.shape[axis] for p in parts]
    for a, b in zip(ops.split(ops.concat(parts, axis=axis), sizes, axis), parts, strict=True):
        same(a, b)


def _joined_again(x, sizes, axis):
    parts = ops.split(x, sizes, axis)
    if parts:
        same(ops.concat(parts, axis=axis), x)


def _inside(x, widths, value):
    inner = tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))
    same(ops.pad(x, widths, value)[inner], x)


_linear = {"exact": True, "linear": (0,)}

SPECS = [
    # Casting to float64 keeps float64, and drops the imaginary parts of complex steps.
    OpSpec("astype", lambda x: ops.astype(x, np.float64), lambda x: x.astype(np.float64), one(),
           analytic=False, keeps_type=False, **_linear),
    OpSpec("broadcast_to", lambda x, shape: ops.broadcast_to(x, shape), np.broadcast_to, _larger,
           **_linear),
    OpSpec("expand", lambda x, shape: ops.expand(x, *shape), _expand_reference,
           _left_alone(_larger), reaches=("broadcast_to",), **_linear),
    OpSpec("chunk", ops.chunk, lambda x, chunks, axis: tuple(np.split(x, chunks, axis)),
           one_with(_halves, _some), reaches=("getitem",), **_linear),
    OpSpec("split", ops.split, _split_reference, one_with(_cuts, _some), reaches=("getitem",),
           laws=(_joined_again,), **_linear),
    OpSpec("unbind", ops.unbind, lambda x, axis: tuple(np.moveaxis(x, axis, 0)),
           one_with(_along, _some), reaches=("getitem",), **_linear),
    OpSpec("clone", ops.clone, np.copy, one(), **_linear),
    OpSpec("concat", lambda *xs, axis: ops.concat(xs, axis=axis),
           lambda *xs, axis: np.concatenate(xs, axis), _pieces, laws=(_cut_again,), exact=True,
           linear="all"),
    OpSpec("stack", lambda *xs, axis: ops.stack(xs, axis), lambda *xs, axis: np.stack(xs, axis),
           _alike, reaches=("concat", "reshape"), exact=True, linear="all"),
    OpSpec("flip", ops.flip, np.flip, one_with(_flips, _any), laws=(_twice,), **_linear),
    OpSpec("pad", ops.pad,
           lambda x, widths, value: np.pad(x, widths, constant_values=value) if x.ndim else x,
           one_with(_widths, _any), laws=(_inside,), exact=True),
    OpSpec("permute", lambda x, axes: ops.permute(x, *axes), np.transpose,
           one_with(_order, at_least(1, 4)),
           laws=(_comes_back,), **_linear),
    OpSpec("transpose", ops.transpose, np.transpose, one(), reaches=("permute",), **_linear),
    OpSpec("swapaxes", ops.swapaxes, lambda x, a, b: np.swapaxes(x, a, b),
           one_with(_two_axes, _some), reaches=("permute",), **_linear),
    OpSpec("reshape", lambda x, shape: ops.reshape(x, *shape), np.reshape,
           one_with(_reshaped, _any), **_linear),
    OpSpec("squeeze", ops.squeeze, np.squeeze, _with_ones, reaches=("reshape",), **_linear),
    OpSpec("unsqueeze", ops.unsqueeze, np.expand_dims, one_with(_new_axis, _any),
           reaches=("reshape",), **_linear),
    OpSpec("repeat", ops.repeat, np.repeat, one_with(_repeats, _some), reaches=("broadcast_to",),
           **_linear),
    OpSpec("tile", lambda x, repeats: ops.tile(x, *repeats),
           lambda x, repeats: np.tile(x, repeats), one_with(_tiles, _any),
           reaches=("broadcast_to",), **_linear),
    OpSpec("to", lambda x: PRIMITIVES["to"].call(x, device="cpu", before="cpu"), lambda x: x,
           one(), **_linear),
]  # fmt: skip
