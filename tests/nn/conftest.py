"""What the tests of nn share."""

import pytest

from tinygrad_rnn.kernels._twin import use_reference


@pytest.fixture
def reference():
    """Most of a layer is the same over the interpreter, which compiles nothing."""
    with use_reference():
        yield
