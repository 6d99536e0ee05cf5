"""ProcessGroup: what processes that train together can ask of each other."""

from abc import ABC, abstractmethod
from typing import Any, Protocol, Self

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, device_of
from tinygrad_rnn.errors import ArgumentError, DistributedError

__all__ = ["ProcessGroup", "Work"]


class Work(Protocol):
    """Something that goes on; the array that it was begun with is its own until ``wait``."""

    def wait(self) -> None:
        """Return when it is done; raise what went wrong."""


class ProcessGroup(ABC):
    """Processes that make the same calls in the same order, each with a ``rank`` below ``size``.

    Sums are the same to the bit in all processes, and do not depend on which message comes first.
    """

    rank: int
    size: int

    @abstractmethod
    def all_reduce(self, array: Array, async_op: bool = False) -> Work:
        """Replace an array by the sum of those of all processes, in place.

        With ``async_op`` it is only begun: what is returned has to be waited for.
        """

    @abstractmethod
    def broadcast(self, array: Array, root: int = 0) -> None:
        """Replace an array by that of the process ``root``."""

    def close(self) -> None:  # noqa: B027 - nothing has to be done where nothing was opened
        """End the connections; the group cannot be used any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ----- made of these -----

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.all_reduce(np.zeros(1))

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in one of the processes."""
        count = np.array([float(flag)])
        self.all_reduce(count)
        return bool(count[0])

    def broadcast_bytes(self, data: bytes, root: int = 0) -> bytes:
        """The bytes that the process ``root`` gives; what others give is not looked at."""
        size = np.array([len(data)], np.int64)
        self.broadcast(size, root)
        found = np.frombuffer(data, np.uint8).copy() if self.rank == root else None
        array = np.zeros(int(size[0]), np.uint8) if found is None else found
        if array.size:
            self.broadcast(array, root)
        return array.tobytes()

    def all_gather_bytes(self, data: bytes) -> list[bytes]:
        """The bytes of every process, by rank."""
        sizes = np.zeros(self.size, np.int64)
        sizes[self.rank] = len(data)
        self.all_reduce(sizes)
        ends = np.cumsum(sizes)
        array = np.zeros(int(ends[-1]), np.uint8)
        begin = int(ends[self.rank]) - len(data)
        array[begin : begin + len(data)] = np.frombuffer(data, np.uint8)
        if array.size:
            self.all_reduce(array)  # all but one add zeros
        return [array[end - size : end].tobytes() for end, size in zip(ends, sizes, strict=True)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank {self.rank} of {self.size})"


class Done:
    """Work that was over when it was asked for."""

    def wait(self) -> None:
        """It is."""


def place_in(where: str, rank: Any, size: Any) -> tuple[int, int]:
    """A rank and a size that go together."""
    size = whole(where, "world_size", size, 1, ArgumentError)
    rank = whole(where, "rank", rank, 0, ArgumentError)
    if rank >= size:
        raise ArgumentError(
            f"{where}: rank is {rank}, expected one from 0 to {size - 1}: world_size is {size}."
        )
    return rank, size


def on_the_cpu(where: str, array: Any) -> Any:
    """An array of NumPy that can be sent as it stands in memory."""
    if not isinstance(array, np.ndarray):
        device = device_of(array) if hasattr(array, "device") else type(array).__name__
        raise DistributedError(
            f"{where}: given an array on {device}, expected one of NumPy. parallel.NCCLGroup sums "
            "those on GPUs."
        )
    if array.dtype.kind not in "iuf" or not (array.flags.c_contiguous and array.flags.writeable):
        raise ArgumentError(
            f"{where}: given {array.dtype}{list(array.shape)}, expected numbers in an array that "
            "is contiguous and can be written."
        )
    return array
