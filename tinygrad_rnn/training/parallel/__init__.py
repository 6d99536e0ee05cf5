"""Processes that train one model together, each on its share of every batch.

    group = parallel.SocketGroup("10.0.0.1:29500", rank, world_size, key="...")
    shared = parallel.DataParallel(model, group)
    shared.backward(loss, weight=rows)

A group is over sockets (``SocketGroup``), MPI (``MPIGroup``), or GPUs (``NCCLGroup``).
"""

from tinygrad_rnn.training.parallel.data_parallel import DataParallel
from tinygrad_rnn.training.parallel.group import ProcessGroup, Work
from tinygrad_rnn.training.parallel.mpi import MPIGroup
from tinygrad_rnn.training.parallel.nccl import NCCLGroup
from tinygrad_rnn.training.parallel.sockets import SocketGroup
from tinygrad_rnn.training.parallel.spawn import spawn

__all__ = [
    "DataParallel", "MPIGroup", "NCCLGroup", "ProcessGroup", "SocketGroup", "Work", "spawn",
]  # fmt: skip
