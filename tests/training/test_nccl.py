"""Groups of GPUs: all that is ours, over a stand-in for CuPy and for NCCL's part of it.

What ``cupyx.distributed`` does itself has never been called.
"""

import sys
import threading
from types import ModuleType

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.standin import cuda
from tests.standin import module as standin_module
from tests.training.process_groups import in_threads, results
from tinygrad_rnn import nn, ops, optim
from tinygrad_rnn.errors import ArgumentError, DeviceError, DistributedError
from tinygrad_rnn.training import parallel

X = np.random.default_rng(2).standard_normal((6, 3)).astype(np.float32)


@pytest.fixture
def nccl(standin, monkeypatch):
    """What ``cupyx.distributed`` offers, for threads; and which stream each call was given."""

    class Backend:
        made, stopped, streams = [], [], []
        meeting, table = threading.Barrier(2), {}

        def __init__(self, n_devices, rank, host="127.0.0.1", port=13333, use_mpi=False):
            self.size, self.rank = n_devices, rank
            self.made.append((rank, n_devices, host, port))

        def exchanged(self, array):
            assert array.flags.c_contiguous
            self.meeting.wait(5)
            self.table[self.rank] = array.get()
            self.meeting.wait(5)
            return [self.table[rank] for rank in range(self.size)]

        def all_reduce(self, in_array, out_array, op="sum", stream=None):
            self.streams.append(stream)
            assert op == "sum"
            out_array.set(np.asarray(sum(self.exchanged(in_array)), in_array.dtype))

        def broadcast(self, in_out_array, root=0, stream=None):
            self.streams.append(stream)
            in_out_array.set(self.exchanged(in_out_array)[root])

        def stop(self):
            self.stopped.append(self.rank)

    distributed = ModuleType("cupyx.distributed")
    distributed.NCCLBackend = Backend
    monkeypatch.setitem(sys.modules, "cupyx.distributed", distributed)
    return Backend


def with_gpus(work):
    """A function of a group over the CPU as one of a group of GPUs."""

    def begun(control):
        with parallel.NCCLGroup(control, f"gpu:{control.rank}", ("10.0.0.1", 29501)) as group:
            return work(group)

    return begun


def test_arrays_of_both_kinds_go_their_ways(nccl):
    import cupy

    def work(group):
        with cupy.cuda.Device(group.rank):
            array = cupy.full((2, 3), group.rank + 1.0, np.float32)
            root = cupy.full(4, float(group.rank))
        numbers = np.ones(3)
        began = group.all_reduce(array, async_op=True)
        group.all_reduce(numbers)
        began.wait()
        group.broadcast(root, 1)
        texts = group.all_gather_bytes(str(group.rank).encode())
        return array.get().tolist(), numbers.tolist(), root.get().tolist(), texts, group.any(True)

    for found in results(with_gpus(work)):
        assert found == ([[3.0] * 3] * 2, [2.0] * 3, [1.0] * 4, [b"0", b"1"], True)
    assert sorted(nccl.made) == [(0, 2, "10.0.0.1", 29501), (1, 2, "10.0.0.1", 29501)]
    assert sorted(nccl.stopped) == [0, 1]
    assert all(stream is not standin_module.Stream.null for stream in nccl.streams)
    assert len({id(stream) for stream in nccl.streams}) == 2, "each process has one beside others"


def test_what_computes_and_what_sums_wait_for_each_other(nccl, monkeypatch):
    """The sum waits for what was computed before, what is computed after ``wait`` for the sum."""
    import cupy

    told = []
    monkeypatch.setattr(
        standin_module.Stream, "record",
        lambda self, event=None: (self, len(told), told.append(("record", self)))[:2],
    )  # fmt: skip
    monkeypatch.setattr(
        standin_module.Stream, "wait_event",
        lambda self, event: told.append(("wait", self, event[0])),
    )  # fmt: skip
    monkeypatch.setattr(
        nccl, "all_reduce", lambda self, a, b, op, stream: told.append(("sum", stream))
    )
    group = parallel.NCCLGroup(parallel.SocketGroup("h:1", 0, 1, key="k"), "gpu", ("h", 1))
    work = group.all_reduce(cupy.ones(3), async_op=True)
    told.append(("meanwhile", None))
    work.wait()
    here, beside = standin_module.Stream.null, group._stream
    assert told == [
        ("record", here), ("wait", beside, here), ("sum", beside), ("record", beside),
        ("meanwhile", None), ("wait", here, beside),
    ]  # fmt: skip


@pytest.mark.skipif(bool(cuda.missing()), reason=cuda.missing() or "-")
def test_two_gpus_train_as_one_on_the_joint_batch(nccl, standin):
    def steps(model, backward, x):
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        for _ in range(3):
            backward(ops.square(model(x)).mean())
            optim.clip_grad_norm(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()

    def work(group):
        model = models[group.rank].to(f"gpu:{group.rank}")
        shared = parallel.DataParallel(model, group, seed_by_rank=False, bucket_mb=1e-5)
        x = tg.tensor(X[group.rank :: 2], device=f"gpu:{group.rank}")
        steps(model, lambda loss: shared.backward(loss, 3), x)
        assert all(p.device == f"gpu:{group.rank}" for p in model.parameters())
        return [p._data._host.copy() for p in model.parameters()]

    models = []
    for seed in (0, 1, 0):
        tg.seed(seed)
        models.append(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    steps(models[2], lambda loss: loss.backward(), X)
    standin.waits.clear()
    first, second = results(with_gpus(work))
    sent = len(nccl.streams)
    assert standin.waits.total() == sent, "only what stands in for NCCL has read an array"
    for ours, theirs, alone in zip(first, second, models[2].parameters(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_allclose(ours, alone.numpy(), 1e-4, 1e-6)


# ----- what goes wrong -----


def test_bad_arguments(nccl):
    control = parallel.SocketGroup("h:1", 0, 1, key="k")
    with pytest.raises(ArgumentError, match="expected a group over the CPU"):
        parallel.NCCLGroup("group", "gpu", ("h", 1))
    with pytest.raises(ArgumentError, match="expected a GPU of this process"):
        parallel.NCCLGroup(control, "cpu", ("h", 1))


def test_a_gpu_that_is_not_there_is_told(nccl):
    control = parallel.SocketGroup("h:1", 0, 1, key="k")
    with pytest.raises(DeviceError, match="'gpu:7' was asked for, but this machine has 2 GPU"):
        parallel.NCCLGroup(control, "gpu:7", ("h", 1))


def test_no_nccl_is_told(standin):
    control = parallel.SocketGroup("h:1", 0, 1, key="k")
    with pytest.raises(DistributedError, match="rank 0 cannot begin with NCCL"):
        parallel.NCCLGroup(control, "gpu", ("h", 1))


def test_no_gpu_is_told(monkeypatch):
    control = parallel.SocketGroup("h:1", 0, 1, key="k")
    monkeypatch.setattr("tinygrad_rnn.kernels._cuda._missing", lambda: "the GPU needs CuPy.")
    with pytest.raises(DeviceError, match="NCCLGroup: the GPU needs CuPy"):
        parallel.NCCLGroup(control, "gpu", ("h", 1))


def test_a_group_over_the_cpu_names_the_one_for_gpus(standin):
    import cupy

    def work(group):
        group.all_reduce(cupy.ones(3))

    for error in in_threads(work):
        assert "given an array on gpu:0, expected one of NumPy. parallel.NCCLGroup" in str(error)
