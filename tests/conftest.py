"""Hypothesis profiles, chosen by TINYGRAD_PROFILE, and guards against tests that leak state."""

import os

import pytest
from hypothesis import HealthCheck, settings

import tinygrad_rnn as tg
from tinygrad_rnn import modes
from tinygrad_rnn.kernels import _pool

# The first call of a kernel compiles it, which no deadline would survive. Some strategies
# draw a shape, arrays of it and indices into them: slow to generate by Hypothesis' measure.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", derandomize=True, max_examples=20, **_COMMON)
settings.register_profile("ci", derandomize=True, max_examples=50, print_blob=True, **_COMMON)
settings.register_profile("nightly", max_examples=1000, print_blob=True, **_COMMON)
settings.load_profile(os.environ.get("TINYGRAD_PROFILE", "default"))


@pytest.fixture(autouse=True)
def _no_leaks():
    """Every test starts from one seed, moves nobody else's stream, and leaves no mode behind."""
    threads, state = _pool.num_threads(), tg.random.get_state()
    tg.seed(0)
    yield
    left = {
        "recording": modes.recording.get(),
        "inference mode": modes._inference.get(),
        "threads": _pool.num_threads(),
    }
    tg.random.set_state(state)
    modes.recording.set(True)
    modes._inference.set(False)
    modes._entered.set(None)
    _pool.set_num_threads(threads)
    assert left == {"recording": True, "inference mode": False, "threads": threads}, "state leaks"
