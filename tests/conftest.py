"""The plugin of this library, also where the installation is too old to have told pytest of it.

And what tests of several parts share.
"""

import importlib.metadata
import signal

import pytest

pytest_plugins = ["pytester"]
if not importlib.metadata.entry_points(group="pytest11", name="tinygrad_rnn"):
    pytest_plugins.append("_tinygrad_rnn_pytest")


@pytest.fixture
def reference():
    """Most of a part is the same over the interpreter, which compiles nothing."""
    from tinygrad_rnn.kernels._twin import use_reference  # after the plugin's options are read

    with use_reference():
        yield


def pytest_configure():
    """Let tests be interrupted: a shell has what it starts in the background ignore the signal."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def standin():
    """A CuPy made of NumPy, on a machine with two devices: see ``tests/standin``."""
    from tests.standin import installed

    with installed(devices=2) as machine:
        yield machine


@pytest.fixture(params=["standin", pytest.param("device", marks=pytest.mark.gpu)])
def on_gpu(request):
    """The stand-in's machine, or None on a real device: tests of both ask for "gpu"."""
    if request.param == "device":
        yield None
        return
    from tests.standin import installed

    with installed(devices=1) as machine:
        yield machine
