"""The micro-kernel: a tile of C held in registers, written in LLVM's vector types.

Per k a tile loads its columns' vectors of B, and for each of its rows broadcasts one number
of A and does one fused multiply-add a vector. In narrow tiles the last vector is masked, so
that nothing beyond their columns is touched.

Addresses and strides are integers and count bytes: kernels take them from arrays, and add.
Every intrinsic takes ``like`` first, an array or scalar that only tells the element type.
"""

import ctypes
import platform
from functools import partial

import numpy as np

from tinygrad_rnn.kernels._fma import fma
from tinygrad_rnn.kernels._jit import cgutils, host_vector_bits, intrinsic, ir, types

__all__ = [
    "TILE_ROWS",
    "TILE_VECTORS",
    "address",
    "copy_block",
    "element_size",
    "lanes",
    "lanes_of",
    "move",
    "tile",
    "transpose_square",
]

_BITS = host_vector_bits()

# Registers decide: rows times vectors of sums, the vectors of B and one number of A must fit
# into 32 of them (AVX-512, NEON) or 16 (AVX2). Without fused multiply-add in hardware LLVM
# calls libm for each number, and the tile only has to be quick to compile.
if _BITS == 512 or platform.machine().lower() in ("aarch64", "arm64"):
    TILE_ROWS, TILE_VECTORS = 8, 3
elif _BITS == 256:
    TILE_ROWS, TILE_VECTORS = 4, 3
else:
    TILE_ROWS, TILE_VECTORS = 4, 2

# How many rows of B ahead are asked for: B streams from the second-level cache or beyond.
PREFETCH_ROWS = 16

_WORD, _HALF, _BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()


def lanes_of(dtype):
    """Return how many elements of ``dtype`` a vector holds, outside of kernels."""
    return _BITS // 8 // np.dtype(dtype).itemsize


def _int(value):
    return ir.Constant(_WORD, value)


class _Element:
    """One element type: its LLVM types, and loads and stores of vectors of it."""

    def __init__(self, like):
        dtype = getattr(like, "dtype", like)
        self.size = dtype.bitwidth // 8
        self.lanes = _BITS // dtype.bitwidth
        self.scalar = ir.FloatType() if self.size == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.mask = ir.VectorType(ir.IntType(1), self.lanes)
        self.name = f"v{self.lanes}f{dtype.bitwidth}"

    def function(self, builder, name, result, arguments):
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}")

    def first(self, builder, count):
        """Return the mask of the first ``count`` lanes."""
        numbers = ir.VectorType(_HALF, self.lanes)
        counts = self.spread(builder, builder.trunc(count, _HALF), numbers)
        return builder.icmp_signed("<", ir.Constant(numbers, list(range(self.lanes))), counts)

    def spread(self, builder, number, vector):
        """Return a vector of one number."""
        undefined = ir.Constant(vector, ir.Undefined)
        single = builder.insert_element(undefined, number, ir.Constant(_HALF, 0))
        zeros = ir.Constant(ir.VectorType(_HALF, self.lanes), [0] * self.lanes)
        return builder.shuffle_vector(single, undefined, zeros)

    def load(self, builder, place, mask=None):
        place = builder.bitcast(place, self.vector.as_pointer())
        if mask is None:
            loaded = builder.load(place)
            loaded.align = self.size
            return loaded
        arguments = [self.vector.as_pointer(), _HALF, self.mask, self.vector]
        load = self.function(builder, f"masked.load.{self.name}.p0", self.vector, arguments)
        alignment, zeros = ir.Constant(_HALF, self.size), ir.Constant(self.vector, None)
        return builder.call(load, [place, alignment, mask, zeros])

    def store(self, builder, value, place, mask=None):
        place = builder.bitcast(place, self.vector.as_pointer())
        if mask is None:
            builder.store(value, place).align = self.size
            return
        arguments = [self.vector, self.vector.as_pointer(), _HALF, self.mask]
        store = self.function(builder, f"masked.store.{self.name}.p0", ir.VoidType(), arguments)
        builder.call(store, [value, place, ir.Constant(_HALF, self.size), mask])


