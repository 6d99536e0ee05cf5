"""The loops of a product: cache blocks of B, packed on the way, and tiles over them."""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._ufunc import loop
from tinygrad_rnn.kernels._vector import address, ask_for, element_size, lanes, room
from tinygrad_rnn.kernels.matmul.cpu_pack import pack_panel, pack_rows, tile_height
from tinygrad_rnn.kernels.matmul.cpu_thin import column_times_row, row_times_columns
from tinygrad_rnn.kernels.matmul.cpu_tile import ROW_VECTORS, TILE_ROWS, TILE_VECTORS, tile

__all__ = [
    "BATCH",
    "COLUMNS",
    "DIRECT",
    "FROM_BIAS",
    "FROM_OUT",
    "FROM_ZERO",
    "ONE_ROW",
    "ONE_TERM",
    "PACK",
    "PACKED",
    "ROWS",
    "pack_panels",
    "products",
    "rows_times_panels",
    "scratch_size",
    "small_products",
]

# What stays near is a block of A, HEIGHT rows of DEPTH numbers, 400 kB of a second-level cache; it
# meets one panel of B after the other. Sums go out to C and come back once a DEPTH, and A is read,
# or packed, once a WIDTH: both are large, for the third level gives panels sooner than tiles use
# them up. When it was a block of B that stayed near, large products took 1.03 to 1.13 of the time.
DEPTH = 768
WIDTH = 1488
HEIGHT = 128
FAR = 1 << 20  # bytes of C: of more, tiles ask for what the next one adds to

# How a product is done: by tiles over B where it is, through scratch, from panels; or without.
DIRECT, PACK, PACKED, ONE_TERM, ONE_ROW = 0, 1, 2, 3, 4
BATCH, ROWS, COLUMNS = 0, 1, 2  # what is divided among the threads
FROM_ZERO, FROM_BIAS, FROM_OUT = 0, 1, 2  # where the sums start


