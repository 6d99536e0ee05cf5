"""The loops of convolutions: matrix products of pixels, with windows that are never copied.

For one row of places and one row of the kernel, what the windows read stands side by side: a
tile takes as rows of A the pixels where its places' windows begin, however far apart.
"""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._vector import address, element_size, lanes
from tinygrad_rnn.kernels.convolution.cpu_layout import (
    fill_slab,
    from_pixels,
    panel_count,
    to_pixels,
    zero,
)
from tinygrad_rnn.kernels.matmul.cpu_pack import tile_height
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_VECTORS, tile

__all__ = ["TERMS", "forward", "sum_parts", "to_input", "to_weight"]

# Where a shape (see ``cpu._plan``) has its numbers.
C, H, W, O, KH, KW, HO, WO, SH, SW, PH, PW, DH, DW, WIDE, BLOCK, RUN, SLAB, OWN, IMAGES = range(20)

_PART = 256 << 10  # bytes of a panel that stay in a second-level cache beside the rest
TERMS = 256  # of a sum over places: pixels of so many stay in the first-level cache


@helper(fastmath=NO_FASTMATH)
def _multiply(
    like, a, a_row, a_col, b, b_row, c, c_row, start, start_row, rows, vectors, k, a_step, runs
):
    """Multiply rows of A with one panel; see ``tile`` for the last three."""
    vector = lanes(like) * element_size(like)
    i = 0
    while i < rows:
        height = tile_height(rows - i)
        begin = start + i * start_row if start != 0 else 0
        tile(
            like, height, vectors, a + i * a_row, a_row, a_col, b, b_row, vector, 0,
            c + i * c_row, c_row, begin, start_row, k, lanes(like), a_step, runs,
        )  # fmt: skip
        i += height


