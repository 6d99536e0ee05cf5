"""What the pytest plugin does once it is asked to (see ``_tinygrad_rnn_pytest.py``)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tinygrad_rnn import random
from tinygrad_rnn.debug import debug
from tinygrad_rnn.device import normalize_device
from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.guards import Guard

__all__ = ["begin", "computing_with", "skip_without", "warm_up"]


def begin(config: pytest.Config) -> None:
    """Set the profile, and hook into every test what the options want there."""
    option, register = config.option, config.pluginmanager.register
    if option.tgr_profile or option.tgr_max_examples:
        try:
            from tinygrad_rnn.testing.profiles import set_profile
        except ModuleNotFoundError as error:
            raise pytest.UsageError(str(error)) from None
        set_profile(option.tgr_profile or None, max_examples=option.tgr_max_examples)
    if option.tgr_profile == "debug":
        register(_Debugging(), "tinygrad_rnn_debugging")
    if option.tgr_guards:
        register(_Guarding(), "tinygrad_rnn_guards")
    if config.getini("tgr_markers"):
        register(_Markers(), "tinygrad_rnn_markers")


class _Debugging:
    """A debug session around every test."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        with debug():
            return (yield)


class _Guarding:
    """Fails a test that leaves something behind, and puts it back."""

    @pytest.fixture(autouse=True)
    def _tgr_guard(self, request: pytest.FixtureRequest) -> Iterator[None]:
        """Each test starts from one seed, moves nobody else's stream, and leaves no mode behind."""
        guard = Guard()
        random.seed(request.config.option.tgr_seed)
        yield
        test = request.node
        # The values of the other fixtures, which have ended: their graphs are no leak.
        getattr(test, "funcargs", {}).clear()
        # The traceback of a failure holds all that the test had made.
        leaks = guard.leaks(graphs=test.stash.get(_PASSED, False))
        if leaks:
            pytest.fail(f"{test.name} leaves something behind: {'; '.join(leaks)}.", pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        yield
        item.stash[_PASSED] = True


_PASSED = pytest.StashKey[bool]()


class _Markers:
    """Skips what cannot run here."""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.get_closest_marker("gpu"):
            skip_without("gpu")
        if item.get_closest_marker("nojit") and _compiling():
            pytest.skip("kernels are compiled; run it with --tgr-no-jit")


def skip_without(device: str) -> None:
    """Skip the test unless arrays can be put on ``device``."""
    if normalize_device(device) == "cpu":
        return
    try:
        Tensor([0.0]).to(device)
    except DeviceError as error:
        pytest.skip(str(error))


@contextmanager
def computing_with(implementation: str) -> Iterator[None]:
    """Kernels are the NumPy definitions, or those compiled by Numba; skip if nothing compiles."""
    if implementation == "reference":
        with use_reference():
            yield
    elif _compiling():
        yield
    else:
        pytest.skip("Numba compiles nothing: NUMBA_DISABLE_JIT is set")


def warm_up() -> None:
    """Make every kernel ready for both types, unless nothing is compiled."""
    if _compiling():
        from tinygrad_rnn.warmup import warm_up as make_ready

        for _ in make_ready(("float32", "float64")):
            pass


def _compiling() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
