"""How large weights may become while a module is made of a file that nobody has vouched for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tinygrad_rnn.errors import FileFormatError

__all__ = ["allowance", "claim", "cost"]

_EACH = 2**16  # numbers that a tensor counts for beside its own: many small ones take long, too

_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


def cost(size: int) -> int:
    """What a tensor of so many numbers takes of an allowance."""
    return size + _EACH


@contextmanager
def allowance(numbers: int) -> Iterator[None]:
    """In a with block, parameters and buffers have so many numbers at most, in all."""
    token = _left.set([numbers])
    try:
        yield
    finally:
        _left.reset(token)


def claim(size: int) -> None:
    """Called before memory is filled for a tensor of so many numbers."""
    left = _left.get()
    if left is None:
        return
    left[0] -= cost(size)
    if left[0] < 0:
        raise FileFormatError(
            "the description asks for far more, or larger, weights than the file holds."
        )
