"""Rows of a linear layer's scores a chunk at a time, and the sums that their gradients make."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.kernels._room import empty
from tinygrad_rnn.kernels.matmul import matmul
from tinygrad_rnn.kernels.softmax import class_losses

__all__ = ["Gradients", "chunks", "gradients_of", "part_of"]


def chunks(count: int, rows: int, begin: int = 0) -> Iterator[slice]:
    """Slices of so many rows; an empty one if there is nothing."""
    for first in range(begin, max(1, count), rows):
        yield slice(first, min(count, first + rows))


def part_of(labels: Mapping[str, Any], rows: Any) -> dict[str, Any]:
    """What belongs to some of the rows; class weights belong to all."""
    return {
        name: value if value is None or name == "weights" else value[rows]
        for name, value in labels.items()
    }


class Gradients:
    """Those of h, w and b that are wanted, of which every chunk of slopes adds a part.

    A chunk of products a b is added to a sum that is there by going on with its chains.
    """

    def __init__(self, h: Array, w: Array, wanted: Sequence[bool]) -> None:
        self.h, self.w, self.wanted = h, w, wanted
        self.dh: Array | None = empty(h.shape, h) if wanted[0] else None
        self.dw: Array | None = None
        self.db: Array | None = None

    def add(self, chunk: slice, slopes: Array, factors: Array) -> None:
        """Add what the slopes (n, V) of a chunk's scores give, each row times its factor."""
        factors = factors.astype(slopes.dtype, copy=False)  # real ones of complex steps
        if self.dh is not None:
            dh = matmul(slopes, self.w.T, out=self.dh[chunk])
            dh *= factors[:, None]
        if self.wanted[1]:
            h = self.h[chunk]
            h = array_module(h).multiply(h, factors[:, None], out=empty(h.shape, h))
            self.dw = matmul(h.T, slopes, out=self.dw, accumulate=self.dw is not None)
        if self.wanted[2]:
            self.db = matmul(factors[None], slopes, out=self.db, accumulate=self.db is not None)

    def result(self) -> list[Array | None]:
        """The gradients of h, w and b, or None."""
        return [self.dh, self.dw, None if self.db is None else self.db[0]]


def gradients_of(
    g: Any, h: Array, w: Array, b: Array | None, wanted: Sequence[bool], *, rows: int, **labels: Any
) -> list[Array | None]:
    """The gradients for losses whose own are g (N,), or 1."""
    found = Gradients(h, w, wanted)
    for chunk in chunks(len(h), rows):
        scores = matmul(h[chunk], w, bias=b)
        _, factors = class_losses(scores, **part_of(labels, chunk))
        own = g[chunk] if getattr(g, "ndim", 0) else g
        found.add(chunk, scores, own * factors)
        del scores
    return found.result()
