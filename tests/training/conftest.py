"""What the tests of training share."""

import pytest

from tinygrad_rnn.kernels._twin import use_reference


@pytest.fixture(autouse=True)
def reference():
    """Training is the same over the interpreter, which compiles nothing."""
    with use_reference():
        yield
