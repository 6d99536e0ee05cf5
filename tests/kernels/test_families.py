"""What holds for the kernels of every family."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.lowered import double_arithmetic
from tests.standin import cuda
from tinygrad_rnn.kernels import _jit

ROOT = Path(__file__).resolve().parents[2] / "kernels"
FAMILIES = sorted(path.parent.name for path in ROOT.glob("*/cpu.py"))


@pytest.mark.slow
@pytest.mark.skipif(_jit.DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")
@pytest.mark.parametrize("family", FAMILIES)
def test_float32_kernels_compute_in_float32(family):
    package = f"tinygrad_rnn.kernels.{family}"
    importlib.import_module(f"{package}.cpu")
    kernels = [kernel for kernel in _jit.KERNELS if kernel.name.startswith(f"{package}.")]
    for kernel in kernels:
        if "float32" in kernel.dtypes:
            assert double_arithmetic(kernel) == [], kernel


def shown(tmp_path, monkeypatch):
    """What the page shows for the CPU and for the GPU, as modules."""
    text = (ROOT / "README.md").read_text()
    cpu, gpu = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (source,) = re.findall(r"```cuda\n(.*?)```", text, re.DOTALL)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shown_for_cpu.py").write_text(cpu)
    (tmp_path / "shown_for_gpu.py").write_text(gpu)
    (tmp_path / "softsign.cu").write_text(source)
    return [importlib.import_module(f"shown_for_{device}") for device in ("cpu", "gpu")]


def test_the_kernels_that_the_readme_shows_work(tmp_path, monkeypatch, standin):
    cpu, gpu = shown(tmp_path, monkeypatch)
    x = np.linspace(-3, 3, 20_000, dtype="float32").reshape(100, 200)
    np.testing.assert_allclose(cpu.softsign(x), x / (abs(x) + 1), rtol=1e-6)
    if cuda.missing():
        pytest.skip(cuda.missing())
    found = gpu.softsign(sys.modules["cupy"].asarray(x))
    np.testing.assert_allclose(found.get(), x / (abs(x) + 1), rtol=1e-6)