def scratch_size(k, columns, pack_a):
    """Return how many elements of scratch memory one thread needs."""
    # In whole lines, and for whole vectors of the widest kind.
    depth = (min(k, DEPTH) + 15) // 16 * 16
    return depth * (HEIGHT * pack_a + min(WIDTH, (columns + 15) // 16 * 16))


@helper(fastmath=NO_FASTMATH)
def _ask(like, c, c_row, height):
    """Ask for a tile of C."""
    for i in range(height):
        for j in range(TILE_VECTORS):
            ask_for(like, c + i * c_row + j * lanes(like) * element_size(like))


@helper(fastmath=NO_FASTMATH)
def rows_times_panels(
    like, a, a_row, a_col, b, b_row, b_step, b_next, skip, c, c_row, start, start_row,
    rows, k, columns, tiled, far,
):  # fmt: skip
    """Multiply rows of A with the panels of B, leaving out the panels' first ``skip`` rows.

    ``tiled`` says that A is packed by ``pack_rows``, ``far`` that C is in no cache.

    ``b_next`` is the distance of two panels, ``b_row`` that of two rows in a panel, or 0
    where these follow each other: then they are as long as the panel is wide. Vectors of a row
    of B are neighbours; only for one row of A they may be ``b_step`` apart.
    """
    size, step = element_size(like), lanes(like)
    width = TILE_VECTORS * step
    side_by_side = b_row != 0 and b_step == step * size and b_next == width * size
    j = 0
    while j < columns:
        # One row of A takes two panels at once where their rows are equally far apart, and
        # ROW_VECTORS vectors where B is read as it lies.
        pair = rows == 1 and columns - j > width and (b_row != 0 or columns - j >= 2 * width)
        wide = min(columns - j, 2 * width if pair else width)
        if rows == 1 and side_by_side and columns - j >= ROW_VECTORS * step:
            wide = ROW_VECTORS * step
        vectors = (wide + step - 1) // step
        # What full tiles leave over goes to tiles of fewer vectors: the last one is masked.
        if wide % step != 0 and vectors % TILE_VECTORS == 0:
            vectors -= 1
            wide = vectors * step
        last = wide - (vectors - 1) * step  # of no meaning, and ignored, in full tiles
        first = j // width * width
        row = b_row
        if b_row == 0:
            row = (min(width, columns - first) + step - 1) // step * step * size
        panel = b + j // width * b_next + skip * row + (j - first) // step * b_step
        i = 0
        while i < rows:
            height = tile_height(rows - i)
            here = start + i * start_row + j * size if start != 0 else 0
            there = c + i * c_row + j * size
            tile_a, tile_row, tile_col = a + i * a_row, a_row, a_col
            if tiled:
                tile_a, tile_row, tile_col = a + i * k * size, size, height * size
            if far:
                below, beside = there + height * c_row, c + (j + wide) * size
                _ask(like, below if i + height < rows else beside, c_row, height)
            tile(
                like, height, vectors, tile_a, tile_row, tile_col, panel, row, b_step, b_next,
                there, c_row, here, start_row, k, last, 0, 1,
            )  # fmt: skip
            i += height
        j += wide


@helper(fastmath=NO_FASTMATH)
def _pack_block(like, b, b_row, b_col, target, depth, columns):
    """Pack a block of B, panel by panel."""
    width = TILE_VECTORS * lanes(like)
    for j in range(0, columns, width):
        place = target + j * depth * element_size(like)
        pack_panel(like, b + j * b_col, b_row, b_col, place, depth, min(width, columns - j))


@helper(fastmath=NO_FASTMATH)
def _multiply(
    like, a, a_row, a_col, b, b_row, b_col, c, c_row, start, start_row,
    rows, k, columns, how, pack_a, scratch,
):  # fmt: skip
    """Compute a part of C from rows of A and columns of B."""
    size = element_size(like)
    width, vector = TILE_VECTORS * lanes(like), lanes(like) * size
    strips = max(1, (columns + WIDTH - 1) // WIDTH)  # equally wide, and of whole panels
    strip = max(1, (columns + strips * width - 1) // (strips * width)) * width
    packed_a, packed_b = scratch, scratch
    if pack_a:
        packed_b += HEIGHT * ((min(k, DEPTH) + 15) // 16 * 16) * size
    block, deep, far = HEIGHT, DEPTH, rows * columns * size > FAR
    if a_col != size and not pack_a:  # a column of A at equal distances: few fit into any cache
        block, deep = TILE_ROWS, DEPTH // 2
    for j in range(0, columns, strip):
        wide = min(strip, columns - j)
        for q in range(0, max(k, 1), deep):
            depth = min(k - q, deep)
            if how == PACK:
                _pack_block(like, b + q * b_row + j * b_col, b_row, b_col, packed_b, depth, wide)
                panels, panel_row, panel_step, skip = packed_b, 0, depth * width * size, 0
            elif how == PACKED:
                panels, panel_row, panel_step, skip = b + j * k * size, 0, k * width * size, q
            else:
                panels, panel_row, panel_step, skip = b + j * size, b_row, width * size, q
            here = c + j * size if q > 0 else (start + j * size if start != 0 else 0)
            here_row = c_row if q > 0 else start_row
            for i in range(0, rows, block):
                high = min(block, rows - i)
                part = a + i * a_row + q * a_col
                if pack_a:
                    pack_rows(like, part, a_row, a_col, packed_a, high, depth)
                    part = packed_a
                rows_times_panels(
                    like, part, a_row, a_col, panels, panel_row, vector, panel_step, skip,
                    c + i * c_row + j * size, c_row,
                    here + i * here_row if here != 0 else 0, here_row,
                    high, depth, wide, pack_a, far,
                )  # fmt: skip


@kernel(
    "intp, intp, intp, intp, const(T[:, :]), const(T[:, :]), const(T[:, :]), T[:, :],"
    "const(intp[:, ::1]), T[::1], intp, intp, intp, intp",
    fastmath=NO_FASTMATH,
)
def products(first, stop, pieces, divided, a, b, start, c, offsets, scratch, begin, how, pack_a, k):
    """Do the pieces from ``first`` to ``stop`` of a stack of products."""
    size = element_size(c)
    count, rows, columns = len(offsets), c.shape[0], c.shape[1]
    a_row, a_col, c_row = a.strides[0], a.strides[1], c.strides[0]
    b_row, b_col = b.strides[0], b.strides[1]
    start_row = c_row if begin == FROM_OUT else 0
    unit = TILE_VECTORS * lanes(c) if how == PACKED else lanes(c)
    units = (columns + unit - 1) // unit
    # Each slice of pieces runs in one thread and takes the scratch of its first piece.
    own = address(scratch) + first * (len(scratch) // pieces) * size
    for piece in range(first, stop):
        low, high, top, bottom, left, right = 0, count, 0, rows, 0, columns
        if divided == BATCH:
            low, high = count * piece // pieces, count * (piece + 1) // pieces
        elif divided == ROWS:
            top, bottom = rows * piece // pieces, rows * (piece + 1) // pieces
        else:
            left = min(columns, units * piece // pieces * unit)
            right = min(columns, units * (piece + 1) // pieces * unit)
        b_left = left * k * size if how == PACKED else left * b_col
        for item in range(low, high):
            here = 0
            if begin != FROM_ZERO:
                here = address(start) + offsets[item, 3] + top * start_row + left * size
            in_a = address(a) + offsets[item, 0] + top * a_row
            in_b = address(b) + offsets[item, 1] + b_left
            in_c = address(c) + offsets[item, 2] + top * c_row + left * size
            height, width = bottom - top, right - left
            if how == ONE_TERM:
                column_times_row(c, in_a, a_row, in_b, in_c, c_row, here, start_row, height, width)
            elif how == ONE_ROW:
                row_times_columns(c, in_a, in_b, b_col, in_c, here, k, width)
            else:
                _multiply(
                    c, in_a, a_row, a_col, in_b, b_row, b_col, in_c, c_row, here, start_row,
                    height, k, width, how, pack_a, own,
                )  # fmt: skip


@loop
def small_products(data, sizes, steps, biased, like):
    """Multiply where NumPy says, from a bias where there is one; B packed fits into ``room``."""
    size, k, columns = element_size(like), sizes[2], sizes[3]
    place = 2 + biased  # of C among the arrays
    cores = place + 1
    a_row, a_col, b_row, b_col = steps[cores], steps[cores + 1], steps[cores + 2], steps[cores + 3]
    c_row = steps[cores + 4 + biased]
    how = DIRECT if b_col == size and b_row != 0 else PACK
    for i in range(sizes[0]):
        _multiply(
            like, data[0] + i * steps[0], a_row, a_col, data[1] + i * steps[1], b_row, b_col,
            data[place] + i * steps[place], c_row, data[2] + i * steps[2] if biased else 0, 0,
            sizes[1], k, columns, how, False, room(like),
        )  # fmt: skip


@kernel("intp, intp, const(T[:, :]), T[::1]", fastmath=NO_FASTMATH)
def pack_panels(first, stop, b, panels):
    """Pack the panels from ``first`` to ``stop``."""
    size, width = element_size(b), TILE_VECTORS * lanes(b)
    for panel in range(first, stop):
        j = panel * width
        pack_panel(
            b, address(b) + j * b.strides[1], b.strides[0], b.strides[1],
            address(panels) + j * b.shape[0] * size, b.shape[0], min(width, b.shape[1] - j),
        )  # fmt: skip
