"""Parts of A and B copied into the order in which tiles read them.

A panel of B is as wide as a tile and row follows row. A block of A is cut into tiles of
rows, and in each the rows' numbers of one k stand side by side.
"""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper
from tinygrad_rnn.kernels._vector import (
    copy_block,
    element_size,
    lanes,
    move,
    transpose_block,
)
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_ROWS

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
    if source_row == size:
        for j in range(0, columns, step):
            for k in range(0, rows, step):
                here, there = source + k * size + j * source_col, target + k * target_row + j * size
                height, width = min(step, columns - j), min(step, rows - k)
                transpose_block(like, here, source_col, there, target_row, height, width)
        return
    for k in range(rows):
        for j in range(columns):
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
