"""A run in one process, or in several that each have a share: what differs between them."""

import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinygrad_rnn import files
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.parallel import DataParallel, ProcessGroup

__all__ = ["Alone", "Together"]

Sums = dict[str, list[float]]
Found = tuple[Path, Any] | None


class Alone:
    """One process: there is nobody to ask."""

    rank, size = 0, 1

    def backward(
        self, loss: Tensor | None, weight: float, last: bool, flags: Sequence[bool]
    ) -> list[bool]:
        """The gradients of a batch; with the last of a step, which flags somebody has raised."""
        if loss is not None:
            loss.backward()
        return list(flags)

    def sums(self, sums: Sums) -> Sums:
        """Sums of values and of weights, by name, over all processes."""
        return sums

    def any(self, flag: bool) -> bool:
        """Whether one of the processes says so."""
        return flag

    def share_buffers(self) -> None:
        """Let all have the buffers of the first."""

    def all_parts(self, part: dict[str, Any]) -> list[dict[str, Any]]:
        """What each process has of its own, by rank."""
        return [part]

    def of_first(self, found: Found, read: Callable[[Path], Any]) -> Found:
        """A file that the first process has found and read; others may not see its disk."""
        return found


class Together(Alone):
    """Processes that train one model: all make these calls, in the same order."""

    def __init__(self, model: Module, group: ProcessGroup) -> None:
        self.group = group
        self.rank, self.size = group.rank, group.size
        self.shared = DataParallel(model, group)

    def backward(
        self, loss: Tensor | None, weight: float, last: bool, flags: Sequence[bool]
    ) -> list[bool]:
        """The gradients of a batch, averaged over its shares."""
        return self.shared.backward(loss, weight, last=last, flags=flags)

    def sums(self, sums: Sums) -> Sums:
        """Added in the order of ranks, so that all come to the same."""
        total: Sums = {}
        for said in self.group.all_gather_bytes(json.dumps(sums).encode()):
            for name, pair in json.loads(said).items():
                before = total.get(name, [0.0, 0.0])
                total[name] = [a + b for a, b in zip(before, pair, strict=True)]
        return total

    def any(self, flag: bool) -> bool:
        """Whether one of the processes says so."""
        return self.group.any(flag)

    def share_buffers(self) -> None:
        """Running means of all rows are those of the first process's rows."""
        self.shared.broadcast_buffers()

    def all_parts(self, part: dict[str, Any]) -> list[dict[str, Any]]:
        """What each process has of its own, by rank."""
        return [_unpacked(said) for said in self.group.all_gather_bytes(_packed(part))]

    def of_first(self, found: Found, read: Callable[[Path], Any]) -> Found:
        """Its bytes are sent to the others, who read them from a copy."""
        data = self.group.broadcast_bytes(b"" if found is None else found[0].read_bytes())
        if not data or self.rank == 0:
            return found
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "received.safetensors"
            copy.write_bytes(data)
            return copy, read(copy)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a trainer of several processes cannot be copied: there is one group.")


def _packed(tree: Any) -> bytes:
    from safetensors.numpy import save

    arrays, rest = files.flatten(tree, "Trainer")
    head = json.dumps(rest).encode()
    return struct.pack("<Q", len(head)) + head + save(dict(arrays))


def _unpacked(data: bytes) -> Any:
    from safetensors.numpy import load

    (size,) = struct.unpack_from("<Q", data)
    return files.restored(load(data[8 + size :]), json.loads(data[8 : 8 + size]))
