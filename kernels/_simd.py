"""Vectors of numbers as values of kernels: what generated element-wise code is written in.

    v = load(like, address, count)       the next lanes(like) numbers, zeros past ``count``
    store(like, address, count, v)       the first ``count`` of them
    fill(like, 0.5)                      the same number in all lanes
    spread(like, address)                the number there in all lanes
    total(v)                             their sum, from the first to the last
    largest(v)                           the largest of them, none of which is NaN
    add(a, b), fma(a, b, c), tanh(a)...  lane by lane

Every operation is written out as LLVM's own, without fast-math flags: the last, partly
filled vector goes through the same instructions as all others, and bits do not depend on
where a number stands.

``like`` is an array that tells the element type. Under NUMBA_DISABLE_JIT=1 vectors are
NumPy arrays of as many lanes.
"""

from functools import partial

import numpy as np

from tinygrad_rnn.kernels._approximation import FUNCTIONS
from tinygrad_rnn.kernels._arithmetic import Compiled, InPython
from tinygrad_rnn.kernels._jit import cgutils, extending, intrinsic, ir, types
from tinygrad_rnn.kernels._vector import BYTES, Element, at, lanes_of

__all__ = [
    "absolute", "add", "both", "cos", "div", "eq", "exp", "expm1", "fill", "fma", "ge", "gt",
    "largest", "le", "load", "log", "log1p", "lt", "maximum", "minimum", "mul", "neg", "power",
    "sigmoid", "sign", "sin", "spread", "sqrt", "store", "sub", "tanh", "total", "where",
]  # fmt: skip


class Vector(types.Type):
    """Numba's type of a vector of numbers, or of truth values."""

    def __init__(self, dtype, lanes, truth=False):
        self.dtype, self.lanes, self.truth = dtype, lanes, truth
        super().__init__(name=f"{'truth' if truth else 'vector'}({dtype} x {lanes})")


@extending.register_model(Vector)
class _Model(extending.models.PrimitiveModel):
    def __init__(self, manager, kind):
        number = ir.FloatType() if kind.dtype.bitwidth == 32 else ir.DoubleType()
        scalar = ir.IntType(1) if kind.truth else number
        super().__init__(manager, kind, ir.VectorType(scalar, kind.lanes))


# ----- memory -----


def _load_in_python(like, address, count):
    vector = np.zeros(lanes_of(like.dtype), like.dtype)
    count = max(0, min(count, len(vector)))
    vector[:count] = at(like, address, (count,), (like.dtype.itemsize,))
    return vector


@partial(intrinsic, twin=_load_in_python)
def load(typing, like, address, count):
    """The numbers from ``address`` on, zeros past ``count``."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        mask = element.first(builder, args[2])
        return element.load(builder, builder.inttoptr(args[1], BYTES), mask)

    return Vector(like.dtype, element.lanes)(like, types.intp, types.intp), codegen


def _store_in_python(like, address, count, value):
    count = max(0, min(count, len(value)))
    at(like, address, (count,), (like.dtype.itemsize,))[...] = value[:count]


@partial(intrinsic, twin=_store_in_python)
def store(typing, like, address, count, value):
    """Write the first ``count`` numbers to ``address``."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        mask = element.first(builder, args[2])
        element.store(builder, args[3], builder.inttoptr(args[1], BYTES), mask)
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp, value), codegen


@partial(
    intrinsic,
    twin=lambda like, number: np.full(lanes_of(like.dtype), number, like.dtype),
)
def fill(typing, like, number):
    """The same number in all lanes."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        scalar = context.cast(builder, args[1], signature.args[1], like.dtype)
        return element.spread(builder, scalar, element.vector)

    return Vector(like.dtype, element.lanes)(like, number), codegen


@partial(
    intrinsic,
    twin=lambda like, address: np.full(
        lanes_of(like.dtype), at(like, address, (1,), (0,))[0], like.dtype
    ),
)
def spread(typing, like, address):
    """The number at ``address`` in all lanes."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        number = builder.load(builder.inttoptr(args[1], element.scalar.as_pointer()))
        number.align = element.size
        return element.spread(builder, number, element.vector)

    return Vector(like.dtype, element.lanes)(like, types.intp), codegen


# ----- arithmetic -----


def _operation(name, arity, in_python, emit, *, truth=False):
    """Make an intrinsic of ``arity`` vectors; ``emit(F, *values)`` writes the instructions."""
    names = ", ".join("abc"[:arity])

    def typed(typing, *vectors):
        numbers = next(v for v in vectors if not v.truth)

        def codegen(context, builder, signature, args):
            return emit(Compiled(builder, numbers.dtype, numbers.lanes), *args)

        return Vector(numbers.dtype, numbers.lanes, truth)(*vectors), codegen

    scope = {"typed": typed}
    exec(f"def {name}(typing, {names}):\n    return typed(typing, {names})\n", scope)
    return intrinsic(scope[name], twin=in_python)


