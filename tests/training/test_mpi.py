"""The same over MPI, where there is an MPI: two processes that mpiexec starts."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.process_groups import speaker, train_by_hand
from tinygrad_rnn.training import parallel

ROOT = Path(__file__).resolve().parents[2]
BESIDE = str(Path(sys.executable).parent)  # where wheels of MPI libraries put it
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([BESIDE, os.environ.get("PATH", "")]))

needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or MPIEXEC is None,
    reason="mpi4py or an MPI library is not installed",
)

SCRIPT = """
import sys
import numpy as np
from tests.training.process_groups import hand_written
from tinygrad_rnn.errors import DistributedError
from tinygrad_rnn.training import parallel

with parallel.MPIGroup() as group:
    for n in (0, 1, 7, 1000):
        array = np.arange(n, dtype=np.float32) + group.rank
        works = [group.all_reduce(array, async_op=True)]
        works += [group.all_reduce(np.ones(3), async_op=True) for _ in range(3)]
        [work.wait() for work in works]
        assert np.array_equal(array, 2 * np.arange(n) + 1)
    assert group.all_gather_bytes(b"x" * group.rank) == [b"", b"x"]
    assert group.broadcast_bytes(str(group.rank).encode(), 1) == b"1"
    assert group.any(group.rank == 1) and not group.any(False)
    group.barrier()
    told, norms, weights, _ = hand_written(group, {"bucket_mb": 0.0005})
    losses, counts = zip(*told)
    path = f"{sys.argv[1]}/{group.rank}.npz"
    np.savez(path, losses=losses, counts=counts, norms=norms, **weights)
"""


@needs_mpi
def test_two_processes_of_mpi_are_one_on_the_joint_batch(tmp_path, reference):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=os.environ | root | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told, norms, weights = train_by_hand(speaker())
    first, second = (dict(np.load(tmp_path / f"{rank}.npz")) for rank in range(2))
    total = first["counts"] + second["counts"]
    joint = (first["losses"] * first["counts"] + second["losses"] * second["counts"]) / total
    np.testing.assert_allclose(joint, [loss for loss, _ in told], rtol=1e-12)
    np.testing.assert_allclose(first["norms"], norms, rtol=1e-12)
    for name, array in weights.items():
        np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], array, rtol=1e-12, atol=1e-13)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad-rnn\[distributed\]'"):
        parallel.MPIGroup()
