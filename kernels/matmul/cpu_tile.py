"""The micro-kernel: a tile of C held in registers, written in LLVM's vector types.

Per k a tile loads its columns' vectors of B, and for each of its rows broadcasts one number
of A and does one fused multiply-add a vector. In narrow tiles the last vector is masked, so
that nothing beyond their columns is touched.

One row keeps too few sums going at once to hide the latency of an addition, so its tiles may
take two panels of B side by side; and four where B is read as it lies, because memory gives
long parts of rows sooner than short ones.

There is a function for each height and width. They are compiled once, when this module is
imported, and called through a table of their addresses: compiled into every kernel that
multiplies, they would cost each of them more than a second.
"""

import platform
from functools import partial

import numpy as np

from tinygrad_rnn.kernels._fma import fma
from tinygrad_rnn.kernels._jit import (
    DISABLED,
    NO_FASTMATH,
    binding,
    intrinsic,
    ir,
    kernel,
    types,
)
from tinygrad_rnn.kernels._vector import (
    BITS,
    BYTES,
    WORD,
    Element,
    at,
    element_size,
    inner_function,
    integer,
    lanes,
    prefetch,
)

__all__ = ["ROW_VECTORS", "TILE_ROWS", "TILE_VECTORS", "tile"]

# Registers decide: rows times vectors of sums, the vectors of B and one number of A must fit
# into 32 of them (AVX-512, NEON) or 16 (AVX2). Without fused multiply-add in hardware LLVM
# calls libm for each number, and the tile only has to be quick to compile.
if BITS == 512 or platform.machine().lower() in ("aarch64", "arm64"):
    TILE_ROWS, TILE_VECTORS = 8, 3
elif BITS == 256:
    TILE_ROWS, TILE_VECTORS = 4, 3
else:
    TILE_ROWS, TILE_VECTORS = 4, 2

ROW_VECTORS = 4 * TILE_VECTORS  # of tiles of one row, at most; they lie one behind the other
_PAIR = 2 * TILE_VECTORS  # of those whose panels may lie anywhere

# How many rows of B ahead are asked for: B streams from the second-level cache or beyond.
PREFETCH_ROWS = 16

# Where the tiles stand: by element type, vectors and rows.
_TABLE = np.zeros((2, ROW_VECTORS, TILE_ROWS), np.int64)
_TABLE_NAME = "tinygrad_rnn_tiles"
_ARGUMENTS = 15  # of a tile's function

# The tiles that there are: vectors and rows.
_SIZES = [(j, i) for j in range(1, TILE_VECTORS + 1) for i in range(1, TILE_ROWS + 1)]
_SIZES += [(j, 1) for j in (*range(TILE_VECTORS + 1, _PAIR + 1), ROW_VECTORS)]


