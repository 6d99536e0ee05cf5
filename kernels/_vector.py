"""Vectors of numbers in memory: loads, stores and copies that compiled loops are made of.

Addresses and strides are integers and count bytes: kernels take them from arrays, and add.
Every intrinsic takes ``like`` first, an array or scalar that only tells the element type.
"""

import ctypes
from functools import partial

import numpy as np

from tinygrad_rnn.kernels._jit import cgutils, host_vector_bits, intrinsic, ir, types

__all__ = [
    "BITS",
    "BYTES",
    "HALF",
    "WORD",
    "Element",
    "address",
    "ask_for",
    "at",
    "copy_block",
    "element_size",
    "inner_function",
    "integer",
    "lanes",
    "lanes_of",
    "move",
    "prefetch",
    "room",
    "transpose_block",
    "transposed_block",
]

BITS = host_vector_bits()
WORD, HALF, BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()


def lanes_of(dtype):
    """Return how many elements of ``dtype`` a vector holds, outside of kernels."""
    return BITS // 8 // np.dtype(dtype).itemsize


def integer(value):
    """Return a constant word."""
    return ir.Constant(WORD, value)


class Element:
    """One element type: its LLVM types, and loads and stores of vectors of it."""

    def __init__(self, like, bits=BITS):
        dtype = getattr(like, "dtype", like)
        self.size = dtype.bitwidth // 8
        self.lanes = bits // dtype.bitwidth
        self.scalar = ir.FloatType() if self.size == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.mask = ir.VectorType(ir.IntType(1), self.lanes)
        self.name = f"v{self.lanes}f{dtype.bitwidth}"

    def function(self, builder, name, result, arguments):
        """Return one of LLVM's own functions."""
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}")

    def first(self, builder, count):
        """Return the mask of the first ``count`` lanes."""
        numbers = ir.VectorType(HALF, self.lanes)
        counts = self.spread(builder, builder.trunc(count, HALF), numbers)
        return builder.icmp_signed("<", ir.Constant(numbers, list(range(self.lanes))), counts)

    def spread(self, builder, number, vector):
        """Return a vector of one number."""
        undefined = ir.Constant(vector, ir.Undefined)
        single = builder.insert_element(undefined, number, ir.Constant(HALF, 0))
        zeros = ir.Constant(ir.VectorType(HALF, self.lanes), [0] * self.lanes)
        return builder.shuffle_vector(single, undefined, zeros)

    def load(self, builder, pointer, mask=None):
        """Load a vector from anywhere; masked lanes are not touched, and zero."""
        pointer = builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            loaded = builder.load(pointer)
            loaded.align = self.size
            return loaded
        arguments = [self.vector.as_pointer(), HALF, self.mask, self.vector]
        load = self.function(builder, f"masked.load.{self.name}.p0", self.vector, arguments)
        alignment, zeros = ir.Constant(HALF, self.size), ir.Constant(self.vector, None)
        return builder.call(load, [pointer, alignment, mask, zeros])

    def store(self, builder, value, pointer, mask=None):
        """Store a vector anywhere; masked lanes are not touched."""
        pointer = builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            builder.store(value, pointer).align = self.size
            return
        arguments = [self.vector, self.vector.as_pointer(), HALF, self.mask]
        store = self.function(builder, f"masked.store.{self.name}.p0", ir.VoidType(), arguments)
        builder.call(store, [value, pointer, ir.Constant(HALF, self.size), mask])


