"""Every CPU computes the same bits, whatever the width of its vectors."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_rnn.kernels._jit import DISABLED, binding, ir, types
from tinygrad_rnn.kernels._vector import Element, integer
from tinygrad_rnn.kernels.matmul import cpu_tile

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


@pytest.mark.slow
@pytest.mark.skipif(DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")
@pytest.mark.parametrize("name", CPUS)
def test_other_cpus_compute_the_same_bits(name, here):
    assert "float64" in here
    assert digests(NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=CPUS[name]) == here


@pytest.mark.parametrize("vectors", range(1, cpu_tile.TILE_VECTORS + 1))
@pytest.mark.parametrize("dtype", [types.float32, types.float64])
def test_tiles_become_multiply_adds_of_whole_vectors_on_arm(dtype, vectors):
    """Lowered only: no such processor is at hand."""
    element = Element(dtype, bits=128)
    module = ir.Module()
    kind = ir.FunctionType(ir.VoidType(), [integer(0).type] * cpu_tile._ARGUMENTS)
    function = ir.Function(module, kind, "tile")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    cpu_tile._define_tile(function, builder, element, 8, vectors)
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple("aarch64-unknown-linux-gnu")
    machine = target.create_target_machine(cpu="generic", opt=3)
    text = machine.emit_assembly(binding.parse_assembly(str(module)))
    assert text.count("fmla\tv") == 8 * vectors
    assert f".{element.lanes}{'s' if element.size == 4 else 'd'}" in text
    assert "fma" not in text.replace("fmla", "")  # no call of libm
