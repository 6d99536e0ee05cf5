"""Parts of A and B copied into the order in which tiles read them.

A panel of B is as wide as a tile and row follows row. A block of A is cut into tiles of
rows, and in each the rows' numbers of one k stand side by side.
"""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_ROWS
from tinygrad_rnn.kernels.matmul.cpu_vector import (
    copy_block,
    element_size,
    lanes,
    move,
    transpose_square,
)

__all__ = ["pack_panel", "pack_rows", "tile_height"]


@helper(fastmath=NO_FASTMATH)
def tile_height(rows):
    """Return the height of the next tile, so that those of ``rows`` are about equally high.

    One row left over by full tiles would take as long as three: too few sums to keep the
    multipliers busy.
    """
    tiles = (rows + TILE_ROWS - 1) // TILE_ROWS
    return (rows + tiles - 1) // tiles


@helper(fastmath=NO_FASTMATH)
def pack_panel(like, source, source_row, source_col, target, rows, columns):
    """Copy (rows, columns) of B into a panel whose rows are whole vectors."""
    size, step = element_size(like), lanes(like)
    target_row = (columns + step - 1) // step * step * size
    if source_col == size:
        copy_block(like, source, source_row, target, target_row, rows, columns)
        return
    square_rows, square_columns = 0, 0
    if source_row == size:
        square_rows, square_columns = rows // step * step, columns // step * step
    for j in range(0, square_columns, step):
        for k in range(0, square_rows, step):
            transpose_square(
                like,
                source + k * size + j * source_col,
                source_col,
                target + k * target_row + j * size,
                target_row,
            )
    for k in range(rows):
        for j in range(square_columns if k < square_rows else 0, columns):
            move(like, source + k * source_row + j * source_col, target + k * target_row + j * size)


@helper(fastmath=NO_FASTMATH)
def pack_rows(like, source, source_row, source_col, target, rows, depth):
    """Copy (rows, depth) of A into tiles; the one that starts at row i starts at i * depth."""
    size = element_size(like)
    i = 0
    while i < rows:
        height = tile_height(rows - i)
        here, there = source + i * source_row, target + i * depth * size
        if source_row == size:
            copy_block(like, here, source_col, there, height * size, depth, height)
        else:
            for k in range(depth):
                for q in range(height):
                    place = there + (k * height + q) * size
                    move(like, here + q * source_row + k * source_col, place)
        i += height