def _inner_function(builder, name, count, define):
    """Return the module's function ``name`` of ``count`` integers, defined if it is new.

    One body a module, however many places use it: these loops are long.
    """
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [_WORD] * count)
        function = ir.Function(builder.module, kind, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        define(function, ir.IRBuilder(function.append_basic_block("entry")))
    return function


def _define_tile(function, builder, element, rows, vectors):
    """Write the body of one tile: start, loop over k, store."""
    a, a_row, a_col, b, b_row, c, c_row, start, start_row, k, last = function.args
    mask = element.first(builder, last)
    cells = [(i, j) for i in range(rows) for j in range(vectors)]
    ahead = builder.mul(b_row, _int(PREFETCH_ROWS))

    def place(base, row, i, j):
        offset = builder.add(builder.mul(row, _int(i)), _int(j * element.lanes * element.size))
        return builder.gep(base, [offset])

    def masked(j):
        return mask if j == vectors - 1 and vectors < TILE_VECTORS else None

    a, b, c, start = (builder.inttoptr(x, _BYTES) for x in (a, b, c, start))
    entry = builder.block
    loading, head, loop, done = map(function.append_basic_block, ("start", "head", "loop", "done"))
    builder.cbranch(builder.icmp_unsigned("==", start, ir.Constant(_BYTES, None)), head, loading)

    builder.position_at_end(loading)
    started = {}
    for i, j in cells:
        started[i, j] = element.load(builder, place(start, start_row, i, j), masked(j))
    builder.branch(head)

    builder.position_at_end(head)
    zeros = ir.Constant(element.vector, None)
    first = {cell: _merge(builder, (zeros, entry), (started[cell], loading)) for cell in cells}
    builder.cbranch(builder.icmp_signed(">", k, _int(0)), loop, done)

    builder.position_at_end(loop)
    left, a, b = (_merge(builder, (x, head)) for x in (k, a, b))
    sums = {cell: _merge(builder, (first[cell], head)) for cell in cells}
    columns = [element.load(builder, place(b, b_row, 0, j), masked(j)) for j in range(vectors)]
    for j in range(vectors):
        _prefetch(builder, builder.gep(place(b, b_row, 0, j), [ahead]))
    fma_ = element.function(builder, f"fma.{element.name}", element.vector, [element.vector] * 3)
    added = {}
    for i in range(rows):
        number = builder.load(builder.bitcast(place(a, a_row, i, 0), element.scalar.as_pointer()))
        number.align = element.size
        row = element.spread(builder, number, element.vector)
        for j in range(vectors):
            added[i, j] = builder.call(fma_, [row, columns[j], sums[i, j]])
    next_left = builder.sub(left, _int(1))
    left.add_incoming(next_left, loop)
    a.add_incoming(builder.gep(a, [a_col]), loop)
    b.add_incoming(builder.gep(b, [b_row]), loop)
    for cell in cells:
        sums[cell].add_incoming(added[cell], loop)
    builder.cbranch(builder.icmp_signed(">", next_left, _int(0)), loop, done)

    builder.position_at_end(done)
    results = [_merge(builder, (first[cell], head), (added[cell], loop)) for cell in cells]
    for (i, j), result in zip(cells, results, strict=True):
        element.store(builder, result, place(c, c_row, i, j), masked(j))
    builder.ret_void()


def _prefetch(builder, place):
    """Ask for a line that will be read soon; the place may lie past the end of everything."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTES, _HALF, _HALF, _HALF])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [place, _HALF(0), _HALF(3), _HALF(1)])


def _merge(builder, *incoming):
    phi = builder.phi(incoming[0][0].type)
    for value, block in incoming:
        phi.add_incoming(value, block)
    return phi


def _tile_in_python(
    like, rows, vectors, a, a_row, a_col, b, b_row, c, c_row, start, start_row, k, last
):
    columns = (vectors - 1) * lanes(like) + (last if vectors < TILE_VECTORS else lanes(like))
    size = element_size(like)
    a = _at(like, a, (rows, k), (a_row, a_col))
    b = _at(like, b, (k, columns), (b_row, size))
    c = _at(like, c, (rows, columns), (c_row, size))
    sums = np.zeros((rows, columns), like.dtype)
    if start:
        sums[...] = _at(like, start, (rows, columns), (start_row, size))
    for q in range(k):
        sums = fma(a[:, q, None], b[q], sums)
    c[...] = sums


def _at(like, start, shape, strides):
    """Return an array over memory, for the twins in Python."""
    if 0 in shape:
        return np.empty(shape, like.dtype)
    low = start + sum(min(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True))
    high = start + sum(max(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True))
    memory = (ctypes.c_char * int(high - low + like.dtype.itemsize)).from_address(int(low))
    return np.ndarray(shape, like.dtype, memory, start - low, strides)


@partial(intrinsic, twin=_tile_in_python)
def tile(
    typing, like, rows, vectors, a, a_row, a_col, b, b_row, c, c_row, start, start_row, k, last
):
    """Compute one tile: rows <= TILE_ROWS, vectors <= TILE_VECTORS, ``last`` lanes in the last.

    A tile of all TILE_VECTORS has no mask, which costs a few percent: its ``last`` is ignored.
    ``start`` is where the sums begin, or 0 for zeros; with ``start_row`` 0 every row begins
    with the same numbers.
    """
    element = _Element(like)

    def codegen(context, builder, signature, args):
        rows, vectors, arguments = args[1], args[2], args[3:]
        end = builder.append_basic_block("tiled")
        choice = builder.or_(builder.shl(vectors, _int(8)), rows)
        switch = builder.switch(choice, end)
        for i in range(1, TILE_ROWS + 1):
            for j in range(1, TILE_VECTORS + 1):
                define = partial(_define_tile, element=element, rows=i, vectors=j)
                name = f"tile_{i}_{j}_{element.name}"
                function = _inner_function(builder, name, len(arguments), define)
                case = builder.append_basic_block(name)
                switch.add_case(_int(j << 8 | i), case)
                with builder.goto_block(case):
                    builder.call(function, arguments)
                    builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 13), codegen


def _define_transposition(function, builder, element):
    """Exchange halves of ever closer rows: log2(lanes) rounds of shuffles."""
    source, source_row, target, target_row = function.args
    n = element.lanes
    rows = []
    for i in range(n):
        place = builder.add(source, builder.mul(source_row, _int(i)))
        rows.append(element.load(builder, builder.inttoptr(place, _BYTES)))
    indices = ir.VectorType(_HALF, n)
    distance = n // 2
    while distance:
        upper = [j + n - distance if j & distance else j for j in range(n)]
        lower = [j + n if j & distance else j + distance for j in range(n)]
        for i in range(n):
            if not i & distance:
                x, y = rows[i], rows[i + distance]
                rows[i] = builder.shuffle_vector(x, y, ir.Constant(indices, upper))
                rows[i + distance] = builder.shuffle_vector(x, y, ir.Constant(indices, lower))
        distance //= 2
    for i in range(n):
        place = builder.add(target, builder.mul(target_row, _int(i)))
        element.store(builder, rows[i], builder.inttoptr(place, _BYTES))
    builder.ret_void()


def _transpose_in_python(like, source, source_row, target, target_row):
    n, size = lanes(like), element_size(like)
    matrix = _at(like, source, (n, n), (source_row, size))
    _at(like, target, (n, n), (target_row, size))[...] = matrix.T


@partial(intrinsic, twin=_transpose_in_python)
def transpose_square(typing, like, source, source_row, target, target_row):
    """Write the transpose of a square of as many rows as a vector has lanes."""
    element = _Element(like)

    def codegen(context, builder, signature, args):
        define = partial(_define_transposition, element=element)
        function = _inner_function(builder, f"transpose_{element.name}", 4, define)
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 4), codegen


def _define_copy(function, builder, element):
    """Copy row by row: whole vectors, then a masked one."""
    source, source_row, target, target_row, rows, columns = function.args
    whole = builder.udiv(columns, _int(element.lanes))
    rest = builder.urem(columns, _int(element.lanes))
    mask = element.first(builder, rest)
    with cgutils.for_range(builder, rows) as outer:
        here = builder.add(source, builder.mul(source_row, outer.index))
        there = builder.add(target, builder.mul(target_row, outer.index))

        def copy(vector, mask=None):
            offset = builder.mul(vector, _int(element.lanes * element.size))
            places = [builder.inttoptr(builder.add(x, offset), _BYTES) for x in (here, there)]
            element.store(builder, element.load(builder, places[0], mask), places[1], mask)

        with cgutils.for_range(builder, whole) as inner:
            copy(inner.index)
        with builder.if_then(builder.icmp_unsigned(">", rest, _int(0))):
            copy(whole, mask)
    builder.ret_void()


def _copy_in_python(like, source, source_row, target, target_row, rows, columns):
    shape, size = (rows, columns), element_size(like)
    block = _at(like, source, shape, (source_row, size))
    _at(like, target, shape, (target_row, size))[...] = block


@partial(intrinsic, twin=_copy_in_python)
def copy_block(typing, like, source, source_row, target, target_row, rows, columns):
    """Copy rows of numbers that stand side by side."""
    element = _Element(like)

    def codegen(context, builder, signature, args):
        define = partial(_define_copy, element=element)
        function = _inner_function(builder, f"copy_{element.name}", 6, define)
        builder.call(function, args[1:])
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


def _move_in_python(like, source, target):
    _copy_in_python(like, source, 0, target, 0, 1, 1)


@partial(intrinsic, twin=_move_in_python)
def move(typing, like, source, target):
    """Copy one number."""
    element = _Element(like)

    def codegen(context, builder, signature, args):
        pointer = element.scalar.as_pointer()
        number = builder.load(builder.inttoptr(args[1], pointer))
        builder.store(number, builder.inttoptr(args[2], pointer))
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp), codegen


@partial(intrinsic, twin=lambda like: like.dtype.itemsize)
def element_size(typing, like):
    """Return the bytes of an element."""
    size = _Element(like).size
    return types.intp(like), lambda context, builder, signature, args: _int(size)


@partial(intrinsic, twin=lambda like: lanes_of(like.dtype))
def lanes(typing, like):
    """Return how many elements a vector holds."""
    count = _Element(like).lanes
    return types.intp(like), lambda context, builder, signature, args: _int(count)


@partial(intrinsic, twin=lambda array: array.ctypes.data)
def address(typing, array):
    """Return where an array's first element lies."""

    def codegen(context, builder, signature, args):
        made = context.make_array(array)(context, builder, args[0])
        return builder.ptrtoint(made.data, _WORD)

    return types.intp(array), codegen
