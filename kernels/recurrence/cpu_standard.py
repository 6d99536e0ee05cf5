"""Rows that are standardised: mean 0, variance 1; and back."""

from tinygrad_rnn.kernels._chain import Link
from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._simd import add, div, fill, load, mul, sqrt, store, sub, total
from tinygrad_rnn.kernels._vector import address, element_size, lanes

__all__ = [
    "standardize",
    "standardize_back",
    "standardize_link",
    "standardize_row",
    "standardize_row_back",
]


@helper(fastmath=NO_FASTMATH)
def standardize_row(like, row, width, eps, deviation):
    """(row - mean) / sqrt(variance + eps), in place; 1 / sqrt(variance + eps) is left, too."""
    size, step = element_size(like), lanes(like)
    count, summed = fill(like, width), fill(like, 0.0)
    for u in range(0, width, step):
        summed = add(summed, load(like, row + u * size, width - u))
    mean, summed = div(fill(like, total(summed)), count), fill(like, 0.0)
    for u in range(0, width, step):
        place, n = row + u * size, width - u
        store(like, place, n, sub(load(like, place, n), mean))
        centred = load(like, place, n)  # again: past the row's end there are zeros
        summed = add(summed, mul(centred, centred))
    variance = div(fill(like, total(summed)), count)
    scale = div(fill(like, 1.0), sqrt(add(variance, fill(like, eps))))
    store(like, deviation, 1, scale)
    for u in range(0, width, step):
        place, n = row + u * size, width - u
        store(like, place, n, mul(load(like, place, n), scale))


@helper(fastmath=NO_FASTMATH)
def standardize_row_back(like, row, gradient, width, deviation):
    """The gradient of a row before it was standardised, in place of that after."""
    size, step = element_size(like), lanes(like)
    count, sum_g, sum_gx = fill(like, width), fill(like, 0.0), fill(like, 0.0)
    for u in range(0, width, step):
        g = load(like, gradient + u * size, width - u)
        sum_g = add(sum_g, g)
        sum_gx = add(sum_gx, mul(g, load(like, row + u * size, width - u)))
    mean_g, mean_gx = div(fill(like, total(sum_g)), count), div(fill(like, total(sum_gx)), count)
    scale = fill(like, total(load(like, deviation, 1)))
    for u in range(0, width, step):
        place, n = gradient + u * size, width - u
        rest = sub(load(like, place, n), mean_g)
        rest = sub(rest, mul(load(like, row + u * size, n), mean_gx))
        store(like, place, n, mul(rest, scale))


@kernel("intp, intp, T[:, ::1], T[::1], T[:, ::1]", fastmath=NO_FASTMATH)
def _standardize(first, stop, rows, eps, deviations):
    size, width = element_size(rows), rows.shape[1]
    for b in range(first, stop):
        place = address(rows) + b * width * size
        standardize_row(rows, place, width, eps[0], address(deviations) + b * size)


@kernel("intp, intp, T[:, ::1], T[:, ::1], T[:, ::1]", fastmath=NO_FASTMATH)
def _standardize_back(first, stop, rows, gradients, deviations):
    size, width = element_size(rows), rows.shape[1]
    for b in range(first, stop):
        standardize_row_back(
            rows, address(rows) + b * width * size, address(gradients) + b * width * size,
            width, address(deviations) + b * size,
        )  # fmt: skip


def standardize(rows, eps, deviations):
    """Standardise all rows in place."""
    grain = 1 + 20_000 // (rows.shape[1] + 1)
    parallel(_standardize, len(rows), rows, rows.dtype.type([eps]), deviations, grain=grain)


def standardize_link(rows, eps, deviations):
    """The same as a link of a chain."""
    return Link(_standardize, len(rows), (rows, rows.dtype.type([eps]), deviations))


def standardize_back(rows, gradients, deviations):
    """Take all gradients back through it, in place."""
    grain = 1 + 20_000 // (rows.shape[1] + 1)
    parallel(_standardize_back, len(rows), rows, gradients, deviations, grain=grain)
