"""Arithmetic in which every operation is rounded once, on LLVM vectors and on NumPy numbers.

Whoever writes a function of ``F`` and its operands writes it for both: ``Compiled`` emits
instructions without fast-math flags, ``InPython`` computes at once, and the bits are equal.
"""

import numpy as np

from tinygrad_rnn.kernels._approximation import CONSTANTS
from tinygrad_rnn.kernels._fma import fma
from tinygrad_rnn.kernels._jit import cgutils, ir

__all__ = ["Compiled", "InPython", "in_python"]


class Compiled:
    """Emits the operations as LLVM instructions on vectors."""

    def __init__(self, builder, dtype, lanes):
        self.builder = builder
        self.lanes = lanes
        self.bits = dtype.bitwidth
        self.constants = CONSTANTS[np.dtype(str(dtype))]
        self.mantissa = 23 if self.bits == 32 else 52
        self.type = self._shaped(ir.FloatType() if self.bits == 32 else ir.DoubleType())
        self.integer = self._shaped(ir.IntType(self.bits))
        self.name = f"v{lanes}f{self.bits}"

    def _shaped(self, scalar):
        return ir.VectorType(scalar, self.lanes)

    def _filled(self, shaped, value):
        return ir.Constant(shaped, [value] * self.lanes)

    def call(self, name, *values):
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
        return self.call("fma", x, y, z)

    def round(self, x):
        return self.call("rint", x)

    def magnitude(self, x):
        return self.call("fabs", x)

    def with_sign(self, x, sign):
        return self.call("copysign", x, sign)

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


class InPython:
    """Performs the operations on NumPy numbers, to the same bits."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.constants = CONSTANTS[self.dtype]

    add, multiply, divide = map(staticmethod, (np.add, np.multiply, np.divide))
    round, magnitude, negative = map(staticmethod, (np.rint, np.abs, np.negative))
    with_sign, less, is_nan = map(staticmethod, (np.copysign, np.less, np.isnan))
    select, fma = map(staticmethod, (np.where, fma))

    def number(self, value):
        return self.dtype.type(value)

    def scale(self, x, n):
        return np.ldexp(x, n.astype(np.int32))


def in_python(function, x, *more):
    """Run a function in NumPy, and flush what lies below the normal range as kernels do."""
    result = function(InPython(x.dtype), x, *more)
    return np.where(np.abs(result) < np.finfo(x.dtype).tiny, np.copysign(0, result), result)
