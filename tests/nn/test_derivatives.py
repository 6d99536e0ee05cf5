"""Reverse over reverse, and forward: every cell and every option, next to numeric derivatives."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, draw, make
from tests.nn.test_cell_options import OPTIONS, TOGETHER
from tinygrad_rnn import nn
from tinygrad_rnn.kernels.recurrence.reference import HOLD, RESET, STEP
from tinygrad_rnn.testing import assert_module_gradients, laws
from tinygrad_rnn.testing.subject import of_module

T, B = 3, 2
MASK = np.array([[STEP, HOLD], [STEP | RESET, STEP], [STEP, STEP]], np.uint8)

# What a sequence is run with, besides options of its cell.
CALLS = {
    "plain": {},
    "reverse": {"reverse": True},
    "masked": {"mask": MASK},
    "recompute": {"recompute": 2},
}


class Run(nn.Module):
    """A cell over a sequence, as a module of all that can be differentiated."""

    def __init__(self, cell, **how):
        super().__init__()
        self.cell, self.how = cell, {"noise": tg.random.noise(), **how}

    def forward(self, *inputs):
        """x, if the cell reads one, and its states -> y and the final states."""
        x, *states = inputs if self.cell.input else (None, *inputs)
        y, finals = self.cell.sequence(x, states, steps=None if x is not None else T, **self.how)
        return (y, *finals)


def check(cell, how, *, fused):
    """First, second and forward derivatives by weights, input and states."""
    cell.fused = "require" if fused else False
    x, states = draw(cell, T, B)
    run, inputs = Run(cell, **how), states if x is None else [x, *states]
    assert_module_gradients(run, *inputs, order=2)
    laws.jvp_vjp_adjoint(of_module(run, inputs), lambda strategy: 0)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell(name):
    check(make(name), {}, fused=False)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["lstm", "gru", "gru_before"])
def test_every_way_to_run_a_sequence(name, call):
    check(make(name), CALLS[call], fused=False)


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_every_cell_with_every_option(option):
    for name in CELLS:
        if name != "autonomous" or "input_dropout" not in OPTIONS[option]:
            check(make(name, 2, 3).configure(**OPTIONS[option]), {}, fused=False)


@pytest.mark.parametrize("call", ["plain", "masked", "recompute"])
@pytest.mark.parametrize("options", [{}, TOGETHER], ids=["plain", "options"])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_kernel_and_what_is_replayed_for_it(name, options, call):
    """First derivatives are the kernel's, others those of the program line by line."""
    check(make(name).configure(**options), CALLS[call], fused=True)
