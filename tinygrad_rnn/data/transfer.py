"""Batches on their way to a GPU: through pinned memory, on a stream beside what computes there."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.data.collate import Padded
from tinygrad_rnn.device import Array, gpu_named
from tinygrad_rnn.kernels import _cuda

__all__ = ["Arrival", "Transfer"]

# Pinned memory belongs to a copy until the device has made it, whoever else has forgotten it.
_going: list[tuple[Any, list[Array]]] = []
_lock = threading.Lock()


class Transfer:
    """Copies of batches to one GPU, for what computes on the stream that is current here and now.

    ``send`` may be called in another thread. Neither it nor an arrival waits for the device.
    """

    def __init__(self, device: str) -> None:
        self.device = gpu_named(device, "Background")
        self.cupy = _cuda.require()
        with self.device:
            self.users = self.cupy.cuda.get_current_stream()
            self.stream = self.cupy.cuda.Stream(non_blocking=True)

    def send(self, batch: Any) -> "Arrival":
        """Begin to copy all arrays of a batch: tuples, lists and dicts of them, at any depth.

        Lengths of padded sequences stay on the CPU, where layers read them.
        """
        from cupyx import empty_pinned

        pinned: list[Array] = []

        def copied(array: Any) -> Array:
            source = empty_pinned(array.shape, array.dtype)
            source[...] = array
            pinned.append(source)
            target = self.cupy.empty(array.shape, array.dtype)
            # The memory may have been another array's, which is still computed with.
            self.stream.wait_event(self.users.record())
            target.set(source, stream=self.stream)
            return target

        with self.device, self.users:  # whose memory it is
            moved = _each_array(batch, copied)
            done = self.stream.record()
        with _lock:
            _going[:] = [one for one in _going if not one[0].done]
            if pinned:
                _going.append((done, pinned))
        return Arrival(self, moved, done)


class Arrival:
    """A batch that is being copied."""

    def __init__(self, transfer: Transfer, batch: Any, done: Any) -> None:
        self._transfer, self._batch, self._done = transfer, batch, done

    def batch(self) -> Any:
        """The batch; what is computed from here on waits for the copy, this thread does not."""
        with self._transfer.device:
            self._transfer.cupy.cuda.get_current_stream().wait_event(self._done)
        self._done = None
        return self._batch

    def __del__(self) -> None:
        # Nobody wanted it, and its memory may become another array's.
        if self._done is not None:
            self._transfer.users.wait_event(self._done)


def _each_array(tree: Any, copied: Callable[[Any], Array]) -> Any:
    """The same with copies in place of arrays."""
    if isinstance(tree, Padded):
        return Padded(_each_array(tree.data, copied), tree.lengths)
    if isinstance(tree, np.ndarray) and tree.dtype.kind in "biufc":
        return copied(tree)
    if isinstance(tree, Mapping):
        return {name: _each_array(part, copied) for name, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_each_array(part, copied) for part in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(_each_array(part, copied) for part in tree)
    return tree