def _define_tile(function, builder, element, rows, vectors):
    """Write the body of one tile: start, loop over runs of k, store."""
    a, a_row, a_col, b, b_row, b_step, b_next, c, c_row, start, start_row = function.args[:11]
    k, last, a_step, runs = function.args[11:]
    mask = element.first(builder, last)
    cells = [(i, j) for i in range(rows) for j in range(vectors)]
    ahead = builder.mul(b_row, integer(PREFETCH_ROWS))

    def place(base, row, i, j):
        across = integer(j * element.lanes * element.size)
        return builder.gep(base, [builder.add(builder.mul(row, integer(i)), across)])

    def column(j):
        """The place of a vector of B."""
        return builder.gep(b, [to_vectors[j]])

    def masked(j):
        return mask if j == vectors - 1 and vectors % TILE_VECTORS else None

    apart = rows == 1 and vectors < ROW_VECTORS
    to_vectors = _over_panels(builder, b_step, b_next) if apart else _side_by_side(element)
    distances = [_kept(builder, builder.mul(a_row, integer(i))) for i in range(1, rows)]
    a, b, c, start = (builder.inttoptr(x, BYTES) for x in (a, b, c, start))

    def begin(cell):
        return element.load(builder, place(start, start_row, *cell), masked(cell[1]))

    first = _started(function, builder, element, start, begin, cells)
    head = builder.block
    run, loop, next_run, done = map(function.append_basic_block, ("run", "loop", "next", "done"))
    builder.cbranch(builder.icmp_signed(">", k, integer(0)), run, done)

    builder.position_at_end(run)
    left_runs, a_begin, b_begin = (_merge(builder, (x, head)) for x in (runs, a, b))
    begun = {cell: _merge(builder, (first[cell], head)) for cell in cells}
    builder.branch(loop)

    builder.position_at_end(loop)
    left, a, b = (_merge(builder, (x, run)) for x in (k, a_begin, b_begin))
    sums = {cell: _merge(builder, (begun[cell], run)) for cell in cells}
    columns = [element.load(builder, column(j), masked(j)) for j in range(vectors)]
    # One row reads wide parts of B as fast as they come: asking ahead takes longer.
    for j in range(vectors if vectors <= TILE_VECTORS else 0):
        prefetch(builder, builder.gep(column(j), [ahead]))
    added = _multiply_add(builder, element, a, distances, columns, sums)
    next_left = builder.sub(left, integer(1))
    b_after = builder.gep(b, [b_row])
    after = next_left, builder.gep(a, [a_col]), b_after, *added.values()
    _again((left, a, b, *sums.values()), after, loop)
    builder.cbranch(builder.icmp_signed("!=", next_left, integer(0)), loop, next_run)

    builder.position_at_end(next_run)
    fewer = builder.sub(left_runs, integer(1))
    after = fewer, builder.gep(a_begin, [a_step]), b_after, *added.values()
    _again((left_runs, a_begin, b_begin, *begun.values()), after, next_run)
    builder.cbranch(builder.icmp_signed(">", fewer, integer(0)), run, done)

    builder.position_at_end(done)
    results = [_merge(builder, (first[cell], head), (added[cell], next_run)) for cell in cells]
    for (i, j), result in zip(cells, results, strict=True):
        element.store(builder, result, place(c, c_row, i, j), masked(j))
    builder.ret_void()


def _side_by_side(element):
    """How far neighbouring vectors are from the first."""
    return [integer(j * element.lanes * element.size) for j in range(ROW_VECTORS)]


def _over_panels(builder, b_step, b_next):
    """How far the vectors of two panels are from the first."""
    within = [builder.mul(b_step, integer(j)) for j in range(TILE_VECTORS)]
    return within + [builder.add(b_next, distance) for distance in within]


def _started(function, builder, element, start, load, cells):
    """The sums before the first term: from memory, or zeros where ``start`` is no address."""
    entry = builder.block
    loading, head = map(function.append_basic_block, ("start", "head"))
    builder.cbranch(builder.icmp_unsigned("==", start, ir.Constant(BYTES, None)), head, loading)
    builder.position_at_end(loading)
    started = {cell: load(cell) for cell in cells}
    builder.branch(head)
    builder.position_at_end(head)
    zeros = ir.Constant(element.vector, None)
    return {cell: _merge(builder, (zeros, entry), (started[cell], loading)) for cell in cells}


def _again(values, after, block):
    """Say what values are when they come back from the end of a loop."""
    for value, following in zip(values, after, strict=True):
        value.add_incoming(following, block)


def _multiply_add(builder, element, a, distances, columns, sums):
    """The sums after one more k: one number of A for each row, one vector of B for each column."""
    fma_ = element.function(builder, f"fma.{element.name}", element.vector, [element.vector] * 3)
    added = {}
    for i in range(1 + len(distances)):
        place = a if i == 0 else builder.gep(a, [distances[i - 1]])
        number = builder.load(builder.bitcast(place, element.scalar.as_pointer()))
        number.align = element.size
        row = element.spread(builder, number, element.vector)
        for j, column in enumerate(columns):
            added[i, j] = builder.call(fma_, [row, column, sums[i, j]])
    return added


def _kept(builder, number):
    """A number that LLVM is to keep in a register.

    It would go from row to row by additions, which may take the multipliers' ports.
    """
    same = ir.InlineAsm(ir.FunctionType(WORD, [WORD]), "", "=r,0")
    return builder.call(same, [number])


def _merge(builder, *incoming):
    phi = builder.phi(incoming[0][0].type)
    for value, block in incoming:
        phi.add_incoming(value, block)
    return phi


