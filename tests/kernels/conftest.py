"""What tests of kernels share."""

import pytest

from tests.kernels.on_gpu import stands_in
from tests.standin import cuda


@pytest.fixture
def cupy(on_gpu):
    """CuPy, or what stands in for it, with CUDA sources that can be run."""
    import cupy

    if cuda.missing() and stands_in():
        pytest.skip(cuda.missing())
    return cupy


@pytest.fixture
def machine(standin):
    """The machine that stands in for one with two GPUs, whose CUDA sources can be run."""
    if cuda.missing():
        pytest.skip(cuda.missing())
    return standin
