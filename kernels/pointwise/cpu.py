"""The approximations over whole arrays, a vector at a time."""

from functools import partial

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._approximation import FUNCTIONS, SLOPES, rectified, rectified_slope
from tinygrad_rnn.kernels._arithmetic import Compiled, in_python
from tinygrad_rnn.kernels._jit import NO_FASTMATH, cgutils, intrinsic, kernel, types
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._ufunc import AVAILABLE, loop
from tinygrad_rnn.kernels._vector import BYTES, Element, address, at, element_size, integer
from tinygrad_rnn.kernels.pointwise import LOOPS, SMALL, reference

__all__ = [
    "exp", "rectify", "rectify_slope", "sigmoid", "sigmoid_slope", "tanh", "tanh_slope",
]  # fmt: skip

_GRAIN = 8192  # elements that are worth another thread: about as long as waking it
_SMALL = SMALL if AVAILABLE else 0  # fewer elements than this are NumPy's to run through
_ALL = (*FUNCTIONS, rectified, *SLOPES, rectified_slope)
_ONE = len(FUNCTIONS) + 1  # so many, the first, have one operand; the others have two
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _in_python(like, x, y, out, which, count):
    x, y, out = (at(like, start, (count,), (element_size(like),)) for start in (x, y, out))
    with np.errstate(all="ignore"):
        out[...] = in_python(_ALL[which], x) if which < _ONE else in_python(_ALL[which], x, y)


@partial(intrinsic, twin=_in_python)
def _over(typing, like, x, y, out, which, count):
    """Apply function ``which`` to ``count`` elements, a vector at a time.

    Vectors are written out, rather than left to LLVM to find, so that the last elements go
    through the same instructions as all others, and a function can work in place.
    """
    element = Element(like)

    def codegen(context, builder, signature, args):
        _, x, y, out, which, count = args
        F = Compiled(builder, getattr(like, "dtype", like), element.lanes)
        end = builder.append_basic_block("applied")
        switch = builder.switch(which, end)
        for number, function in enumerate(_ALL):
            case = builder.append_basic_block(function.__name__)
            switch.add_case(integer(number), case)
            with builder.goto_block(case):
                sources = (x,) if number < _ONE else (x, y)
                _emit_loop(F, element, function, sources, out, count)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 5), codegen


def _emit_loop(F, element, function, sources, out, count):
    """Emit whole vectors, then one masked one for what is left."""
    builder, step, zero = F.builder, integer(element.lanes), integer(0)
    whole = builder.mul(builder.sdiv(count, step), step)

    def apply(index, mask=None):
        offset = builder.mul(index, integer(element.size))
        *places, there = (
            builder.inttoptr(builder.add(start, offset), BYTES) for start in (*sources, out)
        )
        result = function(F, *(element.load(builder, place, mask) for place in places))
        element.store(builder, result, there, mask)

    with cgutils.for_range_slice(builder, zero, whole, step) as (index, _):
        apply(index)
    with builder.if_then(builder.icmp_signed("<", whole, count)):
        apply(whole, element.first(builder, builder.sub(count, whole)))


@kernel("intp, intp, const(T[::1]), const(T[::1]), T[::1], intp", fastmath=NO_FASTMATH)
def _apply(first, stop, x, y, out, which):
    """Apply one of the functions to a slice."""
    start = first * element_size(x)
    _over(x, address(x) + start, address(y) + start, address(out) + start, which, stop - first)


@loop
def _run(data, sizes, steps, which, like):
    """Apply one of the functions where NumPy says."""
    size, count = element_size(like), sizes[0]
    last = 1 if which < _ONE else 2
    side_by_side = steps[0] == size and steps[1] == size and steps[last] == size
    together = count if side_by_side else 1
    for i in range(0, count, together):
        x, y, out = data[0] + i * steps[0], data[1] + i * steps[1], data[last] + i * steps[last]
        _over(like, x, y, out, which, together)


def _loops(which, operands):
    """NumPy's ways to run one of the functions, by element type."""
    name = _ALL[which].__name__.replace("rectified", "rectify")
    found = _run.ufuncs(name, operands, number=which)
    if AVAILABLE:
        LOOPS[name] = found
    return found


def _function(which):
    """Return a function of an array and an optional place for the result."""
    ufuncs = _loops(which, 1)

    def apply(x, out=None):
        if out is None and x.size < _SMALL and x.ndim and x.flags.c_contiguous:
            dtype = x.dtype
            if dtype in _DTYPES:
                return ufuncs[dtype.char](x)
        return _applied(which, (x,), out)

    return apply


def _slope(which):
    """Return a function of a gradient and a result."""
    ufuncs = _loops(which, 2)

    def apply(g, y):
        if y.size < _SMALL and y.ndim:
            dtype = y.dtype
            if g.dtype is dtype and dtype in _DTYPES:
                return ufuncs[dtype.char](g, y)
        return _applied(which, np.broadcast_arrays(g, y), None)

    return apply


def _applied(which, operands, out):
    dtype, shape, count = operands[0].dtype, operands[0].shape, operands[0].size
    if out is None:
        if dtype not in _DTYPES or operands[-1].dtype != dtype:
            given = " and ".join(str(x.dtype) for x in operands)
            raise DTypeError(f"pointwise: x is of {given}, expected float32 or float64.")
        out = empty(shape, dtype)
    elif out.shape != shape or out.dtype != dtype:
        raise ShapeError(
            f"pointwise: out is {out.dtype} {out.shape}, expected {dtype} {shape} as x is."
        )
    target = out if out.flags.c_contiguous else empty(shape, dtype)
    x, y = _flat(operands[0]), _flat(operands[-1])
    if count < 2 * _GRAIN:
        _apply(0, count, x, y, target.reshape(-1), which)
    else:
        parallel(_apply, count, x, y, target.reshape(-1), which, grain=_GRAIN)
    if target is not out:
        out[...] = target
    return out


def _flat(x):
    """Return the elements one after the other, as a view where they stand so."""
    if not x.flags.c_contiguous:
        given, x = x, empty(x.shape, x.dtype)
        x[...] = given
    return x.reshape(-1)


exp, tanh, sigmoid, _rectify = map(_function, range(_ONE))
tanh_slope, sigmoid_slope, _rectify_slope = map(_slope, range(_ONE, len(_ALL)))


def rectify(x, out=None):
    return _rectify(x, out) if x.dtype in _DTYPES else reference.rectify(x, out)


def rectify_slope(g, y):
    if y.dtype not in _DTYPES or g.dtype != y.dtype:
        return reference.rectify_slope(g, y)
    return _rectify_slope(g, y)