def _approximated(function):
    def in_python(x):
        with np.errstate(all="ignore"):
            return function(InPython(x.dtype), x)

    return _operation(function.__name__, 1, in_python, function)


def _compared(name, sign):
    def emit(F, a, b):
        return F.builder.fcmp_ordered(sign, a, b)

    ufunc = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
    return _operation(name, 2, ufunc.get(sign, np.equal), emit, truth=True)


def _from_llvm(name, in_python, arity=1):
    return _operation(name, arity, in_python, lambda F, *values: F.call(name, *values))


def _from_libm(name, in_python):
    """A function that LLVM has no vectors of: called for each lane."""

    def emit(F, x):
        scalar = F.type.element
        kind = ir.FunctionType(scalar, [scalar])
        symbol = name + ("f" if F.bits == 32 else "")
        function = cgutils.get_or_insert_function(F.builder.module, kind, symbol)
        result = ir.Constant(F.type, ir.Undefined)
        for lane in range(F.lanes):
            number = ir.Constant(ir.IntType(32), lane)
            y = F.builder.call(function, [F.builder.extract_element(x, number)])
            result = F.builder.insert_element(result, y, number)
        return result

    return _operation(name, 1, in_python, emit)


def _emit_sign(F, x):
    zero = F.number(0.0)
    negative = F.select(F.less(x, zero), F.number(-1.0), x)
    return F.select(F.less(zero, x), F.number(1.0), negative)


add = _operation("add", 2, np.add, lambda F, a, b: F.add(a, b))
sub = _operation("sub", 2, np.subtract, lambda F, a, b: F.builder.fsub(a, b))
mul = _operation("mul", 2, np.multiply, lambda F, a, b: F.multiply(a, b))
div = _operation("div", 2, np.true_divide, lambda F, a, b: F.divide(a, b))
neg = _operation("neg", 1, np.negative, lambda F, a: F.negative(a))
fma = _operation(
    "fma", 3, lambda a, b, c: InPython(a.dtype).fma(a, b, c), lambda F, a, b, c: F.fma(a, b, c)
)
absolute = _operation("absolute", 1, np.abs, lambda F, a: F.magnitude(a))
sign = _operation("sign", 1, np.sign, _emit_sign)
sqrt = _from_llvm("sqrt", np.sqrt)
maximum = _from_llvm("maximum", np.maximum, 2)
minimum = _from_llvm("minimum", np.minimum, 2)
power = _from_llvm("pow", np.power, 2)
log = _from_llvm("log", np.log)
sin = _from_llvm("sin", np.sin)
cos = _from_llvm("cos", np.cos)
log1p = _from_libm("log1p", np.log1p)
expm1 = _from_libm("expm1", np.expm1)
exp, tanh, sigmoid = map(_approximated, FUNCTIONS)

# ----- choices -----

gt, ge = _compared("gt", ">"), _compared("ge", ">=")
lt, le = _compared("lt", "<"), _compared("le", "<=")
eq = _compared("eq", "==")
where = _operation("where", 3, np.where, lambda F, c, a, b: F.select(c, a, b))


@partial(intrinsic, twin=np.logical_and)
def both(typing, a, b):
    """Where two conditions hold."""
    return a(a, b), lambda context, builder, signature, args: builder.and_(*args)


def _total_in_python(v):
    result = v.dtype.type(0)
    with np.errstate(all="ignore"):
        for number in v:
            result += number
    return result


@partial(intrinsic, twin=_total_in_python)
def total(typing, v):
    """The sum of the lanes, from the first to the last."""

    def codegen(context, builder, signature, args):
        F = Compiled(builder, v.dtype, v.lanes)
        kind = ir.FunctionType(F.type.element, [F.type.element, F.type])
        name = f"llvm.vector.reduce.fadd.{F.name}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(F.type.element, 0.0), args[0]])

    return v.dtype(v), codegen


@partial(intrinsic, twin=np.max)
def largest(typing, v):
    """The largest of the lanes, none of which is NaN."""

    def codegen(context, builder, signature, args):
        F = Compiled(builder, v.dtype, v.lanes)
        kind = ir.FunctionType(F.type.element, [F.type])
        name = f"llvm.vector.reduce.fmax.{F.name}"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return v.dtype(v), codegen
