"""What PyTorch computes: stored in the golden files, or computed anew where it is installed.

A test of the same name in each of the files that use these holds our results against both:

    @pytest.mark.parametrize("case", CASES)
    def test_golden_...(case):
        agrees(CASES[case], stored(GOLDEN, case))

    @fresh
    @given(...)
    def test_fresh_...(options, seed):
        agrees(options, compute(options, seed))
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

__all__ = ["fresh", "stored"]

_installed = find_spec("torch") is not None


def fresh(test: Callable[..., None]) -> Callable[..., None]:
    """A test that computes with PyTorch, whose own warnings say nothing of ours."""
    test = pytest.mark.filterwarnings("ignore:::torch.*")(test)
    reason = "PyTorch is not installed; it is never required"
    return pytest.mark.skipif(not _installed, reason=reason)(test)


def stored(golden: Path, case: str) -> dict[str, np.ndarray]:
    """The arrays under ``case/name``, by their names."""
    place = f"{case}/"
    with np.load(golden) as arrays:
        return {n.removeprefix(place): arrays[n] for n in arrays if n.startswith(place)}
