"""The approximations compiled for vectors over whole arrays, and for scalars in other kernels."""

from functools import partial

import numpy as np

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._fma import fma
from tinygrad_rnn.kernels._jit import (
    NO_FASTMATH,
    cgutils,
    intrinsic,
    ir,
    kernel,
    types,
)
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._vector import Element, integer
from tinygrad_rnn.kernels.pointwise import approximation

__all__ = ["exp", "exp_", "fma_", "sigmoid", "sigmoid_", "tanh", "tanh_"]

_FUNCTIONS = (approximation.exp, approximation.tanh, approximation.sigmoid)
_GRAIN = 8192  # elements that are worth another thread: about as long as waking it
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class _Compiled:
    """Performs the operations of an approximation on LLVM values, scalars or vectors."""

    def __init__(self, builder, dtype, lanes=None):
        self.builder = builder
        self.lanes = lanes
        self.bits = dtype.bitwidth
        self.constants = approximation.CONSTANTS[np.dtype(str(dtype))]
        self.mantissa = 23 if self.bits == 32 else 52
        self.type = self._shaped(ir.FloatType() if self.bits == 32 else ir.DoubleType())
        self.integer = self._shaped(ir.IntType(self.bits))
        self.name = f"f{self.bits}" if lanes is None else f"v{lanes}f{self.bits}"

    def _shaped(self, scalar):
        return scalar if self.lanes is None else ir.VectorType(scalar, self.lanes)

    def _filled(self, shaped, value):
        return ir.Constant(shaped, value if self.lanes is None else [value] * self.lanes)

    def _call(self, name, *values):
        kind = ir.FunctionType(self.type, [self.type] * len(values))
        name = f"llvm.{name}.{self.name}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, values)

    def number(self, value):
        return self._filled(self.type, float(value))

    def add(self, x, y):
        return self.builder.fadd(x, y)

    def multiply(self, x, y):
        return self.builder.fmul(x, y)

    def divide(self, x, y):
        return self.builder.fdiv(x, y)

    def fma(self, x, y, z):
        return self._call("fma", x, y, z)

    def round(self, x):
        return self._call("rint", x)

    def magnitude(self, x):
        return self._call("fabs", x)

    def with_sign(self, x, sign):
        return self._call("copysign", x, sign)

    def negative(self, x):
        return self.builder.fneg(x)

    def less(self, x, y):
        return self.builder.fcmp_ordered("<", x, y)

    def is_nan(self, x):
        return self.builder.fcmp_unordered("uno", x, x)

    def select(self, condition, x, y):
        return self.builder.select(condition, x, y)

    def scale(self, x, n):
        """Return x * 2^n by adding n to the exponent; the result is a normal number."""
        # Through 32 bits: only AVX-512 converts float64 to 64-bit integers in vectors.
        whole = self.builder.fptosi(n, self._shaped(ir.IntType(32)))
        if self.bits == 64:
            whole = self.builder.sext(whole, self.integer)
        shifted = self.builder.shl(whole, self._filled(self.integer, self.mantissa))
        raised = self.builder.add(self.builder.bitcast(x, self.integer), shifted)
        return self.builder.bitcast(raised, self.type)


class _InPython:
    """Performs the operations of an approximation on NumPy numbers, to the same bits."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.constants = approximation.CONSTANTS[self.dtype]

    add, multiply, divide = map(staticmethod, (np.add, np.multiply, np.divide))
    round, magnitude, negative = map(staticmethod, (np.rint, np.abs, np.negative))
    with_sign, less, is_nan = map(staticmethod, (np.copysign, np.less, np.isnan))
    select, fma = map(staticmethod, (np.where, fma))

    def number(self, value):
        return self.dtype.type(value)

    def scale(self, x, n):
        return np.ldexp(x, n.astype(np.int32))


def _in_python(function, x):
    """Compute in NumPy, and flush what lies below the normal range as compiled kernels do."""
    result = function(_InPython(x.dtype), x)
    return np.where(np.abs(result) < np.finfo(x.dtype).tiny, np.copysign(0, result), result)


def _scalar(function):
    """Make the function that kernels call on one number."""

    def in_python(x):
        with np.errstate(all="ignore"):
            return _in_python(function, x)[()]

    @partial(intrinsic, twin=in_python)
    def compiled(typing, x):
        def codegen(context, builder, signature, args):
            return function(_Compiled(builder, x), args[0])

        return x(x), codegen

    return compiled


exp_, tanh_, sigmoid_ = map(_scalar, _FUNCTIONS)


@partial(intrinsic, twin=lambda x, y, z: fma(x, y, z)[()])
def fma_(typing, x, y, z):
    """Return x * y + z rounded once, whatever the options of the kernel."""

    def codegen(context, builder, signature, args):
        return _Compiled(builder, x).fma(*args)

    return x(x, x, x), codegen


def _array_in_python(x, out, which, first, stop):
    with np.errstate(all="ignore"):
        out[first:stop] = _in_python(_FUNCTIONS[which], x[first:stop])


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
        F = _Compiled(builder, x.dtype, element.lanes)
        end = builder.append_basic_block("applied")
        switch = builder.switch(which, end)
        for number, function in enumerate(_FUNCTIONS):
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


def _applied(which, x, out):
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


def exp(x, out=None):
    return _applied(0, x, out)


def tanh(x, out=None):
    return _applied(1, x, out)


def sigmoid(x, out=None):
    return _applied(2, x, out)
