# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False, disallow-untyped-decorators=False
"""What written kernels call besides products and vectors: masks, copies, the barrier."""

import ctypes
import os
from functools import partial

from tinygrad_rnn.kernels._jit import NO_FASTMATH, cgutils, helper, intrinsic, ir, kernel, types
from tinygrad_rnn.kernels._simd import add as add_vectors
from tinygrad_rnn.kernels._simd import fill, load, store
from tinygrad_rnn.kernels.matmul.cpu_block import rows_times_panels
from tinygrad_rnn.kernels.matmul.cpu_tile import element_size, lanes
from tinygrad_rnn.kernels.recurrence.reference import HOLD, RESET, STEP

__all__ = [
    "HOLD", "RESET", "STEP", "add_columns", "clear_columns", "copy_columns", "meet", "multiply",
    "product", "resets",
]  # fmt: skip


@kernel(f"T, {', '.join(['intp'] * 14)}", fastmath=NO_FASTMATH)
def product(
    like, a, a_row, a_col, b, b_row, b_step, skip, c, c_row, start, start_row, rows, k, columns
):
    """``rows_times_panels``, compiled once for the kernels of all programs."""
    rows_times_panels(
        like, a, a_row, a_col, b, b_row, b_step, skip, c, c_row, start, start_row, rows, k, columns
    )


def _multiply_in_python(address, like, *numbers):
    a, a_row, a_col, b, *rest = numbers
    product.body(like, a, a_row, a_col, b, 0, 0, 0, *rest)


@partial(intrinsic, twin=_multiply_in_python)
def multiply(
    typing, address, like, a, a_row, a_col, b, c, c_row, start, start_row, rows, k, columns
):
    """Call ``product`` at its address: the tiles are long, and not to be compiled again."""

    def codegen(context, builder, signature, args):
        place, _, *numbers = args
        zero = ir.Constant(ir.IntType(64), 0)
        scalar = context.get_value_type(like.dtype)
        a, a_row, a_col, b, *rest = numbers
        values = [ir.Constant(scalar, 0.0), a, a_row, a_col, b, zero, zero, zero, *rest]
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(
            ir.IntType(32), [pointer.as_pointer()] * 2 + [v.type for v in values]
        )
        # Numba's calling convention: where the result and an error would go, then the values.
        nothing = [cgutils.alloca_once(builder, pointer) for _ in range(2)]
        builder.call(builder.inttoptr(place, kind.as_pointer()), [*nothing, *values])
        return context.get_dummy_value()

    return types.void(address, like, *[types.intp] * 11), codegen


_SPINS = 2000  # looks at the counter before letting another thread have the core


@helper(fastmath=NO_FASTMATH)
def copy_columns(like, source, target, left, right):
    """Copy the columns from ``left`` to ``right`` of one row to another."""
    size, step = element_size(like), lanes(like)
    for u in range(left, right, step):
        store(like, target + u * size, right - u, load(like, source + u * size, right - u))


@helper(fastmath=NO_FASTMATH)
def add_columns(like, source, target, left, right):
    """Add columns of one row to another."""
    size, step = element_size(like), lanes(like)
    for u in range(left, right, step):
        n = right - u
        total = add_vectors(load(like, target + u * size, n), load(like, source + u * size, n))
        store(like, target + u * size, n, total)


@helper(fastmath=NO_FASTMATH)
def clear_columns(like, target, left, right):
    """Write zeros."""
    size, step = element_size(like), lanes(like)
    for u in range(left, right, step):
        store(like, target + u * size, right - u, fill(like, 0.0))


@helper(fastmath=NO_FASTMATH)
def resets(mask, t, T, B, b):
    """Whether row ``b`` starts anew at step ``t``."""
    return len(mask) > 0 and 0 <= t < T and mask[t * B + b] == RESET


def _meet_in_python(counter, goal):
    counter[0] += 1  # one thread alone: without compiled code there is no team
    assert counter[0] >= goal


@partial(intrinsic, twin=_meet_in_python)
def meet(typing, counter, goal):
    """Say that this thread has come, and wait until ``goal`` threads have.

    The counter only rises: in its n-th meeting a team of k waits for n * k. Waiting spins
    briefly, since the others are a few microseconds away, and then yields the core.
    """

    def codegen(context, builder, signature, args):
        array = context.make_array(counter)(context, builder, args[0])
        builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "seq_cst")
        function = builder.function
        head = function.append_basic_block("meet.look")
        wait = function.append_basic_block("meet.wait")
        rest = function.append_basic_block("meet.yield")
        done = function.append_basic_block("meet.done")
        spins = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(64), 0))
        builder.branch(head)
        builder.position_at_end(head)
        come = builder.load_atomic(array.data, "acquire", 8)
        builder.cbranch(builder.icmp_signed(">=", come, args[1]), done, wait)
        builder.position_at_end(wait)
        _pause(builder)
        count = builder.add(builder.load(spins), ir.Constant(ir.IntType(64), 1))
        builder.store(count, spins)
        long = builder.icmp_signed(">", count, ir.Constant(ir.IntType(64), _SPINS))
        builder.cbranch(long, rest, head)
        builder.position_at_end(rest)
        if hasattr(ctypes.CDLL(None), "sched_yield") if os.name == "posix" else False:
            yields = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, yields, "sched_yield"), [])
        builder.branch(head)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(counter, goal), codegen


def _pause(builder):
    """Tell the processor that this is a spin loop, where it wants to know."""
    if builder.module.triple.startswith(("x86_64", "i686")):
        pause = ir.FunctionType(ir.VoidType(), [])
        name = "llvm.x86.sse2.pause"
        builder.call(cgutils.get_or_insert_function(builder.module, pause, name), [])
