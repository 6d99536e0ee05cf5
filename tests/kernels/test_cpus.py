"""Every CPU computes the same bits, whatever the width of its vectors."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_rnn.kernels._jit import DISABLED

AVX2 = "+sse4.2,+popcnt,+avx,+f16c,+fma,+avx2,+bmi,+bmi2,+lzcnt,+movbe"
CPUS = {"generic": ""}  # without fused multiply-add: libm computes it
if platform.machine().lower() in ("x86_64", "amd64"):
    CPUS["haswell"] = AVX2


def digests(**environment):
    script = Path(__file__).parent / "digests.py"
    run = subprocess.run(
        [sys.executable, script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


@pytest.fixture(scope="module")
def here():
    return digests()


@pytest.mark.skipif(DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")
@pytest.mark.parametrize("name", CPUS)
def test_other_cpus_compute_the_same_bits(name, here):
    assert "float64" in here
    assert digests(NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=CPUS[name]) == here
