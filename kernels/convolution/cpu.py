"""Convolutions on the CPU: how they are divided.

Inside, channels are the last axis. A block of rows of one image is turned into pixels in
scratch memory that stays in the second-level cache, multiplied there, and turned back: no
windows are copied, and of the images only pixels. Blocks are what threads share; the gradient
of the weight is summed in parts of the batch, whose number depends on the sizes alone. Arrays
without numbers are left to the definition.
"""

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import num_threads, parallel
from tinygrad_rnn.kernels._vector import lanes_of
from tinygrad_rnn.kernels.convolution import reference
from tinygrad_rnn.kernels.convolution.cpu_layout import pack_weights, two_axes
from tinygrad_rnn.kernels.convolution.cpu_loops import (
    TERMS,
    forward,
    sum_parts,
    to_input,
    to_weight,
)
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_VECTORS

__all__ = ["convolve", "convolve_input", "convolve_weight"]

_ROOM = 768 << 10  # bytes of scratch memory that stay in a second-level cache of 2 MiB
_PIECES = 4  # a thread, at most
_PARTS, _SUMS = 8, 1 << 22  # parts of a batch, and numbers in all of them, at most
_WORTH = 2_000_000  # multiply-adds that are worth another thread
_NO_BIAS = {char: np.zeros((0, 1), char) for char in "fd"}


