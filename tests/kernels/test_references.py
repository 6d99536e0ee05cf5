"""Kernels count no references: atomic counts, shared by threads, cost more than the work."""

import sys

import numpy as np
import pytest

from tests.kernels.lowered import lowered
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._jit import DISABLED, helper, kernel
from tinygrad_rnn.kernels.recurrence import cpu as recurrence
from tinygrad_rnn.kernels.recurrence.sized import layout_of
from tinygrad_rnn.ops.recurrence import RULES

pytestmark = pytest.mark.skipif(DISABLED, reason="nothing is compiled")


@helper
def picked(x, i):
    other = x if i % 2 else x[1:]
    return other[i]


@kernel("intp, intp, T[::1]")
def in_a_loop(start, stop, x):
    for i in range(start, stop):
        if x[i] > 0:
            x[i] = picked(x, i)


def test_neither_kernels_nor_helpers_count():
    layout = layout_of(nn.GRU(2, 3).cells()[0].program, RULES)
    module = recurrence.kernels_of(layout).module
    for made in (in_a_loop, module.forward, module.backward):
        assert "NRT_" not in lowered(made), made.name


def test_a_kernel_holds_no_array_after_its_call():
    x = np.ones(4, np.float32)
    before = sys.getrefcount(x)
    in_a_loop(0, 2, x)
    assert sys.getrefcount(x) == before