def _tile_in_python(
    like, rows, vectors, a, a_row, a_col, b, b_row, b_step, b_next, c, c_row, start, start_row, k,
    last, a_step, runs,
):  # fmt: skip
    size, step = element_size(like), lanes(like)
    if rows == 1 and vectors > 1:
        for j in range(vectors):
            wide = last if vectors % TILE_VECTORS and j == vectors - 1 else step
            vector = b + j // TILE_VECTORS * b_next + j % TILE_VECTORS * b_step
            there = j * step * size
            _tile_in_python(
                like, rows, 1, a, a_row, a_col, vector, b_row, 0, 0, c + there, c_row,
                start and start + there, start_row, k, wide, a_step, runs,
            )  # fmt: skip
        return
    columns = (vectors - 1) * step + (last if vectors % TILE_VECTORS else step)
    a = at(like, a, (rows, runs, k), (a_row, a_step, a_col)).reshape(rows, runs * k)
    b = at(like, b, (runs * k, columns), (b_row, size))
    c = at(like, c, (rows, columns), (c_row, size))
    sums = np.zeros((rows, columns), like.dtype)
    if start:
        sums[...] = at(like, start, (rows, columns), (start_row, size))
    for q in range(runs * k):
        sums = fma(a[:, q, None], b[q], sums)
    c[...] = sums


@partial(intrinsic, twin=_tile_in_python)
def tile(
    typing, like, rows, vectors, a, a_row, a_col, b, b_row, b_step, b_next, c, c_row, start,
    start_row, k, last, a_step, runs,
):  # fmt: skip
    """Compute one tile: rows <= TILE_ROWS, vectors <= TILE_VECTORS.

    Tiles of one row have up to twice as many vectors, or ROW_VECTORS. The last vector has ``last``
    lanes; tiles of a multiple of TILE_VECTORS have no mask, which costs a few percent, and ignore
    it. Vectors of B stand side by side; for one row, unless there are ROW_VECTORS, they are
    ``b_step`` bytes apart, those after TILE_VECTORS in another panel, ``b_next`` bytes further.
    ``start`` is where the sums begin, or 0 for zeros; with ``start_row`` 0 every row begins
    with the same numbers. There are ``runs`` times k terms: of A, each run begins ``a_step`` bytes
    behind the one before it; rows of B follow each other.
    """
    element = Element(like)

    def codegen(context, builder, signature, args):
        rows, vectors, arguments = args[1], args[2], args[3:]
        kind = ir.ArrayType(WORD, _TABLE.size)
        table = builder.module.globals.get(_TABLE_NAME)
        if table is None:
            table = ir.GlobalVariable(builder.module, kind, _TABLE_NAME)
        first = integer((element.size == 8) * ROW_VECTORS * TILE_ROWS - TILE_ROWS - 1)
        place = builder.add(builder.mul(vectors, integer(TILE_ROWS)), builder.add(rows, first))
        function = builder.load(builder.gep(table, [integer(0), place]))
        kind = ir.FunctionType(ir.VoidType(), [WORD] * _ARGUMENTS)
        builder.call(builder.inttoptr(function, kind.as_pointer()), arguments)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 17), codegen


@partial(intrinsic, twin=None)
def _addresses(typing, table):
    """Define all tiles and write down where they stand."""

    def codegen(context, builder, signature, args):
        places = context.make_array(table)(context, builder, args[0]).data
        for n, dtype in enumerate((types.float32, types.float64)):
            element = Element(dtype)
            for j, i in _SIZES:
                define = partial(_define_tile, element=element, rows=i, vectors=j)
                name = f"tile_{i}_{j}_{element.name}"
                function = inner_function(builder, name, _ARGUMENTS, define)
                number = (n * ROW_VECTORS + j - 1) * TILE_ROWS + i - 1
                place = builder.gep(places, [integer(number)])
                builder.store(builder.ptrtoint(function, WORD), place)
        return context.get_dummy_value()

    return types.void(table), codegen


@kernel("intp[::1]", fastmath=NO_FASTMATH)
def _find_tiles(table):
    """Fill in the table."""
    _addresses(table)


if not DISABLED:
    binding.add_symbol(_TABLE_NAME, _TABLE.ctypes.data)
    _find_tiles(_TABLE.reshape(-1))
