"""What holds for the kernels of every family."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.lowered import double_arithmetic
from tinygrad_rnn.kernels import _jit

ROOT = Path(__file__).resolve().parents[2] / "kernels"
FAMILIES = sorted(path.parent.name for path in ROOT.glob("*/cpu.py"))


@pytest.mark.skipif(_jit.DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")
@pytest.mark.parametrize("family", FAMILIES)
def test_float32_kernels_compute_in_float32(family):
    package = f"tinygrad_rnn.kernels.{family}"
    importlib.import_module(f"{package}.cpu")
    kernels = [kernel for kernel in _jit.KERNELS if kernel.name.startswith(f"{package}.")]
    for kernel in kernels:
        if "float32" in kernel.dtypes:
            assert double_arithmetic(kernel) == [], kernel


def test_the_kernel_that_the_readme_shows_works(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "shown_in_readme.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    shown = importlib.import_module("shown_in_readme")
    x = np.linspace(-3, 3, 20_000, dtype="float32").reshape(100, 200)
    np.testing.assert_allclose(shown.softsign(x), x / (abs(x) + 1), rtol=1e-6)
