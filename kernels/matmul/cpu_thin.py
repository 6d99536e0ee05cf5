"""Thin products: a column times a row, of one term each, and a row times a transposed matrix.

The large matrix, C or B, is passed over once. Tiles do little with each of its numbers, and
before they read a transposed matrix it would be packed, which takes as long again.
"""

from functools import partial

from tinygrad_rnn.kernels._fma import fma as fma_of_numbers
from tinygrad_rnn.kernels._jit import NO_FASTMATH, cgutils, helper, intrinsic, types
from tinygrad_rnn.kernels._simd import fill, fma, load, spread, store
from tinygrad_rnn.kernels._vector import (
    BYTES,
    Element,
    at,
    element_size,
    integer,
    lanes,
    transposed_block,
)

__all__ = ["column_times_row", "row_times_columns"]


@helper(fastmath=NO_FASTMATH)
def column_times_row(like, a, a_row, b, c, c_row, start, start_row, rows, columns):
    """Write each number of a column of A times a row of B, added to where the sums start."""
    size, step = element_size(like), lanes(like)
    for i in range(rows):
        number, here, there = spread(like, a + i * a_row), start + i * start_row, c + i * c_row
        for j in range(0, columns, step):
            left = columns - j
            sums = load(like, here + j * size, left) if start != 0 else fill(like, 0.0)
            sums = fma(number, load(like, b + j * size, left), sums)
            store(like, there + j * size, left, sums)


@helper(fastmath=NO_FASTMATH)
def row_times_columns(like, a, b, b_col, c, start, k, columns):
    """Write the products of one row of A with all columns of B, a vector of them at a time."""
    size, step = element_size(like), lanes(like)
    for j in range(0, columns, step):
        left = columns - j
        sums = load(like, start + j * size, left) if start != 0 else fill(like, 0.0)
        for q in range(0, k, step):
            here = q * size
            sums = _add_terms(
                like, sums, a + here, b + j * b_col + here, b_col, min(step, left), min(step, k - q)
            )
        store(like, c + j * size, left, sums)


def _add_terms_in_python(like, sums, a, b, b_col, columns, terms):
    size = element_size(like)
    a, b = at(like, a, (terms,), (size,)), at(like, b, (columns, terms), (b_col, size))
    sums = sums.copy()
    for q in range(terms):
        sums[:columns] = fma_of_numbers(a[q], b[:, q], sums[:columns])
    return sums


@partial(intrinsic, twin=_add_terms_in_python)
def _add_terms(typing, like, sums, a, b, b_col, columns, terms):
    """Add up to as many terms as a vector has lanes to the sums of up to as many columns.

    The columns are turned into rows in registers, so that each sum gets its terms in their order.
    """
    element = Element(like)

    def codegen(context, builder, signature, args):
        _, sums, a, b, b_col, columns, terms = args
        result = cgutils.alloca_once_value(builder, sums)
        full = integer(element.lanes)
        whole = builder.and_(*(builder.icmp_signed("==", n, full) for n in (columns, terms)))
        with builder.if_else(whole) as branches:
            for branch, bounds in zip(branches, (None, (columns, terms)), strict=True):
                with branch:
                    rows = transposed_block(builder, element, b, b_col, bounds)
                    left = None if bounds is None else terms
                    builder.store(_with_terms(builder, element, sums, a, rows, left), result)
        return builder.load(result)

    return sums(like, sums, *[types.intp] * 5), codegen


def _with_terms(builder, element, sums, a, rows, terms):
    """The sums after a term for each row, or for the first ``terms``: a number of A times it."""
    fma_ = element.function(builder, f"fma.{element.name}", element.vector, [element.vector] * 3)
    for q, row in enumerate(rows):
        number, there = integer(q), None
        if terms is not None:  # what is past the last term is the last, and left out
            there = builder.icmp_signed("<", number, terms)
            number = builder.select(there, number, builder.sub(terms, integer(1)))
        place = builder.add(a, builder.mul(number, integer(element.size)))
        pointer = builder.bitcast(builder.inttoptr(place, BYTES), element.scalar.as_pointer())
        value = builder.load(pointer)
        value.align = element.size
        added = builder.call(fma_, [element.spread(builder, value, element.vector), row, sums])
        sums = added if there is None else builder.select(there, added, sums)
    return sums
