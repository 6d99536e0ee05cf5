"""NCCLGroup: processes with a GPU each; arrays of CuPy."""

from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import gpu_named, normalize_device
from tinygrad_rnn.errors import ArgumentError, DistributedError
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.training.parallel.group import ProcessGroup, Work

__all__ = ["NCCLGroup"]


# What goes through NCCL itself has never run on a device: it is tested over a stand-in for CuPy.
class NCCLGroup(ProcessGroup):
    """Processes with a GPU each: arrays of CuPy are summed by NCCL, those of NumPy by ``control``.

        control = parallel.SocketGroup("10.0.0.1:29500", rank, world_size, key="...")
        group = parallel.NCCLGroup(control, f"gpu:{rank}", ("10.0.0.1", 29501))

    Sums run on a stream of their own, beside what computes; nothing waits for the device.

    Args:
        control: The same processes over the CPU, by which they agree on what needs no GPU.
        device: The GPU of this process.
        address: Where ``cupyx.distributed`` lets processes meet: another port of rank 0.
    """

    def __init__(self, control: ProcessGroup, device: str, address: tuple[str, int]) -> None:
        if not isinstance(control, ProcessGroup) or isinstance(control, NCCLGroup):
            raise ArgumentError(
                f"NCCLGroup: control is {shortened(control)}, expected a group over the CPU, such "
                "as parallel.SocketGroup."
            )
        name = normalize_device(device)
        if name == "cpu":
            raise ArgumentError("NCCLGroup: device is 'cpu', expected a GPU of this process.")
        self._cupy = _cuda.require("NCCLGroup")
        self.control, self.rank, self.size = control, control.rank, control.size
        self._device = gpu_named(name, "NCCLGroup")
        with self._device:
            self._nccl = _backend(self.size, self.rank, address)
            self._stream = self._cupy.cuda.Stream(non_blocking=True)

    def all_reduce(self, array: Any, async_op: bool = False) -> Work:
        """Replace an array by the sum of those of all processes, in place."""
        if isinstance(array, np.ndarray):
            return self.control.all_reduce(array, async_op)
        with self._device:
            work = self._beside(lambda: self._nccl.all_reduce(array, array, "sum", self._stream))
            if not async_op:
                work.wait()
        return work

    def broadcast(self, array: Any, root: int = 0) -> None:
        """Replace an array by that of the process ``root``."""
        if isinstance(array, np.ndarray):
            self.control.broadcast(array, root)
            return
        with self._device:
            self._beside(lambda: self._nccl.broadcast(array, root, self._stream)).wait()

    def _beside(self, call: Any) -> "_Beside":
        """Let the stream of sums wait for what has been computed so far, then do its part."""
        self._stream.wait_event(self._cupy.cuda.get_current_stream().record())
        call()
        return _Beside(self._cupy, self._device, self._stream.record())

    def close(self) -> None:
        """End NCCL's connections; ``control`` stays open."""
        self._nccl.stop()


class _Beside:
    def __init__(self, cupy: Any, device: Any, done: Any) -> None:
        self._cupy, self._device, self._done = cupy, device, done

    def wait(self) -> None:
        """Let what is computed from here on wait for it; this thread does not."""
        with self._device:
            self._cupy.cuda.get_current_stream().wait_event(self._done)


def _backend(size: int, rank: int, address: tuple[str, int]) -> Any:
    try:
        from cupyx.distributed import NCCLBackend

        return NCCLBackend(size, rank, *address)
    except Exception as error:  # without NCCL CuPy raises many kinds
        raise DistributedError(
            f"NCCLGroup: rank {rank} cannot begin with NCCL ({type(error).__name__}: {error}). "
            "CuPy's wheels bring it on Linux: pip install 'tinygrad-rnn[gpu]'."
        ) from error
