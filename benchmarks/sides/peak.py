"""The most that the machine can do: multiply-adds between registers, nothing loaded or stored."""

from functools import partial

import numpy as np

from tinygrad_rnn.kernels._jit import NO_FASTMATH, cgutils, intrinsic, ir, kernel, types
from tinygrad_rnn.kernels._pool import team
from tinygrad_rnn.kernels._vector import Element, integer, lanes_of

CHAINS, ROUNDS = 12, 1_000_000  # more chains than an addition takes cycles on two units


@partial(intrinsic, twin=lambda out, rounds: None)
def multiply_adds(typing, out, rounds):
    """Run the chains, and store their sum so that none is left out."""
    element = Element(out)

    def codegen(context, builder, signature, args):
        place = context.make_array(out)(context, builder, args[0]).data
        fma = element.function(builder, f"fma.{element.name}", element.vector, [element.vector] * 3)
        factor = ir.Constant(element.vector, [0.999] * element.lanes)
        sums = [cgutils.alloca_once_value(builder, factor) for _ in range(CHAINS)]
        with cgutils.for_range(builder, args[1]):
            for chain in sums:
                builder.store(builder.call(fma, [builder.load(chain), factor, factor]), chain)
        total = builder.load(sums[0])
        for chain in sums[1:]:
            total = builder.fadd(total, builder.load(chain))
        element.store(builder, total, builder.gep(place, [integer(0)]))
        return context.get_dummy_value()

    return types.void(out, types.intp), codegen


@kernel("intp, intp, T[:, ::1], intp", fastmath=NO_FASTMATH)
def chains(worker, workers, out, rounds):
    """Let a worker run its chains."""
    multiply_adds(out[worker], rounds)


def flops(dtype, threads):
    """Return how many operations a call of the case does."""
    return 2 * CHAINS * ROUNDS * lanes_of(dtype) * threads


def case(name):
    out = np.zeros((1024, lanes_of(name)), name)
    return lambda: team(chains, out, ROUNDS)
