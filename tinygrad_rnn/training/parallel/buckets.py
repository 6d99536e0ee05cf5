"""Buckets: gradients side by side in a few arrays, each sent when it is full."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array, array_module, there
from tinygrad_rnn.kernels import _memory
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.parallel.group import ProcessGroup, Work

__all__ = ["Buckets"]

_LINE = 64  # bytes: each gradient begins on a cache line


class _Bucket:
    """Parameters of one type on one device, and the places of their gradients in an array."""

    def __init__(self) -> None:
        self.places: dict[Tensor, slice] = {}
        self.size = 0
        self.array: Array = None
        self.expected = 0  # gradients that are still to come

    def add(self, parameter: Tensor) -> None:
        line = _LINE // parameter.dtype.itemsize
        self.places[parameter] = slice(self.size, self.size + parameter.size)
        self.size += -(-parameter.size // line) * line

    def view(self, parameter: Tensor) -> Array:
        return self.array[self.places[parameter]].reshape(parameter.shape)


class Buckets:
    """The gradients of some parameters, on their way into sums over all processes.

    Buckets are filled in the reverse order of the parameters, which is about the order in which
    a walk back meets them, and sent in one order in all processes, whichever is full first.
    """

    def __init__(
        self, group: ProcessGroup, parameters: Sequence[Tensor], bucket_bytes: int
    ) -> None:
        self.group = group
        self.parameters = list(parameters)
        self._kinds = [(id(p), p.device, p.dtype) for p in parameters]
        self._of: dict[Tensor, _Bucket] = {}
        self._all: list[_Bucket] = []
        open_ones: dict[Any, _Bucket] = {}
        for parameter in reversed(self.parameters):
            kind = parameter.dtype, parameter.device
            bucket = open_ones.get(kind)
            if bucket is None or bucket.size * parameter.dtype.itemsize >= bucket_bytes:
                bucket = open_ones[kind] = _Bucket()
                self._all.append(bucket)
            bucket.add(parameter)
            self._of[parameter] = bucket
        self.forget()

    def __contains__(self, parameter: Tensor) -> bool:
        return parameter in self._of

    def are_of(self, parameters: Sequence[Tensor]) -> bool:
        """Whether these parameters are theirs: some may have been frozen, or moved."""
        kinds = [(id(p), p.device, p.dtype) for p in parameters]
        return self._kinds == kinds

    def forget(self) -> None:
        """Begin anew."""
        self.given: set[Tensor] = set()  # parameters that have a gradient here
        self._works: list[Work] = []
        self._sending = False

    def begin(self, last: bool) -> None:
        """Before a walk; after the last one of a step nothing is added, so buckets may go."""
        self._sending = last
        for bucket in self._all:
            bucket.expected = len(bucket.places)

    def add(self, parameter: Tensor, gradient: Array, factor: float) -> None:
        """Add ``factor`` times a gradient, and send what is full now."""
        bucket = self._of[parameter]
        if bucket.array is None:
            bucket.array = _zeros(bucket.size, parameter)
        with there(bucket.array):
            view = bucket.view(parameter)
            if parameter in self.given:
                view += gradient * factor
            else:
                np.multiply(gradient, factor, out=view)
        self.given.add(parameter)
        bucket.expected -= 1
        while self._sending and self._is_next_full():
            self._send()

    def _is_next_full(self) -> bool:
        number = len(self._works)
        return number < len(self._all) and not self._all[number].expected

    def _send(self) -> None:
        bucket = self._all[len(self._works)]
        if bucket.array is None:
            bucket.array = _zeros(bucket.size, next(iter(bucket.places)))
        with there(bucket.array):
            for parameter in bucket.places:
                if parameter not in self.given:
                    bucket.view(parameter)[...] = 0
        self._works.append(self.group.all_reduce(bucket.array, async_op=True))

    def finish(self) -> None:
        """Send what is left: some parameters may have no gradient here."""
        while len(self._works) < len(self._all):
            self._send()

    def sums(self) -> dict[Tensor, Array]:
        """Wait for the sums; they stand in the buckets until these are filled again."""
        found: dict[Tensor, Array] = {}
        for bucket, work in zip(self._all, self._works, strict=True):
            work.wait()
            found |= {parameter: bucket.view(parameter) for parameter in bucket.places}
        return found


def _zeros(size: int, like: Tensor) -> Array:
    if like.device == "cpu":
        return _memory.zeros((size,), like.dtype)
    with there(like._data):
        return array_module(like._data).zeros(size, like.dtype)
