"""Random numbers by counting: Threefry-2x32 (Salmon et al. 2011), 20 rounds.

A number is a function of a key and of what it is for, so it is the same on any number of
threads, and again when a pass is run again. Written once, of ``F``: over Python's whole
numbers and NumPy's arrays of them, and as instructions on LLVM's integers and vectors.
"""

from functools import partial

import numpy as np

from tinygrad_rnn.kernels._jit import cgutils, intrinsic, ir, types
from tinygrad_rnn.kernels._simd import Vector
from tinygrad_rnn.kernels._vector import HALF, WORD, Element, lanes_of
from tinygrad_rnn.kernels.noise.reference import Numbers, joined, parted, threefry, uniform_of

__all__ = ["noise", "step_key"]


class _Compiled:
    """The operations on words of 32 bits as LLVM instructions, on one or on a vector of them."""

    def __init__(self, builder, lanes):
        self.builder = builder
        self.type = HALF if lanes is None else ir.VectorType(HALF, lanes)
        self.name = "i32" if lanes is None else f"v{lanes}i32"
        self.lanes = lanes

    def number(self, value):
        return ir.Constant(self.type, value if self.lanes is None else [value] * self.lanes)

    def add(self, a, b):
        return self.builder.add(a, b)

    def xor(self, a, b):
        return self.builder.xor(a, b)

    def rotate(self, a, places):
        kind = ir.FunctionType(self.type, [self.type] * 3)
        name = f"llvm.fshl.{self.name}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [a, a, self.number(places)])


def _halves(builder, key):
    return builder.trunc(key, HALF), builder.trunc(builder.lshr(key, WORD(32)), HALF)


def _step_key_in_python(key, site, step):
    return joined(*threefry(Numbers, *parted(int(key)), int(site), int(step)))


@partial(intrinsic, twin=_step_key_in_python)
def step_key(typing, key, site, step):
    """The key of a site at a step."""

    def codegen(context, builder, signature, args):
        low, high = (builder.trunc(number, HALF) for number in args[1:])
        low, high = threefry(_Compiled(builder, None), *_halves(builder, args[0]), low, high)
        return builder.or_(builder.zext(low, WORD), builder.shl(builder.zext(high, WORD), WORD(32)))

    return types.intp(types.intp, types.intp, types.intp), codegen


def _noise_in_python(like, key, row, unit):
    units = np.arange(unit, unit + lanes_of(like.dtype), dtype=np.uint64)
    return uniform_of(threefry(Numbers, *parted(int(key)), units, int(row))[0], like.dtype)


@partial(intrinsic, twin=_noise_in_python)
def noise(typing, like, key, row, unit):
    """Numbers from [0, 1) for as many units as a vector has lanes."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        F = _Compiled(builder, element.lanes)
        low, high = (element.spread(builder, k, F.type) for k in _halves(builder, args[1]))
        row, unit = (builder.trunc(number, HALF) for number in args[2:])
        units = element.spread(builder, unit, F.type)
        units = builder.add(units, ir.Constant(F.type, list(range(element.lanes))))
        word, _ = threefry(F, low, high, units, element.spread(builder, row, F.type))
        whole = builder.uitofp(builder.lshr(word, F.number(8)), element.vector)
        scale = ir.Constant(element.vector, [2.0**-24] * element.lanes)
        return builder.fmul(whole, scale)

    return Vector(like.dtype, element.lanes)(like, types.intp, types.intp, types.intp), codegen