def convolve(x, w, bias, windows):
    if not (x.size and w.size):
        return reference.convolve(x, w, bias, windows)
    (B, C), O, G = x.shape[:2], len(w), windows.groups
    plan = _plan(x.shape[2:], w.shape[2:], C // G, O // G, windows, x.dtype)
    y = empty((B, O, *windows.places(x.shape[2:], w.shape[2:])), x.dtype)
    begin = _NO_BIAS[x.dtype.char]
    if bias is not None:
        begin = np.zeros((G, _whole(O // G, x.dtype)), x.dtype)
        begin[:, : O // G] = bias.reshape(G, O // G)
    x, y_by_group = _by_group(x, G), _by_group(y, G)
    panels = _packed(w, G, (0, 3, 4, 2, 1))
    _spread(forward, plan.forward, B * G, x, panels, begin, y_by_group)
    return y


def convolve_input(g, w, sizes, windows):
    if not (g.size and w.size and prod(sizes)):
        return reference.convolve_input(g, w, sizes, windows)
    B, (O, c), G = len(g), w.shape[:2], windows.groups
    plan = _plan(sizes, w.shape[2:], c, O // G, windows, g.dtype)
    dx = empty((B, G * c, *sizes), g.dtype)
    panels = _packed(w, G, (0, 3, 4, 1, 2))
    _spread(to_input, plan.to_input, B * G, _by_group(g, G), panels, _by_group(dx, G))
    return dx


def convolve_weight(g, x, kernel, windows):
    if not (g.size and x.size):
        return reference.convolve_weight(g, x, kernel, windows)
    B, C, O, G = len(x), x.shape[1], g.shape[1], windows.groups
    plan = _plan(x.shape[2:], kernel, C // G, O // G, windows, g.dtype).to_weight
    size = prod(kernel) * C * _whole(O // G, g.dtype)  # of a part
    parts = max(1, min(_PARTS, -(-B * plan.blocks // plan.images), max(2, _SUMS // size)))
    sums = empty((parts, G, prod(kernel) * C // G, _whole(O // G, g.dtype)), g.dtype)
    scratch = empty((parts, plan.room), g.dtype)
    grain = 1 if plan.work * B * G > _WORTH else parts
    x, g = _by_group(x, G), _by_group(g, G)
    parallel(to_weight, parts, g, x, plan.shape, scratch, sums, grain=grain)
    dw = empty((O, C // G, *kernel), g.dtype)
    flat = dw.reshape(O, C // G, prod(kernel))
    vectors = G * sums.shape[3] // lanes_of(g.dtype)
    parallel(sum_parts, vectors, sums, flat, grain=1 + 50_000 * vectors // sums.size)
    return dw


class _Part(NamedTuple):
    """What one of the three has to know: see ``cpu_loops`` for the numbers of a shape.

    blocks, work  of one image: blocks of rows, multiply-adds
    images        how many there is room for at a time
    room          elements of scratch memory that a thread needs
    """

    shape: Any
    blocks: int
    images: int
    work: int
    room: int


class _Plan(NamedTuple):
    forward: _Part
    to_input: _Part
    to_weight: _Part


@lru_cache(maxsize=256)
def _plan(sizes, kernel, channels, outputs, windows, dtype):
    """Divide images of these sizes into blocks of rows."""
    places = two_axes(windows.places(sizes, kernel))
    (H, W), (KH, KW), (HO, WO) = two_axes(sizes), two_axes(kernel), places
    (SH, SW), (DH, DW) = two_axes(windows.stride), two_axes(windows.dilation)
    (PH, _), (PW, behind) = two_axes(windows.padding, (0, 0))
    C, O, wide = channels, outputs, PW + W + behind
    step, columns, back = lanes_of(dtype), _whole(outputs, dtype), _whole(channels, dtype)
    run = KW if DW == 1 else 1
    work = C * O * KH * KW * HO * WO

    def read(rows):
        return ((rows - 1) * SH + (KH - 1) * DH + 1) * wide * C + step

    def made(rows):
        return rows * WO * columns

    def given(rows):
        return min(HO, (rows - 1 + (KH - 1) * DH) // SH + 1) * WO * O + step

    def got(rows):
        return rows * W * back

    def part(height, slab, own, most_images=1):
        rows = max(1, height)
        most = _ROOM // dtype.itemsize
        while rows > 1 and slab(rows) + own(rows) > most:
            rows = (rows + 1) // 2
        slab, own = (-(-n // 16) * 16 for n in (slab(rows), own(rows)))  # in whole lines
        images = max(1, min(most_images, most // (slab + own))) if rows >= height else 1
        numbers = (
            C, H, W, O, KH, KW, HO, WO, SH, SW, PH, PW, DH, DW, wide, rows, run, slab, own, images
        )  # fmt: skip
        room = images * (slab + own) + step * step
        return _Part(np.array(numbers, np.intp), -(-height // rows), images, work, room)

    return _Plan(
        part(HO, read, made), part(H, given, got), part(HO, read, made, -(-TERMS // (HO * WO)))
    )


def _spread(kernel, plan, images, x, panels, *rest):
    """Let the threads do all blocks of all images."""
    *others, y = rest
    units, pieces = images * plan.blocks, 1
    if images * plan.work > _WORTH:
        pieces = min(units, _PIECES * num_threads())
    scratch = empty((pieces, plan.room), x.dtype)
    parallel(kernel, pieces, pieces, x, panels, *others, plan.shape, scratch, y)


def _packed(w, G, order):
    """The weight (O, C / G, *kernel) in panels; ``order`` says what (G, O / G, ...) becomes."""
    O, c, *kernel = w.shape
    w = w.reshape(G, O // G, c, *two_axes(kernel)).transpose(order)
    columns = _whole(w.shape[4], w.dtype)
    panels = empty((G, prod(w.shape[1:4]) * columns), w.dtype)
    vectors = columns // lanes_of(w.dtype)
    parallel(pack_weights, G * -(-vectors // TILE_VECTORS), w, panels, grain=1 + 50_000 // w.size)
    return panels


def _whole(n, dtype):
    """As many numbers as whole vectors hold."""
    step = lanes_of(dtype)
    return -(-n // step) * step


def _by_group(x, G):
    """(B, C, *sizes) as (B G, C / G, places), of a copy where x has gaps."""
    x = np.ascontiguousarray(x)
    return x.reshape(len(x) * G, x.shape[1] // G, prod(x.shape[2:]))
