"""Images as pixels: the channels of each place side by side, so that tiles read them as rows.

Every row of pixels and every weight is padded to whole vectors: tiles have no remainders. What
stands in the lanes of the padding is never given out.
"""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._simd import fill, store
from tinygrad_rnn.kernels._vector import (
    address,
    copy_block,
    element_size,
    lanes,
    move,
    transpose_block,
)
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_VECTORS

__all__ = [
    "fill_slab",
    "from_pixels",
    "pack_weights",
    "panel_count",
    "to_pixels",
    "two_axes",
    "zero",
]


def two_axes(sizes, one=1):
    """A number for each of two axes: the first is 1 where there is none."""
    return (one, *sizes) if len(sizes) == 1 else tuple(sizes)


@helper(fastmath=NO_FASTMATH)
def zero(like, place, count):
    """Write zeros."""
    size, step = element_size(like), lanes(like)
    for j in range(0, count, step):
        store(like, place + j * size, count - j, fill(like, 0.0))


@helper(fastmath=NO_FASTMATH)
def to_pixels(like, source, plane, count, channels, target, pixel):
    """Turn channels that lie ``plane`` bytes apart into ``count`` pixels, ``pixel`` bytes apart.

    Whole vectors are written: up to one vector past the last pixel. A vector with fewer channels
    goes first, for what it writes too much belongs to pixels that are written after it.
    """
    size, step = element_size(like), lanes(like)
    whole = channels // step * step
    for j in range(0, count, step):
        wide, here, there = min(step, count - j), source + j * size, target + j * pixel
        if whole < channels:
            transpose_block(
                like, here + whole * plane, plane, there + whole * size, pixel,
                channels - whole, wide,
            )  # fmt: skip
        for c in range(0, whole, step):
            transpose_block(like, here + c * plane, plane, there + c * size, pixel, step, wide)


@helper(fastmath=NO_FASTMATH)
def from_pixels(like, source, pixel, count, channels, target, plane, block):
    """Turn ``count`` pixels into channels; ``block`` is room for a vector of vectors."""
    size, step = element_size(like), lanes(like)
    for c in range(0, channels, step):
        high = min(step, channels - c)
        for j in range(0, count, step):
            here, there = source + j * pixel + c * size, target + c * plane + j * size
            if j + step <= count:
                transpose_block(like, here, pixel, there, plane, step, high)
            else:  # whole vectors would reach into what other threads write
                transpose_block(like, here, pixel, block, step * size, count - j, high)
                copy_block(like, block, step * size, there, plane, high, count - j)


@helper(fastmath=NO_FASTMATH)
def fill_slab(like, image, plane, channels, height, width, top, rows, before, wide, slab):
    """Fill rows of pixels, from row ``top`` on, with zeros outside of the image.

    ``before`` pixels of each of ``wide`` lie in front of the image.
    """
    size = element_size(like)
    pixel = channels * size
    for r in range(rows):
        row, there = top + r, slab + r * wide * pixel
        if row < 0 or row >= height:
            zero(like, there, wide * channels)
            continue
        zero(like, there, before * channels)
        there += before * pixel
        to_pixels(like, image + row * width * size, plane, width, channels, there, pixel)
        zero(like, there + width * pixel, (wide - before - width) * channels)


@helper(fastmath=NO_FASTMATH)
def panel_count(vectors):
    """Into how many panels so many vectors of columns are divided, about equally wide."""
    return (vectors + TILE_VECTORS - 1) // TILE_VECTORS


@kernel("intp, intp, const(T[:, :, :, :, :]), T[:, ::1]", fastmath=NO_FASTMATH)
def pack_weights(first, stop, w, panels):
    """Lay out (G, KH, KW, K, N) in panels, each as tall as KH, KW and K together.

    A slice is of groups and, in each, panels.
    """
    size, step = element_size(w), lanes(w)
    height, width, depth, columns = w.shape[1:]
    vectors = (columns + step - 1) // step
    count = panel_count(vectors)
    for place in range(first, stop):
        g, j = place // count, place % count
        left, right = vectors * j // count * step, vectors * (j + 1) // count * step
        row = (right - left) * size
        there = address(panels[g]) + left * height * width * depth * size
        for r in range(height):
            for s in range(width):
                here = address(w[g]) + r * w.strides[1] + s * w.strides[2] + left * w.strides[4]
                for _ in range(depth):
                    zero(w, there, right - left)
                    for o in range(min(right, columns) - left):
                        move(w, here + o * w.strides[4], there + o * size)
                    here += w.strides[3]
                    there += row