def inner_function(builder, name, count, define):
    """Return the module's function ``name`` of ``count`` integers, defined if it is new.

    One body a module, however many places use it: these loops are long.
    """
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [WORD] * count)
        function = ir.Function(builder.module, kind, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        define(function, ir.IRBuilder(function.append_basic_block("entry")))
    return function


def at(like, start, shape, strides):
    """Return an array over memory, for the twins in Python."""
    if 0 in shape:
        return np.empty(shape, like.dtype)
    low = start + sum(min(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True))
    high = start + sum(max(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True))
    memory = (ctypes.c_char * int(high - low + like.dtype.itemsize)).from_address(int(low))
    return np.ndarray(shape, like.dtype, memory, start - low, strides)


def transposed_block(builder, element, source, source_row, bounds=None):
    """The columns of a block of as many rows and columns as a vector has lanes.

    Of a smaller one ``bounds`` tells the rows and columns; what it has not is not to be relied on.
    """
    rows = _rows_of_block(builder, element, source, source_row, bounds)
    # Halves of ever closer rows are exchanged: log2(lanes) rounds of shuffles.
    indices = ir.VectorType(HALF, element.lanes)
    n, distance = element.lanes, element.lanes // 2
    while distance:
        upper = [j + n - distance if j & distance else j for j in range(n)]
        lower = [j + n if j & distance else j + distance for j in range(n)]
        for i in range(n):
            if not i & distance:
                x, y = rows[i], rows[i + distance]
                rows[i] = builder.shuffle_vector(x, y, ir.Constant(indices, upper))
                rows[i + distance] = builder.shuffle_vector(x, y, ir.Constant(indices, lower))
        distance //= 2
    return rows


def _rows_of_block(builder, element, source, source_row, bounds):
    mask = None if bounds is None else element.first(builder, bounds[1])
    rows = []
    for i in range(element.lanes):
        row = integer(i)
        if bounds is not None:  # what is past the last row is read from it
            last = builder.sub(bounds[0], integer(1))
            row = builder.select(builder.icmp_signed("<", row, last), row, last)
        place = builder.add(source, builder.mul(source_row, row))
        rows.append(element.load(builder, builder.inttoptr(place, BYTES), mask))
    return rows


def _define_transposition(function, builder, element, partial):
    """Write the columns of a block as rows; what is past its last row lands in the padding."""
    source, source_row, target, target_row, height, width = function.args
    bounds = (height, width) if partial else None
    rows = transposed_block(builder, element, source, source_row, bounds)
    done = function.append_basic_block("done")
    for i, row in enumerate(rows):
        place = builder.add(target, builder.mul(target_row, integer(i)))
        if partial and i:
            more = function.append_basic_block(f"row_{i}")
            builder.cbranch(builder.icmp_signed(">", width, integer(i)), more, done)
            builder.position_at_end(more)
        element.store(builder, row, builder.inttoptr(place, BYTES))
    builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()


def _transpose_in_python(like, source, source_row, target, target_row, height, width):
    matrix = at(like, source, (height, width), (source_row, element_size(like)))
    at(like, target, (width, height), (target_row, element_size(like)))[...] = matrix.T


@partial(intrinsic, twin=_transpose_in_python)
def transpose_block(typing, like, source, source_row, target, target_row, height, width):
    """Write the transpose of up to as many rows and columns as a vector has lanes.

    The rows written are whole vectors, whatever stands in the last lanes of them.
    """
    element = Element(like)

    def codegen(context, builder, signature, args):
        full = integer(element.lanes)
        whole = builder.and_(*(builder.icmp_signed("==", n, full) for n in args[5:]))
        with builder.if_else(whole) as branches:
            for branch, is_partial in zip(branches, (False, True), strict=True):
                with branch:
                    define = partial(_define_transposition, element=element, partial=is_partial)
                    name = f"transpose_{'part' if is_partial else 'whole'}_{element.name}"
                    builder.call(inner_function(builder, name, 6, define), args[1:])
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


def _define_copy(function, builder, element):
    """Copy row by row: whole vectors, then a masked one."""
    source, source_row, target, target_row, rows, columns = function.args
    whole = builder.udiv(columns, integer(element.lanes))
    rest = builder.urem(columns, integer(element.lanes))
    mask = element.first(builder, rest)
    with cgutils.for_range(builder, rows) as outer:
        here = builder.add(source, builder.mul(source_row, outer.index))
        there = builder.add(target, builder.mul(target_row, outer.index))

        def copy(vector, mask=None):
            offset = builder.mul(vector, integer(element.lanes * element.size))
            places = [builder.inttoptr(builder.add(x, offset), BYTES) for x in (here, there)]
            element.store(builder, element.load(builder, places[0], mask), places[1], mask)

        with cgutils.for_range(builder, whole) as inner:
            copy(inner.index)
        with builder.if_then(builder.icmp_unsigned(">", rest, integer(0))):
            copy(whole, mask)
    builder.ret_void()


def _copy_in_python(like, source, source_row, target, target_row, rows, columns):
    shape, size = (rows, columns), element_size(like)
    block = at(like, source, shape, (source_row, size))
    at(like, target, shape, (target_row, size))[...] = block


@partial(intrinsic, twin=_copy_in_python)
def copy_block(typing, like, source, source_row, target, target_row, rows, columns):
    """Copy rows of numbers that stand side by side."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        define = partial(_define_copy, element=element)
        function = inner_function(builder, f"copy_{element.name}", 6, define)
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


def _move_in_python(like, source, target):
    _copy_in_python(like, source, 0, target, 0, 1, 1)


@partial(intrinsic, twin=_move_in_python)
def move(typing, like, source, target):
    """Copy one number."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        pointer = element.scalar.as_pointer()
        number = builder.load(builder.inttoptr(args[1], pointer))
        builder.store(number, builder.inttoptr(args[2], pointer))
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp), codegen


def prefetch(builder, place):
    """Ask for a line that will be read soon; the place may lie past the end of everything."""
    kind = ir.FunctionType(ir.VoidType(), [BYTES, HALF, HALF, HALF])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [place, HALF(0), HALF(3), HALF(1)])


@partial(intrinsic, twin=lambda like, address: None)
def ask_for(typing, like, address):
    """The same, where a kernel is: the line at an address."""

    def codegen(context, builder, signature, args):
        prefetch(builder, builder.inttoptr(args[1], BYTES))
        return context.get_dummy_value()

    return types.void(like, types.intp), codegen


@partial(intrinsic, twin=lambda like: like.dtype.itemsize)
def element_size(typing, like):
    """Return the bytes of an element."""
    size = Element(like).size
    return types.intp(like), lambda context, builder, signature, args: integer(size)


@partial(intrinsic, twin=lambda like: lanes_of(like.dtype))
def lanes(typing, like):
    """Return how many elements a vector holds."""
    count = Element(like).lanes
    return types.intp(like), lambda context, builder, signature, args: integer(count)


@partial(intrinsic, twin=lambda array: array.ctypes.data)
def address(typing, array):
    """Return where an array's first element lies."""

    def codegen(context, builder, signature, args):
        made = context.make_array(array)(context, builder, args[0])
        return builder.ptrtoint(made.data, WORD)

    return types.intp(array), codegen


ROOM = 4096  # elements


@partial(intrinsic, twin=lambda like: np.empty(ROOM, like.dtype).ctypes.data)
def room(typing, like):
    """Return where there is scratch memory on the stack, for ``ROOM`` elements."""
    element = Element(like)

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(cgutils.alloca_once(builder, element.scalar, ROOM), WORD)

    return types.intp(like), codegen
