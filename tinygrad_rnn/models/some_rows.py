"""What is asked of a model about many texts, images or clips, some of them at a time."""

from tinygrad_rnn.arguments import whole

__all__ = ["some_rows"]


def some_rows(where: str, count: int, batch_size: int) -> list[slice]:
    """All rows in their order, ``batch_size`` at a time, the last ones perhaps fewer."""
    size = whole(where, "batch_size", batch_size, 1)
    return [slice(begin, begin + size) for begin in range(0, count, size)]
