"""The approximations over whole arrays, a vector at a time."""

from functools import partial

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._approximation import FUNCTIONS
from tinygrad_rnn.kernels._arithmetic import Compiled, in_python
from tinygrad_rnn.kernels._jit import NO_FASTMATH, cgutils, intrinsic, kernel, types
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._ufunc import AVAILABLE, loop
from tinygrad_rnn.kernels._vector import BYTES, Element, address, at, element_size, integer

__all__ = ["exp", "sigmoid", "tanh"]

_GRAIN = 8192  # elements that are worth another thread: about as long as waking it
_SMALL = 256 if AVAILABLE else 0  # fewer elements than this are NumPy's to run through
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _in_python(like, source, target, which, count):
    x, out = (at(like, start, (count,), (element_size(like),)) for start in (source, target))
    with np.errstate(all="ignore"):
        out[...] = in_python(FUNCTIONS[which], x)


@partial(intrinsic, twin=_in_python)
def _over(typing, like, source, target, which, count):
    """Apply function ``which`` to ``count`` elements, a vector at a time.

    Vectors are written out, rather than left to LLVM to find, so that the last elements go
    through the same instructions as all others, and a function can work in place.
    """
    element = Element(like)

    def codegen(context, builder, signature, args):
        _, source, target, which, count = args
        F = Compiled(builder, getattr(like, "dtype", like), element.lanes)
        end = builder.append_basic_block("applied")
        switch = builder.switch(which, end)
        for number, function in enumerate(FUNCTIONS):
            case = builder.append_basic_block(function.__name__)
            switch.add_case(integer(number), case)
            with builder.goto_block(case):
                _emit_loop(F, element, function, source, target, count)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 4), codegen


def _emit_loop(F, element, function, source, target, count):
    """Emit whole vectors, then one masked one for what is left."""
    builder, step, zero = F.builder, integer(element.lanes), integer(0)
    whole = builder.mul(builder.sdiv(count, step), step)

    def apply(index, mask=None):
        offset = builder.mul(index, integer(element.size))
        here, there = (builder.inttoptr(builder.add(x, offset), BYTES) for x in (source, target))
        result = function(F, element.load(builder, here, mask))
        element.store(builder, result, there, mask)

    with cgutils.for_range_slice(builder, zero, whole, step) as (index, _):
        apply(index)
    with builder.if_then(builder.icmp_signed("<", whole, count)):
        apply(whole, element.first(builder, builder.sub(count, whole)))


@kernel("intp, intp, const(T[::1]), T[::1], intp", fastmath=NO_FASTMATH)
def _apply(first, stop, x, out, which):
    """Apply one of the functions to a slice."""
    start = first * element_size(x)
    _over(x, address(x) + start, address(out) + start, which, stop - first)


@loop
def _run(data, sizes, steps, which, like):
    """Apply one of the functions where NumPy says."""
    size, count = element_size(like), sizes[0]
    together = count if steps[0] == size and steps[1] == size else 1
    for i in range(0, count, together):
        _over(like, data[0] + i * steps[0], data[1] + i * steps[1], which, together)


def _function(which):
    """Return one of the functions, of an array and an optional place for the result."""
    ufuncs = _run.ufuncs(FUNCTIONS[which].__name__, 1, number=which)

    def apply(x, out=None):
        if out is None and x.size < _SMALL and x.ndim and x.flags.c_contiguous:
            dtype = x.dtype
            if dtype in _DTYPES:
                return ufuncs[dtype.char](x)
        return _applied(which, x, out)

    return apply


def _applied(which, x, out):
    dtype, count = x.dtype, x.size
    if out is None:
        if dtype not in _DTYPES:
            raise DTypeError(f"pointwise: x is of {dtype}, expected float32 or float64.")
        out = empty(x.shape, dtype)
    elif out.shape != x.shape or out.dtype != dtype:
        raise ShapeError(
            f"pointwise: out is {out.dtype} {out.shape}, expected {dtype} {x.shape} as x is."
        )
    source, target = x, out
    if not out.flags.c_contiguous:
        target = empty(x.shape, dtype)
    if not x.flags.c_contiguous:
        target[...] = x
        source = target
    if x.ndim != 1:
        source, target = source.reshape(-1), target.reshape(-1)
    if count < 2 * _GRAIN:
        _apply(0, count, source, target, which)
    else:
        parallel(_apply, count, source, target, which, grain=_GRAIN)
    if not out.flags.c_contiguous:
        out[...] = target.reshape(x.shape)
    return out


exp, tanh, sigmoid = map(_function, range(len(FUNCTIONS)))