@kernel(
    "intp, intp, intp, const(T[:, :, ::1]), const(T[:, ::1]), const(T[:, ::1]), const(intp[::1]),"
    "T[:, ::1], T[:, :, ::1]",
    fastmath=NO_FASTMATH,
)
def forward(first, stop, pieces, x, panels, bias, shape, scratch, y):
    """Do pieces of all blocks of rows of all images, x and y (B G, channels, places)."""
    size, step = element_size(x), lanes(x)
    groups, vectors = len(panels), (shape[O] + step - 1) // step
    blocks = (shape[HO] + shape[BLOCK] - 1) // shape[BLOCK]
    pixel, row = shape[C] * size, vectors * step * size
    depth, runs = shape[RUN] * shape[C], shape[KH] * shape[KW] // shape[RUN]
    # Runs that lie evenly apart: those of all rows of the kernel, or where it is dilated of one.
    inner, apart = shape[KW], shape[DW] * pixel
    if shape[RUN] == shape[KW]:
        inner, apart = shape[KH], shape[DH] * shape[WIDE] * pixel
    if inner * depth * TILE_VECTORS * step * size > _PART:
        inner = 1
    slab = address(scratch[first])
    found = slab + shape[SLAB] * size
    block = found + shape[OWN] * size
    for place in range(len(x) * blocks * first // pieces, len(x) * blocks * stop // pieces):
        n, top = place // blocks, place % blocks * shape[BLOCK]
        rows = min(shape[BLOCK], shape[HO] - top)
        g = n % groups
        fill_slab(
            x, address(x[n]), shape[H] * shape[W] * size, shape[C], shape[H], shape[W],
            top * shape[SH] - shape[PH], (rows - 1) * shape[SH] + (shape[KH] - 1) * shape[DH] + 1,
            shape[PW], shape[WIDE], slab,
        )  # fmt: skip
        for j in range(panel_count(vectors)):
            left = vectors * j // panel_count(vectors)
            wide = vectors * (j + 1) // panel_count(vectors) - left
            panel = address(panels[g]) + left * step * runs * depth * size
            here = found + left * step * size
            start = address(bias[g]) + left * step * size if len(bias) > 0 else 0
            for r in range(0, runs, inner):
                k, s = r * shape[RUN] // shape[KW], r * shape[RUN] % shape[KW]
                for i in range(rows):
                    pixels = (i * shape[SH] + k * shape[DH]) * shape[WIDE] + s * shape[DW]
                    there = here + i * shape[WO] * row
                    _multiply(
                        x, slab + pixels * pixel, shape[SW] * pixel, size,
                        panel + r * depth * wide * step * size, wide * step * size,
                        there, row, there if r > 0 else start, row if r > 0 else 0,
                        shape[WO], wide, depth, apart, inner,
                    )  # fmt: skip
        from_pixels(
            x, found, row, rows * shape[WO], shape[O],
            address(y[n]) + top * shape[WO] * size, shape[HO] * shape[WO] * size, block,
        )  # fmt: skip


@kernel(
    "intp, intp, intp, const(T[:, :, ::1]), const(T[:, ::1]), const(intp[::1]),"
    "T[:, ::1], T[:, :, ::1]",
    fastmath=NO_FASTMATH,
)
def to_input(first, stop, pieces, gradient, panels, shape, scratch, dx):
    """Do pieces of all blocks of rows of all images of dx; places give to what they read."""
    size, step = element_size(dx), lanes(dx)
    groups, vectors = len(panels), (shape[C] + step - 1) // step
    blocks = (shape[H] + shape[BLOCK] - 1) // shape[BLOCK]
    pixel, row = shape[O] * size, vectors * step * size
    slab = address(scratch[first])
    found = slab + shape[SLAB] * size
    block = found + shape[OWN] * size
    for place in range(len(dx) * blocks * first // pieces, len(dx) * blocks * stop // pieces):
        n, top = place // blocks, place % blocks * shape[BLOCK]
        rows = min(shape[BLOCK], shape[H] - top)
        g = n % groups
        zero(dx, found, rows * shape[W] * vectors * step)
        # Rows of places whose windows reach into this block.
        first_read = top + shape[PH] - (shape[KH] - 1) * shape[DH]
        low = max(0, (first_read + shape[SH] - 1) // shape[SH])
        high = min(shape[HO], (top + rows - 1 + shape[PH]) // shape[SH] + 1)
        to_pixels(
            dx, address(gradient[n]) + low * shape[WO] * size, shape[HO] * shape[WO] * size,
            max(0, high - low) * shape[WO], shape[O], slab, pixel,
        )  # fmt: skip
        for j in range(panel_count(vectors)):
            left = vectors * j // panel_count(vectors)
            wide = vectors * (j + 1) // panel_count(vectors) - left
            panel = address(panels[g]) + left * step * shape[KH] * shape[KW] * shape[O] * size
            for r in range(shape[KH] * shape[KW]):
                down = r // shape[KW] * shape[DH] - shape[PH] - top
                right = r % shape[KW] * shape[DW] - shape[PW]
                # The places whose windows have this offset inside of the image.
                begin = max(0, (shape[SW] - 1 - right) // shape[SW])
                end = min(shape[WO], (shape[W] - 1 - right) // shape[SW] + 1)
                for i in range(low, high):
                    line = i * shape[SH] + down
                    if line < 0 or line >= rows:
                        continue
                    there = found + left * step * size
                    there += (line * shape[W] + begin * shape[SW] + right) * row
                    _multiply(
                        dx, slab + ((i - low) * shape[WO] + begin) * pixel, pixel, size,
                        panel + r * shape[O] * wide * step * size, wide * step * size,
                        there, shape[SW] * row, there, shape[SW] * row,
                        end - begin, wide, shape[O], 0, 1,
                    )  # fmt: skip
        from_pixels(
            dx, found, row, rows * shape[W], shape[C],
            address(dx[n]) + top * shape[W] * size, shape[H] * shape[W] * size, block,
        )  # fmt: skip


@helper(fastmath=NO_FASTMATH)
def _correlate(like, shape, slab, slopes, row, found, wide, images, top, rows):
    """Add to one panel of dw what rows of places of some images say."""
    size, pixel = element_size(like), shape[C] * element_size(like)
    depth, runs = shape[RUN] * shape[C], shape[KH] * shape[KW] // shape[RUN]
    for r in range(runs):
        k, s = r * shape[RUN] // shape[KW], r * shape[RUN] % shape[KW]
        pixels = (top * shape[SH] + k * shape[DH]) * shape[WIDE] + s * shape[DW]
        m = 0
        while m < depth:
            height = tile_height(depth - m)
            there = found + (r * depth + m) * row
            for q in range(images):
                tile(
                    like, height, wide,
                    slab + (q * shape[SLAB] + m) * size + pixels * pixel, size, shape[SW] * pixel,
                    slopes + q * shape[OWN] * size + top * shape[WO] * row, row,
                    lanes(like) * size, 0, there, row, there, row, shape[WO], lanes(like),
                    shape[SH] * shape[WIDE] * pixel, rows,
                )  # fmt: skip
            m += height


@kernel(
    "intp, intp, const(T[:, :, ::1]), const(T[:, :, ::1]), const(intp[::1]),"
    "T[:, ::1], T[:, :, :, ::1]",
    fastmath=NO_FASTMATH,
)
def to_weight(first, stop, gradient, x, shape, scratch, dw):
    """Sum over parts of the batch, each into its own of dw (parts, G, KH KW C, O).

    Pixels of as many images as there is room for are multiplied at a time: sums stay near.
    """
    size, step = element_size(x), lanes(x)
    parts, groups, vectors = dw.shape[0], dw.shape[1], dw.shape[3] // step
    blocks = (shape[HO] + shape[BLOCK] - 1) // shape[BLOCK]
    row, places = vectors * step * size, len(x) // groups * blocks
    slab = address(scratch[first])
    slopes = slab + shape[IMAGES] * shape[SLAB] * size
    for part in range(first, stop):
        zero(x, address(dw[part]), groups * dw.shape[2] * dw.shape[3])
        end = places * (part + 1) // parts
        for g in range(groups):
            for place in range(places * part // parts, end, shape[IMAGES]):
                top = place % blocks * shape[BLOCK]
                rows, images = min(shape[BLOCK], shape[HO] - top), min(shape[IMAGES], end - place)
                for q in range(images):
                    n = (place + q) // blocks * groups + g
                    fill_slab(
                        x, address(x[n]), shape[H] * shape[W] * size, shape[C], shape[H], shape[W],
                        top * shape[SH] - shape[PH],
                        (rows - 1) * shape[SH] + (shape[KH] - 1) * shape[DH] + 1,
                        shape[PW], shape[WIDE], slab + q * shape[SLAB] * size,
                    )  # fmt: skip
                    to_pixels(
                        x, address(gradient[n]) + top * shape[WO] * size,
                        shape[HO] * shape[WO] * size, rows * shape[WO], shape[O],
                        slopes + q * shape[OWN] * size, row,
                    )  # fmt: skip
                for i in range(0, rows, max(1, TERMS // shape[WO])):
                    high = min(rows - i, max(1, TERMS // shape[WO]))
                    for j in range(panel_count(vectors)):
                        left = vectors * j // panel_count(vectors)
                        _correlate(
                            x, shape, slab, slopes + left * step * size, row,
                            address(dw[part, g]) + left * step * size,
                            vectors * (j + 1) // panel_count(vectors) - left, images, i, high,
                        )  # fmt: skip


@kernel("intp, intp, T[:, :, :, ::1], T[:, :, ::1]", fastmath=NO_FASTMATH)
def sum_parts(first, stop, parts, dw):
    """Add up parts (parts, G, KH KW C, O) as (G O, C, KH KW).

    A slice is of groups and, in each, vectors of outputs, which stand side by side in the
    parts. The first part holds the sums then.
    """
    outputs, channels, kernel = len(dw) // parts.shape[1], dw.shape[1], dw.shape[2]
    step = lanes(dw)
    vectors = parts.shape[3] // step
    for place in range(first, stop):
        g, left = place // vectors, place % vectors * step
        found = dw[g * outputs + left : g * outputs + min(outputs, left + step)]
        for c in range(channels):
            for k in range(kernel):
                total = parts[0, g, k * channels + c, left : left + step]
                for part in range(1, len(parts)):
                    more = parts[part, g, k * channels + c, left : left + step]
                    for o in range(step):
                        total[o] += more[o]
                for o in range(len(found)):
                    found[o, c, k] = total[o]
