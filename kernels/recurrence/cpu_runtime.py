"""What written kernels call besides products and vectors: flags, copies, the tiles."""

from functools import partial

from tinygrad_rnn.kernels._jit import NO_FASTMATH, cgutils, helper, intrinsic, ir, kernel, types
from tinygrad_rnn.kernels._simd import add as add_vectors
from tinygrad_rnn.kernels._simd import fill, load, store
from tinygrad_rnn.kernels._vector import element_size, lanes
from tinygrad_rnn.kernels.matmul.cpu_block import rows_times_panels
from tinygrad_rnn.kernels.recurrence.reference import CUT, RESET

__all__ = [
    "CUT", "RESET", "add_columns", "clear_columns", "copy_columns", "count_of_panels", "has",
    "multiply", "panel_of", "rows_times_weight", "share_of_rows",
]  # fmt: skip


@kernel(f"T, {', '.join(['intp'] * 14)}", fastmath=NO_FASTMATH)
def rows_times_weight(
    like, a, a_row, a_col, b, b_row, b_step, b_next, c, c_row, start, start_row, rows, k, columns
):
    """``rows_times_panels``, compiled once for the kernels of all programs."""
    rows_times_panels(
        like, a, a_row, a_col, b, b_row, b_step, b_next, 0, c, c_row, start, start_row,
        rows, k, columns, False, False,
    )  # fmt: skip


def _multiply_in_python(address, like, *numbers):
    rows_times_weight.body(like, *numbers)


@partial(intrinsic, twin=_multiply_in_python)
def multiply(
    typing, address, like, a, a_row, a_col, b, b_row, b_step, b_next, c, c_row, start, start_row,
    rows, k, columns,
):  # fmt: skip
    """Call ``rows_times_weight`` at its address: its tiles are too long to be compiled again."""

    def codegen(context, builder, signature, args):
        place, _, *numbers = args
        scalar = context.get_value_type(like.dtype)
        values = [ir.Constant(scalar, 0.0), *numbers]
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(
            ir.IntType(32), [pointer.as_pointer()] * 2 + [v.type for v in values]
        )
        # Numba's calling convention: where the result and an error would go, then the values.
        nothing = [cgutils.alloca_once(builder, pointer) for _ in range(2)]
        builder.call(builder.inttoptr(place, kind.as_pointer()), [*nothing, *values])
        return context.get_dummy_value()

    return types.void(address, like, *[types.intp] * 14), codegen


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
def has(flags, place, wanted):
    """Whether there are flags, and at a place one of those that are wanted."""
    return len(flags) > 0 and flags[place] & wanted != 0


@helper(fastmath=NO_FASTMATH)
def count_of_panels(left, right, span):
    """How many panels there are between two columns."""
    return (right - left + span - 1) // span


@helper(fastmath=NO_FASTMATH)
def panel_of(left, right, span, number, turned):
    """The first column of a panel; turned, the last panel comes first."""
    if turned:
        number = count_of_panels(left, right, span) - 1 - number
    return left + number * span


@helper(fastmath=NO_FASTMATH)
def share_of_rows(offsets, rows, share, shares):
    """The first row of a share of the rows, so that all shares have as many steps."""
    steps = len(offsets) - 1
    if offsets[steps] == steps * rows:
        return rows * share // shares
    low, high = 0, rows
    while low < high:
        middle, before = (low + high) // 2, 0
        for t in range(steps):
            before += min(middle, offsets[t + 1] - offsets[t])
        if before * shares < offsets[steps] * share:
            low = middle + 1
        else:
            high = middle
    return low
