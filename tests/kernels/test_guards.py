"""Kernels touch nothing outside of their arrays."""

import subprocess
import sys
from pathlib import Path


def test_kernels_touch_nothing_outside_of_their_arrays():
    script = Path(__file__).parent / "guarded.py"
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout == "nothing outside was touched\n"
