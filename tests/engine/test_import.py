"""Importing the library is light, and everything public is there."""

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.kernels import _memory


def imported_by(code):
    """The modules that a fresh process has loaded after ``code``."""
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(run.stdout.split())


def test_importing_loads_neither_numba_nor_cupy_nor_random_numbers():
    loaded = imported_by("import tinygrad_rnn as tg; tg.num_threads(); tg.empty_cache()")
    heavy = {"numba", "llvmlite", "cupy", "numpy.random", "hypothesis", "tqdm", "safetensors"}
    assert not loaded & heavy


def test_every_public_name_is_there():
    assert len(set(tg.__all__)) == len(tg.__all__)
    for name in tg.__all__:
        assert getattr(tg, name) is not None


def test_threads_can_be_chosen():
    before = tg.num_threads()
    tg.set_num_threads(1)
    assert tg.num_threads() == 1
    tg.set_num_threads(before)
    with pytest.raises(ValueError, match="given 0, expected a whole number from 1 to"):
        tg.set_num_threads(0)


def test_kept_memory_can_be_given_back():
    array = _memory.empty((1000, 1000), np.float32)
    del array
    assert _memory.cached_bytes()
    tg.empty_cache()
    assert not _memory.cached_bytes()
