"""What is made of functions that Python calls, and of those that only kernels call."""

import numpy as np
import pytest
from numba.core.codegen import JITCPUCodegen

from tests.kernels.lowered import lowered
from tinygrad_rnn.kernels._jit import DISABLED, helper, kernel

pytestmark = pytest.mark.skipif(DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")


def test_only_what_python_calls_becomes_machine_code(monkeypatch):
    @helper
    def more(x):
        return x + 1

    @helper
    def much_more(x):
        return more(more(x))

    @kernel("T[::1]")
    def add_three(x):
        for i in range(len(x)):
            x[i] = more(much_more(x[i]))

    add_three(np.zeros(1))  # so that whatever else Numba needs is there
    made, add = [], JITCPUCodegen._add_module

    def noted(self, module):
        made.append(module.name)
        return add(self, module)

    monkeypatch.setattr(JITCPUCodegen, "_add_module", noted)
    lowered(add_three)  # in float32
    assert len(made) == 1, made
    assert "add_three__float32" in made[0]
    assert made[0].endswith("entry")


def test_a_helper_that_python_calls_is_an_error():
    @helper
    def more(x):
        return x + 1

    @kernel("T[::1]")
    def add_one(x):
        for i in range(len(x)):
            x[i] = more(x[i])

    lowered(add_one)  # now it is known for such a number
    for number in (np.float32(1), 1):
        with pytest.raises(TypeError, match=r"more\w*: called from Python, expected a call by"):
            more(number)
    assert more.py_func(1) == 2
