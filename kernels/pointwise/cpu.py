"""The approximations over whole arrays, a vector at a time."""

from functools import partial

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._approximation import FUNCTIONS
from tinygrad_rnn.kernels._arithmetic import Compiled, in_python
from tinygrad_rnn.kernels._jit import NO_FASTMATH, cgutils, intrinsic, kernel, types
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._vector import Element, integer

__all__ = ["exp", "sigmoid", "tanh"]

_GRAIN = 8192  # elements that are worth another thread: about as long as waking it
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _array_in_python(x, out, which, first, stop):
    with np.errstate(all="ignore"):
        out[first:stop] = in_python(FUNCTIONS[which], x[first:stop])


@partial(intrinsic, twin=_array_in_python)
def _over(typing, x, out, which, first, stop):
    """Apply function ``which`` to the elements from ``first`` to ``stop``, a vector at a time.

    Vectors are written out, rather than left to LLVM to find, so that the last elements go
    through the same instructions as all others, and a function can work in place.
    """
    element = Element(x)

    def codegen(context, builder, signature, args):
        _, _, which, first, stop = args
        source = context.make_array(x)(context, builder, args[0]).data
        target = context.make_array(out)(context, builder, args[1]).data
        F = Compiled(builder, x.dtype, element.lanes)
        end = builder.append_basic_block("applied")
        switch = builder.switch(which, end)
        for number, function in enumerate(FUNCTIONS):
            case = builder.append_basic_block(function.__name__)
            switch.add_case(integer(number), case)
            with builder.goto_block(case):
                _emit_loop(F, element, function, source, target, first, stop)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(x, out, *[types.intp] * 3), codegen


def _emit_loop(F, element, function, source, target, first, stop):
    """Emit whole vectors, then one masked one for what is left."""
    builder, step = F.builder, integer(element.lanes)
    count = builder.sub(stop, first)
    whole = builder.add(first, builder.mul(builder.sdiv(count, step), step))

    def apply(index, mask=None):
        here, there = builder.gep(source, [index]), builder.gep(target, [index])
        result = function(F, element.load(builder, here, mask))
        element.store(builder, result, there, mask)

    with cgutils.for_range_slice(builder, first, whole, step) as (index, _):
        apply(index)
    with builder.if_then(builder.icmp_signed("<", whole, stop)):
        apply(whole, element.first(builder, builder.sub(stop, whole)))


@kernel("intp, intp, const(T[::1]), T[::1], intp", fastmath=NO_FASTMATH)
def _apply(first, stop, x, out, which):
    """Apply one of the functions to a slice."""
    _over(x, out, which, first, stop)


def _applied(which, x, out=None):
    dtype, count = x.dtype, x.size
    if out is None and count < 2 * _GRAIN and dtype in _DTYPES and x.flags.c_contiguous:
        # NumPy keeps small memory ready itself, at a fifth of the cost.
        out = np.empty(x.shape, dtype) if count < 256 else empty(x.shape, dtype)
        if x.ndim == 1:
            _apply(0, count, x, out, which)
        else:
            _apply(0, count, x.reshape(-1), out.reshape(-1), which)
        return out
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


exp, tanh, sigmoid = (partial(_applied, which) for which in range(len(FUNCTIONS)))
