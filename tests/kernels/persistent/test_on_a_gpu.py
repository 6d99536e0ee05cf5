"""The persistent kernels on a GPU that has what they ask for: values, bits, and no fault.

Not yet run: no such GPU was at hand when they were written.
"""

import numpy as np
import pytest

from tests.kernels.on_gpu import same_bits
from tests.kernels.persistent.on_cpu import both, drawn
from tests.kernels.persistent.test_kernels import PROGRAMS, ROOM
from tinygrad_rnn.kernels.recurrence.persistent import gpu
from tinygrad_rnn.kernels.recurrence.persistent.planner import plan

pytestmark = pytest.mark.gpu

CASES = [
    ("lstm", 64, "highest", "cta"), ("gru", 64, "highest", "cta"), ("relu", 100, "highest", "cta"),
    ("lstm", 64, "medium", "cta"), ("gru", 128, "medium", "cta"), ("tanh", 64, "high", "cta"),
    ("lstm", 200, "high", "cluster"), ("lstm", 512, "medium", "cluster"),
    ("lstm", 512, "high", "cluster"), ("lstm", 650, "medium", "cluster"),
    ("gru", 512, "medium", "cluster"), ("gru", 650, "medium", "cluster"),
    ("tanh", 1024, "medium", "cluster"), ("tanh", 512, "high", "cluster"),
]  # fmt: skip
T = 35


@pytest.mark.parametrize("B", [1, 20, 65])
@pytest.mark.parametrize(("kind", "H", "precision", "way"), CASES)
def test_a_recurrence_on_a_gpu(kind, H, precision, way, B):
    import cupy

    device = gpu.device_of(cupy.cuda.runtime.getDevice())
    found = plan(kind, T, B, 30, H, "float32", precision, device, ways=(way,))
    if isinstance(found, str):
        pytest.skip(found)
    program = PROGRAMS[kind]
    arrays = drawn(program, T, B, 30, H)
    needed = [name for name, _ in program.params]
    lengths = np.random.default_rng(2).integers(0, T + 1, B)
    mask = (np.arange(T)[:, None] < lengths).astype(np.uint8)
    mask[:, 0] = 1
    for options in ({}, {"mask": mask}, {"mask": mask, "reverse": True}, {"reverse": True}):
        ours, right = both(found, cupy, program, arrays, needed, **options)
        gpu.check(cupy.cuda.runtime.getDevice())
        for name, value in right.items():
            error = np.linalg.norm(ours[name] - value) / np.linalg.norm(value)
            assert error <= 4 * ROOM[precision], f"{name} {options.keys()}: {error:.1e}"
        again, _ = both(found, cupy, program, arrays, needed, **options)
        same_bits(list(ours.values()), list(again.values()))
