"""Products of matrices: every element is one chain of fused multiply-adds.

    out[i, j] = fma(a[i, K-1], b[K-1, j], ... fma(a[i, 1], b[1, j], fma(a[i, 0], b[0, j], start)))

k ascends, and ``start`` is 0, ``bias[j]``, or what ``out[i, j]`` held. The sum is never
split over k and never taken across the lanes of a vector, on any CPU. So the bits of an
element depend on its row, its column and its start alone: not on the tile, the number of
threads, the rest of the batch, the vector width, the layout, or whether b was packed.

``reference`` defines the values. ``cpu`` equals it to the bit, but for numbers below the
normal range, which it takes as and turns into zeros. ``gpu`` hands the product to CuPy and
agrees to rounding.
"""

from dataclasses import dataclass
from typing import Any

from tinygrad_rnn.kernels._twin import Array, twin

__all__ = ["PackedMatrix", "matmul", "pack"]


@dataclass(frozen=True, slots=True, eq=False)
class PackedMatrix:
    """A right factor laid out for the kernels, to be used by many products.

    shape (K, N); ``panels`` is flat. Columns stand in panels of ``width``, the last one
    narrower; within a panel, row follows row, each starting at a multiple of ``lanes``.
    Twins that need no panels keep the matrix as it is, and ``width`` 0.
    """

    shape: tuple[int, int]
    panels: Array
    width: int = 0
    lanes: int = 1

    @property
    def dtype(self) -> Any:
        """The element type."""
        return self.panels.dtype


def matmul(
    a: Array,
    b: Array | PackedMatrix,
    *,
    out: Array | None = None,
    bias: Array | None = None,
    accumulate: bool = False,
) -> Array:
    """Multiply matrices, or stacks of them.

    a (..., M, K)  any strides
    b (..., K, N)  any strides, or packed; leading axes broadcast against those of a
    bias (N,)      where the sums start
    out (..., M, N)  where the result goes; it must not overlap the inputs

    Returns ``out``, or a new C-contiguous array.

    Args:
        accumulate: Add to what ``out`` holds; excludes ``bias``.
    """
    return twin(__name__, a).matmul(a, b, out=out, bias=bias, accumulate=accumulate)


def pack(b: Array) -> PackedMatrix:
    """Lay out a copy of b (K, N) for products with many left factors."""
    packed: PackedMatrix = twin(__name__, b).pack(b)
    return packed
